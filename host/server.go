package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/host/api"
	"rtd/host/config"
	"rtd/host/crashes"
	"rtd/host/folder"
	"rtd/host/handshake"
	"rtd/host/longpoll"
	"rtd/host/plugin"
	"rtd/host/versions"
	"rtd/host/web"
	"rtd/host/wire"
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
	versions *versions.Store    // nil if none are kept
	crashes  *crashes.Collector // nil if there are no reports
	mounts   mounts
	proxies  handshake.Proxies
	metrics  http.Handler

	changing sync.Mutex         // held through a change of the folder or the config
	refused  map[string]refusal // what could not be deployed, by plugin name
	folder   *folder.Folder     // of plugins; nil before Serve

	listener net.Listener
	conns    *connSet
	running  sync.WaitGroup // writers, and goroutines of Serve
	poller   *wire.Poller
	writers  *writers
	polls    *longpoll.Server
	tokens   *tokens
	apiKeys  []string
	admin    administration
	ready    atomic.Bool // the plugins that were there have been loaded
	draining atomic.Bool
	// slotsFreed says that there may be memory to give back.
	slotsFreed atomic.Bool
	counts     counts
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
	accepted, framesOut            atomic.Uint64
	deploys, deployErrors, reloads atomic.Uint64
	rollbacks                      tally[rollback]   // of plugins, by cause
	refused                        tally[string]     // connections, by cause
	closed                         tally[closeFrame] // connections, by how rtd closed them
}

// tally counts rare things by what they are; the zero value has counted nothing.
type tally[K comparable] struct {
	mu sync.Mutex
	of map[K]uint64
}

func (t *tally[K]) add(what K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of = map[K]uint64{}
	}
	t.of[what]++
}

// all returns a copy.
func (t *tally[K]) all() map[K]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.of)
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
	err := s.openAdmin()
	if err != nil {
		return nil, err
	}
	if s.tokens, err = newTokens(s.config.Auth, s.log); err != nil {
		return nil, err
	}
	if s.apiKeys, err = secrets(s.config.API.Keys); err != nil {
		return nil, fmt.Errorf("read api.keys: %w", err)
	}
	s.polls = longpoll.New(longpoll.Options{
		MaxBody:  int64(s.config.Server.MaxFrame),
		Messages: s.config.Server.MaxOutboxMessages,
		Bytes:    s.config.Server.MaxOutboxBytes,
	})
	if s.mounts, err = newMounts(s.config); err != nil {
		return nil, err
	}
	if s.proxies, err = handshake.NewProxies(s.config.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("read server.trusted_proxies: %w", err)
	}
	if err := s.openCrashReports(); err != nil {
		return nil, err
	}
	if s.engine, err = sandbox.NewEngine(sandbox.Options{CacheDir: s.cacheDir(), Examine: s.examine()}); err != nil {
		s.closeCrashReports()
		return nil, err
	}
	s.conns = newConnSet(s.config.Server.MaxConnections, s.config.Server.MaxPerAddress)
	s.endpoint = channels.NewEndpoint(ChannelLimits(s.config))
	s.plugins = plugin.NewSet(s.endpoint, s.engine, s.runtime, s.log)
	s.plugins.Withdrawn = s.withdrawn
	s.versions = s.openVersions()
	s.reportCrashes()
	s.metrics = newMetrics(s)
	s.poller = wire.New(wire.Options{Kind: s.config.Server.Poller, Limit: s.config.Server.MaxFrame, Log: s.log})
	s.writers = newWriters(runtime.GOMAXPROCS(0), &s.running)
	return s, nil
}

// ChannelLimits are the limits of the config in the words of package channels. Whatever
// may arrive must find room to wait.
func ChannelLimits(c *config.Config) channels.Limits {
	l := &c.Server
	return channels.Limits{Joins: l.MaxJoins, Rate: l.MaxRate, PresenceGrace: l.PresenceGrace, Pending: max(8<<20, framesThatFit*l.MaxFrame)}
}

// framesThatFit is how many frames of the largest size have room, wherever frames
// wait: also if what is configured for the place is less.
const framesThatFit = 2

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

// Listen takes the addresses, of clients and of those who administer the server.
func (s *Server) Listen() error {
	// Silent clients are found by timeouts of our own.
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", s.config.Server.Listen)
	if err != nil {
		return fmt.Errorf("%w; set server.listen in config.toml, or --listen, to a free address", err)
	}
	s.listener = l
	if err := s.listenAdmin(); err != nil {
		return errors.Join(err, l.Close())
	}
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
// accepts nobody, lets handlers finish what they have begun, closes the sockets
// with 1012, batch by batch, and unloads the plugins, all within the grace period.
// It returns nil after a drain. A guest whose deadline is later than the end of the
// grace period may outlive Serve.
func (s *Server) Serve(ctx context.Context) error {
	watch, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	plugins, err := folder.Open(watch, folder.Options{
		Dir:   s.config.Plugins.Dir,
		Build: s.config.Plugins.Build,
		Log:   s.log,
	})
	if err != nil {
		return errors.Join(err, s.listener.Close(), s.closeAdmin(), s.release(context.Background()))
	}
	s.changing.Lock()
	s.folder = plugins
	s.changing.Unlock()
	s.serveAdmin()
	s.running.Go(func() { s.deployChanges(watch, plugins) })
	s.running.Go(func() { s.watchConfig(watch) })
	s.running.Go(func() { s.closeIdle(watch) })
	s.running.Go(func() { s.tokens.run(watch) })
	s.running.Go(func() { s.giveBack(watch) })

	web := s.newHTTPServer(ctx)
	served := make(chan error, 1)
	go func() { served <- s.serveHTTP(web) }()
	select {
	case err = <-served: // the listener broke
	case <-ctx.Done():
		err = nil
	}
	stopWatching()
	return errors.Join(err, plugins.Close(), s.drain(web), s.closeAdmin())
}

// newHTTPServer returns the server of all that is HTTP. Requests that have not been
// answered when ctx ends are told.
func (s *Server) newHTTPServer(ctx context.Context) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", s.metrics)
	if keys := s.apiKeys; len(keys) > 0 {
		mux.Handle("/api/", api.New(backend{s}, api.Options{Keys: keys}))
	}
	mux.Handle("/", web.Handler())
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch m, path, transport := s.mounts.find(r.URL); {
			case m == nil:
				mux.ServeHTTP(w, r)
			case transport == overLongPoll:
				s.poll(w, r, m, path)
			default:
				s.upgrade(w, r, m, path)
			}
		}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       s.connContext,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// rawConn is the key of a request's connection in its context.
type rawConn struct{}

// pollerKind says how connections are waited for.
func (s *Server) pollerKind() string {
	if s.config.Server.TLSCert != "" {
		return wire.Goroutines
	}
	return s.poller.Kind()
}

// connContext is called for each connection when it comes.
func (s *Server) connContext(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := c.(*net.TCPConn); ok && s.config.Server.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(s.config.Server.SendBuffer) // or it stays as large as the kernel likes
	}
	return context.WithValue(ctx, rawConn{}, c)
}

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

// slotsStay is how long a WebAssembly instance stays without an actor's turn in it.
const slotsStay = 2 * time.Second

// closeIdle closes connections from which nothing has come for too long, and frees
// what nobody has used.
func (s *Server) closeIdle(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.polls.Sweep(now)
			s.tokens.sweep(now)
			if s.engine.Trim(slotsStay) > 0 {
				s.slotsFreed.Store(true)
			}
			oldest := now.Add(-s.config.Server.IdleTimeout).Unix()
			s.conns.each(func(c *conn) {
				if last := c.lastRead.Load(); last != 0 && last < oldest {
					c.close(closeIdle)
				}
			})
		}
	}
}
