package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rtd/host/admin"
	"rtd/host/config"
	"rtd/host/folder"
)

// administration is where a server is administered: its listeners, and what answers there.
type administration struct {
	config    *config.Config
	keys      []string
	lines     *admin.Log // of the log, for its readers; nil if there is no place to read them
	log       *slog.Logger
	listeners []net.Listener
	server    *admin.Server                // nil before serve, or without a place to serve at
	answers   atomic.Pointer[admin.Server] // the same, for questions of other nodes
	serving   sync.WaitGroup
}

// newAdministration reads the keys. Lines for its log are kept for readers too, from now on.
func newAdministration(c *config.Config, log *slog.Logger) (*administration, error) {
	a := &administration{config: c, log: log}
	if c.Admin.Socket == "" && c.Admin.Listen == "" {
		return a, nil
	}
	var err error
	if a.keys, err = secrets(c.Admin.Keys); err != nil {
		return nil, fmt.Errorf("read admin.keys: %w", err)
	}
	a.lines = admin.NewLog()
	a.log = slog.New(slog.NewMultiHandler(log.Handler(), a.lines.Handler()))
	return a, nil
}

// listen takes the addresses. Without a place of its own for the socket the server runs all the same. The TLS of a TCP
// address is secure, or none.
func (a *administration) listen(secure *tls.Config) error {
	c := &a.config.Admin
	paths := admin.SocketPaths(c.Socket, a.config.Plugins.Dir)
	var failures []error
	for _, path := range paths {
		l, err := admin.Listen(path)
		if err == nil {
			a.listeners = append(a.listeners, l)
			break
		}
		failures = append(failures, err)
		if errors.Is(err, admin.ErrTaken) {
			break
		}
	}
	switch {
	case len(a.listeners) > 0 || len(paths) == 0:
	case c.Socket == admin.Auto:
		a.log.Warn("no admin socket: rtd deploy, plugins, ps and logs will not find this server", "cause", errors.Join(failures...))
	default:
		return failures[0]
	}
	if c.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("%w; set admin.listen in config.toml to a free address", err), a.close())
	}
	if secure != nil {
		l = tls.NewListener(l, secure)
	} else if to, is := l.Addr().(*net.TCPAddr); is && !to.IP.IsLoopback() {
		a.log.Warn("keys of admin commands travel in the clear; set server.tls_cert and tls_key, or let admin.listen be 127.0.0.1", "at", to.String())
	}
	a.listeners = append(a.listeners, l)
	return nil
}

// answer answers what another node is asked.
func (a *administration) answer(ctx context.Context, q admin.Question) (admin.Answer, error) {
	s := a.answers.Load()
	if s == nil {
		return admin.Answer{}, errors.New("the node is not administered: its config has neither admin.socket nor admin.listen, or it has just begun")
	}
	return s.Answer(ctx, q)
}

// serve answers there until close.
func (a *administration) serve(b admin.Backend) {
	if len(a.listeners) == 0 {
		return
	}
	a.server = admin.New(b, admin.Options{Keys: a.keys, MaxModule: folder.MaxFileSize, Log: a.lines, Errors: a.log})
	a.answers.Store(a.server)
	for _, l := range a.listeners {
		a.log.Info("administered", "at", l.Addr().String())
		a.serving.Go(func() {
			if err := a.server.Serve(l); err != nil {
				a.log.Error("no longer administered", "at", l.Addr().String(), "cause", err)
			}
		})
	}
}

// close ends it. Its readers get what is logged until now.
func (a *administration) close() (err error) {
	if a.server == nil {
		for _, l := range a.listeners {
			err = errors.Join(err, l.Close())
		}
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err = a.server.Shutdown(ctx)
	a.serving.Wait()
	return err
}
