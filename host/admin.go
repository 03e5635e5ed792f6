package host

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"rtd/host/admin"
	"rtd/host/folder"
	"rtd/host/plugin"
	"rtd/host/versions"
)

// administration is where a server is administered: its listeners, and what answers there.
// The zero value is one that nobody has opened.
type administration struct {
	log       *admin.Log
	keys      []string
	listeners []net.Listener
	server    *admin.Server
	serving   sync.WaitGroup
}

// openAdmin reads the keys, and has what is logged from now on kept for readers.
func (s *Server) openAdmin() (err error) {
	c := &s.config.Admin
	if c.Socket == "" && c.Listen == "" {
		return nil
	}
	if s.admin.keys, err = secrets(c.Keys); err != nil {
		return fmt.Errorf("read admin.keys: %w", err)
	}
	s.admin.log = admin.NewLog()
	s.log = slog.New(slog.NewMultiHandler(s.log.Handler(), s.admin.log.Handler()))
	return nil
}

// listenAdmin takes the addresses where the server is administered. Without a place
// of its own for the socket the server runs all the same.
func (s *Server) listenAdmin() error {
	c := &s.config.Admin
	paths := admin.SocketPaths(c.Socket, s.config.Plugins.Dir)
	var failures []error
	for _, path := range paths {
		l, err := admin.Listen(path)
		if err == nil {
			s.admin.listeners = append(s.admin.listeners, l)
			break
		}
		failures = append(failures, err)
		if errors.Is(err, admin.ErrTaken) {
			break
		}
	}
	switch {
	case len(s.admin.listeners) > 0 || len(paths) == 0:
	case c.Socket == admin.Auto:
		s.log.Warn("no admin socket: rtd deploy, plugins, ps and logs will not find this server", "cause", errors.Join(failures...))
	default:
		return failures[0]
	}
	if c.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("%w; set admin.listen in config.toml to a free address", err), s.closeAdmin())
	}
	if s.config.Server.TLSCert != "" {
		certificate, err := tls.LoadX509KeyPair(s.config.Server.TLSCert, s.config.Server.TLSKey)
		if err != nil {
			return errors.Join(fmt.Errorf("read certificate: %w", err), l.Close(), s.closeAdmin())
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate}})
	} else if to, is := l.Addr().(*net.TCPAddr); is && !to.IP.IsLoopback() {
		s.log.Warn("keys of admin commands travel in the clear; set server.tls_cert and tls_key, or let admin.listen be 127.0.0.1", "at", to.String())
	}
	s.admin.listeners = append(s.admin.listeners, l)
	return nil
}

// serveAdmin answers there until closeAdmin.
func (s *Server) serveAdmin() {
	if len(s.admin.listeners) == 0 {
		return
	}
	s.admin.server = admin.New(adminBackend{s}, admin.Options{Keys: s.admin.keys, MaxModule: folder.MaxFileSize, Log: s.admin.log, Errors: s.log})
	for _, l := range s.admin.listeners {
		s.log.Info("administered", "at", l.Addr().String())
		s.admin.serving.Go(func() {
			if err := s.admin.server.Serve(l); err != nil {
				s.log.Error("no longer administered", "at", l.Addr().String(), "cause", err)
			}
		})
	}
}

// closeAdmin ends it. Who follows the log gets what is logged until now.
func (s *Server) closeAdmin() (err error) {
	if s.admin.server == nil {
		for _, l := range s.admin.listeners {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = s.admin.server.Shutdown(ctx)
	s.admin.serving.Wait()
	return err
}

// adminBackend is the server as those see it who administer it.
type adminBackend struct{ *Server }

func (b adminBackend) Ready() bool { return backend(b).Ready() }

// The states of a plugin.
const (
	stateRunning = "running"
	stateFailed  = "failed"
	stateWaiting = "waiting"
	stateRefused = "refused"
)

func (b adminBackend) Plugins() []admin.Plugin {
	var list []admin.Plugin
	for _, stats := range b.plugins.Stats() {
		p := admin.Plugin{
			Name: stats.Name, State: stateRunning, Version: stats.Version, Hash: stats.Hash, Canary: stats.Canary,
			Topics: append([]string{}, stats.Topics...), Instances: stats.Sandbox.Live,
		}
		if stats.Failed {
			p.State = stateFailed
		}
		for _, other := range stats.Others {
			p.Instances += other.Instances
		}
		kept, _ := b.Server.Versions(p.Name) // if there are none, it is not known
		if i := slices.IndexFunc(kept, func(v versions.Version) bool { return v.Hash == p.Hash }); i >= 0 {
			p.Deployed, p.By = kept[i].When, kept[i].By
		}
		list = append(list, p)
	}
	for _, n := range b.plugins.Crashes() {
		if i := slices.IndexFunc(list, func(p admin.Plugin) bool { return p.Name == n.Plugin }); i >= 0 {
			list[i].Crashes += n.Crashes
			list[i].Restarts += n.Restarts
		}
	}
	return b.withRefused(list)
}

// withRefused adds what could not be deployed to a list of plugins. It waits for a
// deploy that is under way.
func (b adminBackend) withRefused(list []admin.Plugin) []admin.Plugin {
	b.changing.Lock()
	defer b.changing.Unlock()
	for name, r := range b.refused {
		i := slices.IndexFunc(list, func(p admin.Plugin) bool { return p.Name == name })
		switch {
		case i >= 0:
			list[i].Cause = "its file is not deployed: " + r.cause.Error()
		case r.waits:
			list = append(list, admin.Plugin{Name: name, State: stateWaiting, Topics: []string{}, Cause: r.cause.Error()})
		default:
			list = append(list, admin.Plugin{Name: name, State: stateRefused, Topics: []string{}, Cause: r.cause.Error()})
		}
	}
	slices.SortFunc(list, func(p, q admin.Plugin) int { return cmp.Compare(p.Name, q.Name) })
	return list
}

func (b adminBackend) Versions(name string) ([]admin.Version, error) {
	kept, err := b.Server.Versions(name)
	if err != nil {
		return nil, err
	}
	if len(kept) == 0 && b.plugins.Version(name) == "" {
		return nil, noPlugin(name)
	}
	var list []admin.Version
	for _, v := range kept {
		list = append(list, admin.Version{Version: v.ID(), Hash: v.Hash, Size: v.Size, When: v.When, By: v.By, Withdrawn: v.Withdrawn})
	}
	return list, nil
}

func (b adminBackend) Deploy(ctx context.Context, name string, wasm []byte, by string) (version string, err error) {
	version, err = b.Server.Deploy(ctx, name, wasm, by)
	if errors.Is(err, plugin.ErrUnchanged) {
		err = admin.ErrUnchanged
	}
	return version, err
}

func noPlugin(name string) error {
	return fmt.Errorf("%w: %q; rtd plugins lists them", admin.ErrNoPlugin, name)
}

// listed is how many processes are listed under a supervisor of those that come and
// go.
const listed = 1000

func (b adminBackend) Processes(ctx context.Context, name string) (trees []admin.Process, err error) {
	names := []string{name}
	if name == "" {
		names = nil
		for _, stats := range b.plugins.Stats() {
			names = append(names, stats.Name)
		}
	}
	for _, n := range names {
		tree, ok := b.plugins.Processes(ctx, n, listed)
		switch {
		case ok:
			trees = append(trees, adminProcess(tree))
		case name != "":
			return nil, noPlugin(name)
		}
	}
	return trees, nil
}

func adminProcess(p plugin.Process) admin.Process {
	q := admin.Process{PID: p.PID(), Kind: string(p.Kind), Name: p.Name, State: "restarting", Restarts: p.Restarts, More: p.More}
	if l := p.Life; l != nil {
		q.State, q.Mailbox, q.Memory, q.Reductions = l.State.String(), l.Mailbox, l.Memory, l.Reductions
	}
	for _, child := range p.Children {
		q.Children = append(q.Children, adminProcess(child))
	}
	return q
}
