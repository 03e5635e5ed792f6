package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/folder"
	"rtd/host/plugin"
	"rtd/host/web"
	"rtd/sandbox"
	"rtd/supervisor"
)

// Server is a running rtd: sockets on one side, plugins on the other.
//
//	s, err := host.New(options)
//	err = s.Listen()        // the address is taken, or one learns why not
//	err = s.Serve(ctx)      // until ctx ends; then it drains
type Server struct {
	options Options
	config  *config.Config                // as started
	tables  atomic.Pointer[config.Config] // the latest one, for its plugin tables
	log     *slog.Logger

	runtime  *supervisor.Runtime
	engine   *sandbox.Engine
	endpoint *channels.Endpoint
	plugins  *plugin.Set
	origins  origins
	proxies  proxies
	metrics  http.Handler

	changing sync.Mutex         // held through a change of the folder or the config
	refused  map[string]refusal // what could not be deployed, by plugin name

	listener net.Listener
	conns    connSet
	running  sync.WaitGroup // writers, and goroutines of Serve
	writers  writers
	ready    atomic.Bool // the plugins that were there have been loaded
	draining atomic.Bool
	counts   counts
}

// Options say what to run.
type Options struct {
	Config *config.Config
	// ConfigFile is watched; its plugin tables are taken over when it changes.
	// Empty: nothing is watched.
	ConfigFile string
	// Reload reads ConfigFile again. Default: config.Load. Whoever overrides
	// keys of the file overrides them here too.
	Reload func(file string) (*config.Config, error)
	Log    *slog.Logger // default: slog.Default()
}

// counts are what the host counts by itself.
type counts struct {
	accepted, refused, framesOut, slow atomic.Uint64
	deploys, deployErrors, reloads     atomic.Uint64
}

// New prepares a server. Nothing runs yet; Serve ends what New has begun.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Reload == nil {
		o.Reload = config.Load
	}
	s := &Server{options: o, config: o.Config, log: o.Log, runtime: supervisor.New(supervisor.Options{}), refused: map[string]refusal{}}
	s.tables.Store(o.Config)
	s.writers = newWriters(&s.running)
	var err error
	if s.origins, err = newOrigins(s.config.Server.Origins); err != nil {
		return nil, fmt.Errorf("read server.origins: %w", err)
	}
	if s.proxies, err = newProxies(s.config.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("read server.trusted_proxies: %w", err)
	}
	if s.engine, err = sandbox.NewEngine(sandbox.Options{CacheDir: s.cacheDir()}); err != nil {
		return nil, err
	}
	s.endpoint = channels.NewEndpoint(channels.Limits{Joins: s.config.Server.MaxJoins})
	s.plugins = plugin.NewSet(s.endpoint, s.engine, s.runtime, s.log)
	s.metrics = newMetrics(s)
	return s, nil
}

// cacheDir is where compiled code is kept; "" keeps it in memory.
func (s *Server) cacheDir() string {
	if s.config.Plugins.Cache != "" {
		return s.config.Plugins.Cache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		s.log.Warn("no cache folder, plugins are compiled at every start", "cause", err)
		return ""
	}
	return filepath.Join(dir, "rtd")
}

// Listen takes the address.
func (s *Server) Listen() error {
	l, err := net.Listen("tcp", s.config.Server.Listen)
	if err != nil {
		return fmt.Errorf("%w; set server.listen in config.toml, or --listen, to a free address", err)
	}
	s.listener = l
	return nil
}

// URL is where the server can be reached after Listen.
func (s *Server) URL() string {
	scheme := "http"
	if s.config.Server.TLSCert != "" {
		scheme = "https"
	}
	return scheme + "://" + s.listener.Addr().String() + "/"
}

// Serve loads the plugins and serves clients until ctx ends. Then it drains: it
// accepts nobody, lets handlers finish what they have begun, closes the sockets with
// 1012 and unloads the plugins, all within the grace period. It returns nil after a drain.
// A guest whose deadline is later than the end of the grace period may outlive Serve.
func (s *Server) Serve(ctx context.Context) error {
	watch, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	plugins, err := folder.Open(watch, folder.Options{
		Dir:   s.config.Plugins.Dir,
		Build: s.config.Plugins.Build,
		Log:   s.log,
	})
	if err != nil {
		return errors.Join(err, s.listener.Close(), s.release(context.Background()))
	}
	s.running.Go(func() { s.deployChanges(watch, plugins) })
	s.running.Go(func() { s.watchConfig(watch) })
	s.running.Go(func() { s.closeIdle(watch) })

	web := s.newHTTPServer()
	served := make(chan error, 1)
	go func() { served <- s.serveHTTP(web) }()
	select {
	case err = <-served: // the listener broke
	case <-ctx.Done():
		err = nil
	}
	stopWatching()
	return errors.Join(err, plugins.Close(), s.drain(web))
}

func (s *Server) newHTTPServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/socket/websocket", s.upgrade)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics)
	mux.Handle("/", web.Handler())
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, rawConn{}, c) },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// rawConn is the key of a request's connection in its context.
type rawConn struct{}

func (s *Server) serveHTTP(web *http.Server) error {
	var err error
	if s.config.Server.TLSCert != "" {
		err = web.ServeTLS(s.listener, s.config.Server.TLSCert, s.config.Server.TLSKey)
	} else {
		err = web.Serve(s.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// healthz answers as long as the process can.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) }

// readyz answers whether clients should come here.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	switch {
	case s.draining.Load():
		http.Error(w, "draining", http.StatusServiceUnavailable)
	case !s.ready.Load():
		http.Error(w, "loading plugins", http.StatusServiceUnavailable)
	default:
		w.Write([]byte("ready\n"))
	}
}

// drain ends all within the grace period.
func (s *Server) drain(web *http.Server) error {
	start := time.Now()
	s.takeNothing()
	s.log.Info("draining", "connections", s.conns.len(), "grace", s.config.Server.Grace)
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Server.Grace)
	defer cancel()

	// Sockets take nothing more from now on. What they have taken is handled
	// and answered before the first of them closes: otherwise one
	// member could have a message acknowledged that another never gets.
	s.settle(ctx)
	s.conns.close(closeDrain)
	s.conns.wait(ctx)
	s.conns.kill()
	err := web.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = web.Close()
	}
	err = errors.Join(err, s.release(ctx))
	s.log.Info("stopped", "after", time.Since(start).Round(time.Millisecond))
	return err
}

// takeNothing makes connections take no further frame. When it returns, what they
// have taken is in a mailbox, so that settle waits for it.
func (s *Server) takeNothing() {
	s.draining.Store(true)
	s.conns.each(func(c *conn) {
		c.taking.Lock() // taking waits for no handler
		c.taking.Unlock()
	})
}

// settle waits until no process has anything to do, for a second at the most.
func (s *Server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(time.Second, s.config.Server.Grace/2))
	defer cancel()
	quiet := make(chan struct{})
	go func() { s.runtime.Wait(); close(quiet) }() // release waits for the same
	select {
	case <-quiet:
	case <-ctx.Done():
	}
}

// release ends what New and Serve have begun. Guests that are still at work when ctx
// ends are left to their deadlines: nobody waits for what they do.
func (s *Server) release(ctx context.Context) error {
	released := make(chan error, 1)
	go func() {
		s.plugins.Close()
		s.runtime.Wait()
		s.running.Wait()
		released <- s.engine.Close(context.Background())
	}()
	select {
	case err := <-released:
		if err != nil {
			return fmt.Errorf("close sandbox: %w", err)
		}
	case <-ctx.Done():
		s.log.Warn("guests are still at work; leaving them, the grace period is over")
	}
	return nil
}

// closeIdle closes connections from which nothing has come for too long.
func (s *Server) closeIdle(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			oldest := now.Add(-s.config.Server.IdleTimeout).Unix()
			s.conns.each(func(c *conn) {
				if c.lastRead.Load() < oldest {
					c.close(closeIdle)
				}
			})
		}
	}
}

// connSet is the connections there are.
type connSet struct {
	mu     sync.Mutex
	all    map[*conn]struct{}
	closed bool          // no more are taken
	empty  chan struct{} // closed when closed and the last one is gone
}

// add reports false once close was called.
func (cs *connSet) add(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return false
	}
	if cs.all == nil {
		cs.all = map[*conn]struct{}{}
	}
	cs.all[c] = struct{}{}
	return true
}

func (cs *connSet) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.all, c)
	if cs.closed && len(cs.all) == 0 {
		close(cs.empty)
	}
}

func (cs *connSet) len() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.all)
}

// each calls f, which must not block, for every connection.
func (cs *connSet) each(f func(*conn)) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.all {
		f(c)
	}
}

// close takes no more connections and closes those there are.
func (cs *connSet) close(f closeFrame) {
	cs.mu.Lock()
	cs.closed = true
	cs.empty = make(chan struct{})
	if len(cs.all) == 0 {
		close(cs.empty)
	}
	cs.mu.Unlock()
	cs.each(func(c *conn) { c.close(f) })
}

// wait returns when all connections are gone, or with ctx.
func (cs *connSet) wait(ctx context.Context) {
	select {
	case <-cs.empty:
	case <-ctx.Done():
	}
}

// kill cuts the connections that are left, and waits for their end.
func (cs *connSet) kill() {
	cs.each(func(c *conn) { c.raw.Close() })
	<-cs.empty
}
