package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/host/clock"
	"rtd/host/config"
	"rtd/host/durable"
	"rtd/host/process"
	"rtd/host/rollout"
	"rtd/host/settings"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Options say what a stage has.
type Options struct {
	// Engine runs the guests. It outlives the stage.
	Engine *sandbox.Engine
	// Config has the tables of the plugins, and limits of clients. Nil: the defaults.
	Config *config.Config
	// Remember has durable actors remembered, in a [Memory]. Else nothing is.
	Remember bool
	// Log takes what a server would log. Nil discards.
	Log *slog.Logger
}

// Stage is a server without sockets. Its methods may be called from any goroutine.
type Stage struct {
	config   *config.Config
	runtime  *supervisor.Runtime
	endpoint *channels.Endpoint
	plugins  *rollout.Set
	memory   *Memory                   // nil: nothing is remembered
	time     atomic.Pointer[time.Time] // of rtd/clock; nil: what it is
}

// New returns a stage without plugins.
func New(o Options) *Stage {
	if o.Config == nil {
		o.Config = config.Default()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Stage{config: o.Config, runtime: supervisor.New(supervisor.Options{})}
	s.endpoint = channels.NewEndpoint(settings.Channels(o.Config.Server))
	s.plugins = rollout.NewSet(s.endpoint, o.Engine, s.runtime, o.Log)
	if o.Remember {
		s.memory = newMemory(s.plugins.Posted, s.plugins.Due)
		s.plugins.Remember(func() (durable.Keeper, error) { return s.memory, nil })
	}
	_ = s.plugins.Mount(settings.Mounts(o.Config))         // no plugin is there that could object
	_ = s.plugins.Services().Provide(clock.Service(s.now)) // which has nothing to fail of
	return s
}

// now is the time for rtd/clock.
func (s *Stage) now() time.Time {
	if t := s.time.Load(); t != nil {
		return *t
	}
	return time.Now()
}

// SetTime stops rtd/clock at a time. The clocks that guests have of their own, timers and
// time-outs go on.
func (s *Stage) SetTime(t time.Time) { s.time.Store(&t) }

// Deploy runs a module as the plugin called name, under the settings of its table in
// the config. The errors are those that a server would log.
func (s *Stage) Deploy(ctx context.Context, name string, wasm []byte) error {
	return s.plugins.Deploy(ctx, name, wasm, settings.Plugin(s.config.Plugin(name), s.config.Server))
}

// Topics returns the patterns that a plugin serves.
func (s *Stage) Topics(name string) []string { return s.plugins.Topics(name) }

// Memory has the durable actors, if they are remembered.
func (s *Stage) Memory() *Memory { return s.memory }

// AnyDurable reports whether a plugin has durable actors.
func (s *Stage) AnyDurable(name string) bool { return s.plugins.Durable(name) != nil }

// Durable reports whether a plugin's handler of a topic is durable.
func (s *Stage) Durable(name, topic string) bool {
	is := s.plugins.Durable(name)
	return is != nil && is(durable.Topic, topic)
}

// DurableNames returns the names of processes that a plugin declares durable one by one.
func (s *Stage) DurableNames(name string) []string { return s.plugins.DurableNames(name) }

// Load returns what loading a plugin cost.
func (s *Stage) Load(name string) sandbox.LoadStats {
	for _, stats := range s.plugins.Stats() {
		if stats.Name == name {
			return stats.Load
		}
	}
	return sandbox.LoadStats{}
}

// Publish broadcasts to a topic, as the API for backends does.
func (s *Stage) Publish(topic, event string, payload []byte) error {
	return s.endpoint.Publish(topic, event, payload, false)
}

// Settle waits until no process has anything to do. Timers that will go off later do not count.
func (s *Stage) Settle() { s.runtime.Wait() }

// Close ends the plugins. Clients are to be closed before.
func (s *Stage) Close() {
	if s.memory != nil {
		s.memory.close()
	}
	s.plugins.Close()
	s.runtime.Wait()
	s.endpoint.Presence.Close()
}

// Connects returns the mounts of whose clients a plugin is asked.
func (s *Stage) Connects(name string) []string { return s.plugins.Connects(name) }

// mount is where clients connect: the mount called socket, or else the first that there is.
func (s *Stage) mount() string {
	if _, ok := s.config.Sockets["socket"]; ok || len(s.config.Sockets) == 0 {
		return "socket"
	}
	return slices.Min(slices.Collect(maps.Keys(s.config.Sockets)))
}

// Connect makes a client, if the plugin that decides about those of its mount accepts it, which
// sees params as those of the client's URL; nil is none. A refusal is a
// [*process.RefusedError]. If that plugin is not on the stage, nobody is asked.
func (s *Stage) Connect(ctx context.Context, params json.RawMessage) (*Client, error) {
	mount := s.mount()
	name := s.plugins.Connector(mount)
	var connection process.Connection
	var err error
	if s.plugins.Runs(name) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // as connect_timeout
		defer cancel()
		if connection, err = s.plugins.Connect(ctx, name, mount, connectInfo(params)); err != nil {
			return nil, fmt.Errorf("ask plugin %s: %w", name, err)
		}
	}
	return newClient(s.endpoint, connection), nil
}

// connectInfo is the payload of the event connect, see package abi: of a client that is local
// and says nothing but its params.
func connectInfo(params json.RawMessage) []byte {
	if len(params) == 0 {
		params = json.RawMessage("{}")
	}
	type object map[string]any
	info, err := json.Marshal(object{
		"params":                params,
		"peer":                  object{"address": "127.0.0.1", "port": 50000},
		"uri":                   object{"scheme": "http", "host": "127.0.0.1", "port": 4000, "path": "/socket/websocket", "query": "vsn=2.0.0"},
		"user_agent":            "rtd test",
		"x_headers":             object{},
		"sec_websocket_headers": object{},
		"trace_context_headers": object{},
		"auth_token":            nil,
		"claims":                nil,
	})
	if err != nil {
		return []byte("{}") // params were no JSON, which the caller has checked
	}
	return info
}

// Engine returns an engine that compiles, and keeps compiled code, as a server with this config does; nil is the
// defaults. A fault of the cache is logged. The caller closes it.
func Engine(c *config.Config) (*sandbox.Engine, error) {
	if c == nil {
		c = config.Default()
	}
	return sandbox.NewEngine(settings.Engine(c, slog.Default()))
}
