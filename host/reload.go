package host

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"rtd/host/config"
	"rtd/host/deploy"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/host/settings"
)

// tables are the parts of the config that are taken over while a server runs: the plugins' tables, and
// connect of sockets.
type tables struct {
	started *config.Config
	latest  atomic.Pointer[config.Config]
	file    string // "": there is none
	read    func(file string) (*config.Config, error)
	found   atomic.Bool   // there has been a file
	taken   atomic.Uint64 // times that it was taken over
	log     *slog.Logger
}

func newTables(o Options, log *slog.Logger) *tables {
	t := &tables{started: o.Config, file: o.ConfigFile, read: o.Reload, log: log}
	t.latest.Store(o.Config)
	if t.file != "" {
		_, missing := os.Stat(t.file)
		t.found.Store(missing == nil)
	}
	return t
}

// plugin returns the settings of a plugin.
func (t *tables) plugin(name string) release.Settings {
	return settings.Plugin(t.latest.Load().Plugin(name), t.started.Server)
}

// mounts returns the mounts that there are, with the plugins that decide about their clients now.
func (t *tables) mounts() []rollout.Mount {
	all, latest := settings.Mounts(t.started), t.latest.Load()
	for i := range all {
		if socket, ok := latest.Sockets[all[i].Name]; ok {
			all[i].Connect = socket.Connect
		}
	}
	return all
}

// reload reads the file again, and reports whether it was taken over.
func (t *tables) reload() bool {
	switch next, err := t.read(t.file); {
	case errors.Is(err, fs.ErrNotExist): // what holds goes on to: the defaults, if there never was one
		if t.found.Load() {
			t.log.Warn("config file is gone, its tables stay in force until there is one again", "file", t.file)
		}
		return false
	case err != nil:
		t.log.Error("config not reloaded, the old one stays", "cause", err)
		return false
	default:
		t.found.Store(true)
		t.taken.Add(1)
		if keys := t.started.NeedsRestart(next); len(keys) > 0 {
			t.log.Warn("needs restart", "keys", keys)
		}
		t.latest.Store(next)
		return true
	}
}

// watch calls changed whenever the file has changed. It looks at the file once a second: that works on
// every file system, and nobody edits faster.
func (t *tables) watch(ctx context.Context, changed func()) {
	if t.file == "" {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := stampOf(t.file)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if now := stampOf(t.file); now != last {
				last = now
				changed()
			}
		}
	}
}

// Reload reads the config file again and takes over its plugin tables. Plugins
// that have failed, or that could not be deployed, get another chance.
func (s *Server) Reload(ctx context.Context) {
	reloaded := s.tables.reload()
	if err := s.plugins.Mount(s.tables.mounts()); err != nil {
		s.log.Error("connect of sockets not taken over, the same plugins go on to decide", "cause", err)
	}
	s.deployer.Retry(ctx)
	switch err := s.plugins.Configure(ctx, s.tables.plugin); {
	case err == nil:
	case deploy.GivenUp(ctx, err):
		s.log.Info("plugins not reconfigured, rtd stops", "cause", err)
	default:
		s.log.Error("plugin not reconfigured", "cause", err)
	}
	if reloaded {
		s.log.Info("config reloaded", "file", s.tables.file)
	}
}
