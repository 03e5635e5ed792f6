package settings

import (
	"maps"
	"slices"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/rollout"
)

// Channels are the limits of clients and their channels. Two frames of the largest size must find room to wait.
func Channels(server config.Server) channels.Limits {
	return channels.Limits{Joins: server.MaxJoins, Rate: server.MaxRate, PresenceGrace: server.PresenceGrace, Pending: server.Room(8 << 20), History: server.MaxHistoryBytes}
}

// Mounts are the sockets of a config: whose topics can be joined there, and who is asked about clients.
func Mounts(c *config.Config) (all []rollout.Mount) {
	for _, name := range slices.Sorted(maps.Keys(c.Sockets)) {
		socket := c.Sockets[name]
		all = append(all, rollout.Mount{Name: name, Plugins: socket.Plugins, Connect: socket.Connect})
	}
	return all
}
