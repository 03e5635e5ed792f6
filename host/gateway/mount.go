package gateway

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/gateway/handshake"
)

// mount is a path where clients connect, with its own plugins, origins and connect.
type mount struct {
	name       string
	config     config.Socket
	parts      []string // of the path, the last one of which is the transport
	origins    handshake.Origins
	serves     func(channels.Plugin) bool // whose topics can be joined; nil: all
	connecting chan struct{}              // holds an entry for each client that waits for connect
}

// mounts are all mounts of a server, in the order in which they are tried: literal parts of a path
// come before open ones.
type mounts []*mount

func newMounts(c *config.Config) (mounts, error) {
	var all mounts
	for _, name := range slices.Sorted(maps.Keys(c.Sockets)) {
		socket := c.Sockets[name]
		m := &mount{name: name, config: socket, connecting: make(chan struct{}, socket.MaxConnecting)}
		m.parts = strings.Split(strings.Trim(socket.Path+"/"+overWebSocket, "/"), "/")
		entries, table := socket.Origins, "socket."+name
		if len(entries) == 0 {
			entries, table = c.Server.Origins, "server"
		}
		if len(socket.Plugins) > 0 {
			m.serves = func(p channels.Plugin) bool { return slices.Contains(socket.Plugins, p.Name()) }
		}
		if a := c.Auth; socket.Auth != "none" && len(a.Keys) == 0 && a.JWKSFile+a.JWKSURL+a.PhoenixSecretKeyBase == "" {
			return nil, fmt.Errorf("socket.%s.auth is %q, but no token is good: set keys, jwks_file, jwks_url or phoenix_secret_key_base in [auth]", name, socket.Auth)
		}
		var err error
		if m.origins, err = handshake.NewOrigins(entries); err != nil {
			return nil, fmt.Errorf("read %s.origins: %w", table, err)
		}
		all = append(all, m)
	}
	slices.SortStableFunc(all, func(a, b *mount) int {
		return slices.CompareFunc(a.parts, b.parts, func(p, q string) int { return cmp.Compare(openness(p), openness(q)) })
	})
	return all, nil
}

func openness(part string) int {
	if strings.HasPrefix(part, ":") {
		return 1
	}
	return 0
}

// find returns the mount of a URL, or nil, what the URL has in place of the params of
// the path, and the transport that it ends in.
func (ms mounts) find(u *url.URL) (m *mount, params map[string]string, transport string) {
	path, ok := strings.CutPrefix(u.EscapedPath(), "/")
	if !ok {
		return nil, nil, ""
	}
	parts := strings.Split(path, "/")
	last := len(parts) - 1
	if transport = parts[last]; transport != overWebSocket && transport != overLongPoll {
		return nil, nil, ""
	}
	parts[last] = overWebSocket // as all paths of mounts end
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, nil, ""
		}
	}
	for _, m := range ms {
		if params, ok := m.match(parts); ok {
			return m, params, transport
		}
	}
	return nil, nil, ""
}

// The transports, as the last part of a path.
const (
	overWebSocket = "websocket"
	overLongPoll  = "longpoll"
)

func (m *mount) match(parts []string) (params map[string]string, ok bool) {
	if len(parts) != len(m.parts) {
		return nil, false
	}
	for i, part := range m.parts {
		name, open := strings.CutPrefix(part, ":")
		switch {
		case open && parts[i] != "":
			if params == nil {
				params = map[string]string{}
			}
			params[name] = parts[i]
		case part != parts[i]:
			return nil, false
		}
	}
	return params, true
}
