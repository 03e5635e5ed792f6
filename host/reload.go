package host

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"rtd/host/config"
	"rtd/host/folder"
	"rtd/host/plugin"
	"rtd/sandbox"
	"rtd/supervisor"
)

// deployChanges deploys what changes in the plugin folder, one after the other.
func (s *Server) deployChanges(ctx context.Context, f *folder.Folder) {
	ready := f.Ready()
	for {
		select {
		case <-ready:
			ready = nil
			s.ready.Store(true)
			s.log.Info("ready", "url", s.URL(), "plugins", len(s.plugins.Stats()), "poller", s.pollerKind())
		case c, ok := <-f.Changes():
			if !ok {
				return
			}
			s.deployChange(ctx, c)
		}
	}
}

func (s *Server) deployChange(ctx context.Context, c folder.Change) {
	s.changing.Lock()
	defer s.changing.Unlock()
	deployed := s.deploy(ctx, c)
	if c.Removed {
		s.retryRefused(ctx)
	}
	for deployed {
		deployed = s.deployWaiting(ctx)
	}
}

// deploy expects s.changing to be held. It reports whether a plugin runs now that
// did not before, or in another version.
func (s *Server) deploy(ctx context.Context, c folder.Change) (deployed bool) {
	log := s.log.With("plugin", c.Name, "file", c.File)
	switch {
	case c.Err != nil:
		s.counts.deployErrors.Add(1)
		log.Error("plugin not built or not readable", "cause", c.Err)
	case c.Removed:
		delete(s.refused, c.Name)
		if s.plugins.Remove(c.Name) {
			log.Info("plugin unloaded, its file is gone")
		}
	default:
		start := time.Now()
		wasm, known := c.WASM, false
		if c.Initial {
			wasm, known = s.remembered(c.Name, wasm)
		}
		err := s.plugins.Deploy(ctx, c.Name, wasm, s.settings(c.Name))
		delete(s.refused, c.Name)
		var waiting *plugin.WaitingError
		switch {
		case errors.Is(err, plugin.ErrUnchanged):
		case errors.As(err, &waiting):
			s.refused[c.Name] = refusal{c, true, err}
			log.Info("plugin waits for others", "for", waiting.For)
		case err != nil:
			s.refused[c.Name] = refusal{c, false, err}
			s.counts.deployErrors.Add(1)
			log.Error("plugin not deployed", "cause", err, "running", s.plugins.Version(c.Name))
		default:
			s.deployed(c.Name, wasm, byFolder, known, start)
			return true
		}
	}
	return false
}

// refusal is a change that could not be made. It may be possible later.
type refusal struct {
	folder.Change
	waits bool // for other plugins only
	cause error
}

// deployWaiting deploys plugins that waited for others, and reports whether one could
// be. It expects s.changing to be held.
func (s *Server) deployWaiting(ctx context.Context) (deployed bool) {
	for _, name := range slices.Sorted(maps.Keys(s.refused)) {
		if r := s.refused[name]; r.waits && s.deploy(ctx, r.Change) {
			deployed = true
		}
	}
	return deployed
}

// retryRefused deploys again what could not be deployed: the topics that it claims
// may be free by now, or its table is another. It expects s.changing to be held.
func (s *Server) retryRefused(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(s.refused)) {
		s.deploy(ctx, s.refused[name].Change)
	}
}

// watchConfig takes over the plugin tables when the config file changes. It
// looks at the file once a second: that works on every file system, and nobody
// edits faster.
func (s *Server) watchConfig(ctx context.Context) {
	if s.options.ConfigFile == "" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := stampOf(s.options.ConfigFile)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if now := stampOf(s.options.ConfigFile); now != last {
				last = now
				s.Reload(ctx)
			}
		}
	}
}

// Reload reads the config file again and takes over its plugin tables. Plugins
// that have failed, or that could not be deployed, get another chance.
func (s *Server) Reload(ctx context.Context) {
	next := s.tables.Load()
	switch read, err := s.options.Reload(s.options.ConfigFile); {
	case errors.Is(err, fs.ErrNotExist): // then the defaults hold, as before
	case err != nil:
		s.log.Error("config not reloaded, the old one stays", "cause", err)
	default:
		next = read
		defer s.log.Info("config reloaded", "file", s.options.ConfigFile) // in force
		s.counts.reloads.Add(1)
		if keys := s.config.NeedsRestart(next); len(keys) > 0 {
			s.log.Warn("needs restart", "keys", keys)
		}
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	s.tables.Store(next)
	s.retryRefused(ctx)
	if err := s.plugins.Configure(ctx, s.settings); err != nil {
		s.log.Error("plugin not reconfigured", "cause", err)
	}
}

// stamp tells whether a file has changed.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}

// PluginSettings is a plugin's table of the config in the words of package plugin.
func PluginSettings(c *config.Config, name string) plugin.Settings {
	return settings(c.Plugin(name), c.Server.MaxFrame)
}

func (s *Server) settings(name string) plugin.Settings {
	return settings(s.tables.Load().Plugin(name), s.config.Server.MaxFrame)
}

func settings(t config.Plugin, maxFrame int) plugin.Settings {
	restart, err := supervisor.ParseRestart(t.Restart)
	strategy, err2 := supervisor.ParseStrategy(t.Strategy)
	if err := errors.Join(err, err2); err != nil {
		panic(err) // config has checked both
	}
	return plugin.Settings{
		Topics:    t.Topics,
		Restart:   restart,
		Strategy:  strategy,
		Intensity: supervisor.Intensity{Max: t.MaxRestarts, Within: time.Duration(t.MaxSeconds) * time.Second},
		Limits: sandbox.Limits{
			Memory: t.Memory, Deadline: t.Deadline, Slots: t.Slots, Waiting: t.Waiting,
			EffectBytes: max(4<<20, framesThatFit*maxFrame), // an answer may be as large as the question
		},
		Mailbox: t.Mailbox,
		Rate:    t.MaxRate,
		Scope:   strings.TrimPrefix(t.Scope, "declared"),
		Stays:   t.Stays,
		Depends: t.Depends,
		Grants:  t.Grants,
		Allows:  t.Allows,
		Config:  t.ConfigJSON(),
		Rollout: plugin.Rollout{
			Stay: t.Migrate == "stay", Watch: t.Watch, Canary: t.Canary, CanaryPeriod: t.CanaryPeriod,
		},

		Processes:  t.Processes,
		References: t.References,
		Pending:    t.Pending,
	}
}
