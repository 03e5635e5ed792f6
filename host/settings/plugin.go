package settings

import (
	"errors"
	"strings"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/config"
	"rtd/host/release"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Plugin are the settings of a plugin with this table, on a server with these limits. The two may come
// from different readings of a config: tables change while a server runs, its limits do not.
func Plugin(table config.Plugin, server config.Server) release.Settings {
	restart, err := supervisor.ParseRestart(table.Restart)
	strategy, err2 := supervisor.ParseStrategy(table.Strategy)
	if err := errors.Join(err, err2); err != nil {
		panic(err) // config has checked both
	}
	return release.Settings{
		Topics:    table.Topics,
		Restart:   restart,
		Strategy:  strategy,
		Intensity: supervisor.Intensity{Max: table.MaxRestarts, Within: time.Duration(table.MaxSeconds) * time.Second},
		Limits: sandbox.Limits{
			Memory: table.Memory, TotalMemory: table.TotalMemory, Deadline: table.Deadline, Slots: table.Slots, Waiting: table.Waiting,
			EffectBytes: server.Room(4 << 20), // an answer may be as large as the question
		},
		Mailbox:  table.Mailbox,
		Rate:     table.MaxRate,
		Scope:    strings.TrimPrefix(table.Scope, "declared"),
		Stays:    table.Stays,
		Depends:  table.Depends,
		Grants:   table.Grants,
		Allows:   table.Allows,
		Services: table.Services,
		Config:   table.ConfigJSON(),
		Rollout: release.Rollout{
			Stay: table.Migrate == "stay", Watch: table.Watch, Canary: table.Canary, CanaryPeriod: table.CanaryPeriod,
		},

		Durable:      table.Durable,
		DurableIdle:  table.DurableIdle,
		DurableKeep:  table.DurableKeep,
		DurableState: table.DurableState,
		DurableBytes: table.DurableBytes,

		History: table.History, HistoryDurable: table.HistoryDurable,
		Keep: channels.Keep{
			Bounds: history.Bounds{Messages: table.HistoryMessages, Bytes: table.HistoryBytes, Age: table.HistoryAge},
			// What is told at a time finds room in the outbox, beside what is said meanwhile.
			Most: history.Most{Messages: max(1, server.MaxOutboxMessages/2), Bytes: int64(server.MaxOutboxBytes / 2)},
		},

		Linger: channels.Lingering{
			For: table.Linger, Most: table.MaxLingering, PerAddress: table.MaxLingeringAddress, PerID: table.MaxLingeringID,
		},

		Processes:  table.Processes,
		References: table.References,
		Pending:    table.Pending,
	}
}
