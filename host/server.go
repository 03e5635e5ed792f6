package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"

	"rtd/channels"
	"rtd/host/api"
	"rtd/host/cluster"
	"rtd/host/config"
	"rtd/host/deploy"
	"rtd/host/durable"
	"rtd/host/folder"
	"rtd/host/gateway"
	"rtd/host/rollout"
	"rtd/host/settings"
	"rtd/host/versions"
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
	config    *config.Config // as started
	tables    *tables        // as they are now
	log       *slog.Logger
	linesLost func() uint64 // of the log; nil: none

	runtime  *supervisor.Runtime
	engine   *sandbox.Engine
	endpoint *channels.Endpoint
	plugins  *rollout.Set
	deployer *deploy.Deployer
	gateway  *gateway.Gateway
	admin    *administration
	crashes  crashReports
	bus      *busNeeds
	durables *durables
	nodes    *nodes // nil without a cluster

	archiving  context.Context // until all plugins have ended
	endArchive context.CancelFunc

	listener    net.Listener
	certificate *certificate   // nil without TLS
	running     sync.WaitGroup // goroutines of Serve
}

// Options say what to run.
type Options struct {
	Config *config.Config
	// ConfigFile is watched; its plugin tables are taken over when it changes.
	// Empty: nothing is watched.
	ConfigFile string
	// Reload reads ConfigFile again. Default: config.Load. A caller that overrides
	// keys of the file overrides them here too.
	Reload func(file string) (*config.Config, error)
	// Awaits are plugins that will be put into the plugin folder. Clients are not let in, and
	// the server is not ready, before each has been deployed, refused, or said to be [deploy.Deployer.NotBuilt].
	Awaits []string
	Log    *slog.Logger // never waits for its readers, see package logs; default: slog.Default()
	// LinesLost is how many lines of Log nobody could read, for the metrics. Nil: none.
	LinesLost func() uint64
}

// New prepares a server. Nothing runs yet; Serve ends what New has begun.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Reload == nil {
		o.Reload = config.Load
	}
	log := slog.New(brief{o.Log.Handler()})
	s := &Server{config: o.Config, linesLost: o.LinesLost, runtime: supervisor.New(supervisor.Options{})}
	var err error
	if s.admin, err = newAdministration(s.config, log); err != nil {
		return nil, err
	}
	s.log = s.admin.log
	if name, err := s.config.Cluster.NodeName(); err == nil && s.config.Cluster.Name != "" {
		s.log = slog.New(signed{s.log.Handler(), slog.String("node", name)})
	}
	s.tables = newTables(o, s.log)
	s.bus = newBusNeeds(s.config, s.log)
	apiKeys, err := secrets(s.config.API.Keys)
	if err != nil {
		return nil, fmt.Errorf("read api.keys: %w", err)
	}
	s.crashes = openCrashReports(s.config, s.log)
	engine := settings.Engine(s.config, s.log)
	engine.Examine = s.crashes.examine()
	if s.engine, err = sandbox.NewEngine(engine); err != nil {
		s.crashes.close()
		return nil, err
	}
	s.endpoint = channels.NewEndpoint(settings.Channels(s.config.Server))
	load := func() cluster.Load { return loadOf(s.gateway, s.endpoint.Hub) }
	if s.nodes, err = newNodes(s.config, s.endpoint, load, s.log); err != nil {
		s.crashes.close()
		return nil, errors.Join(err, s.engine.Close(context.Background()))
	}
	s.plugins = rollout.NewSet(s.endpoint, s.engine, s.runtime, s.log)
	s.plugins.OnCrash(s.crashes.add)
	s.durables = &durables{need: s.bus.need, plugins: s.plugins, settings: s.tables.plugin, history: s.config.Server.MaxHistoryBytes, marker: markerOf(versionsDir(s.config.Plugins)), kept: s.endpoint.KeepsDurably, read: make(chan struct{}, 1), log: s.log}
	s.plugins.Remember(func() (durable.Keeper, error) { return s.durables.get() })
	s.plugins.Archive(func() (durable.Histories, error) { return s.durables.get() }, s.durables.histories)
	s.archiving, s.endArchive = context.WithCancel(context.Background())
	_ = s.plugins.Mount(s.tables.mounts()) // no plugin is there that could object
	others := http.NewServeMux()
	s.gateway, err = gateway.New(gateway.Options{
		Config: s.config, Endpoint: s.endpoint, Plugins: s.plugins, Others: others, Settled: s.runtime.Wait, Log: s.log,
		Node: s.nodes.name(), Elsewhere: s.nodes.poll,
	})
	if s.nodes != nil && err == nil {
		s.nodes.answerPoll, s.nodes.admin = s.gateway.AnswerPoll, s.admin
	}
	if err != nil {
		s.plugins.Close()
		s.endpoint.Presence.Close()
		s.crashes.close()
		return nil, errors.Join(err, s.engine.Close(context.Background()))
	}
	s.deployer = deploy.New(deploy.Options{
		Plugins: s.plugins, Versions: openVersions(s.config.Plugins, s.log), Settings: s.tables.plugin, States: s.durables.uses, Awaits: o.Awaits,
		Log: s.log,
	})
	s.route(others, apiKeys)
	return s, nil
}

// everywhere is the hub, on all nodes if there are others.
func (s *Server) everywhere() everywhere { return everywhere{s.endpoint, s.nodes} }

// readiness is whether clients should come here.
func (s *Server) readiness() readiness {
	return readiness{s.gateway, s.deployer, s.bus, s.durables, s.nodes}
}

// route has requests answered that are not of clients.
func (s *Server) route(mux *http.ServeMux, apiKeys []string) {
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("GET /readyz", s.readiness())
	mux.Handle("GET /metrics", newMetrics(s))
	if len(apiKeys) > 0 {
		mux.Handle("/api/", api.New(apiBackend{s.everywhere(), s.readiness()}, api.Options{Keys: apiKeys}))
	}
	mux.Handle("/", web.Handler())
}

// Listen takes the addresses, of clients and of those who administer the server.
func (s *Server) Listen() error {
	if c := &s.config.Server; c.TLSCert != "" {
		var err error
		if s.certificate, err = loadCertificate(c.TLSCert, c.TLSKey, s.log); err != nil {
			return err
		}
	}
	// Silent clients are found by timeouts of our own.
	l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(context.Background(), "tcp", s.config.Server.Listen)
	if err != nil {
		return fmt.Errorf("%w; set server.listen in config.toml, or --listen, to a free address", err)
	}
	s.listener = l
	if err := s.admin.listen(s.secure()); err != nil {
		return errors.Join(err, l.Close())
	}
	return nil
}

// secure is the TLS of the server's addresses, or nil.
func (s *Server) secure() *tls.Config {
	if s.certificate == nil {
		return nil
	}
	return s.certificate.config()
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
	if err == nil {
		if err = s.nodes.open(); err != nil {
			err = errors.Join(err, plugins.Close())
		}
	}
	if err == nil {
		if err = provideServices(s.plugins.Services()); err != nil {
			err = errors.Join(err, plugins.Close())
		}
	}
	if err != nil {
		return errors.Join(err, s.listener.Close(), s.admin.close(), s.release(context.Background()))
	}
	s.deployer.Use(plugins)
	s.admin.serve(adminBackend{s.plugins, s.deployer, s.bus, stateBackend{s.durables, s.plugins, s.deployer, versionsDir(s.config.Plugins), s.log},
		asideBackend{s.durables, s.plugins, s.log}, historyBackend{s.everywhere(), s.log}, s.nodes, s.readiness()})
	s.running.Go(func() { s.deployer.Run(watch, func() { s.loaded(watch) }) })
	s.running.Go(func() { s.durables.watch(watch, func() { s.deployer.Retry(watch) }) })
	s.running.Go(func() { s.tables.watch(watch, func() { s.Reload(watch) }) })
	if s.certificate != nil {
		s.running.Go(func() { s.certificate.watch(watch) })
	}
	if s.nodes != nil && s.nodes.certificate != nil {
		s.running.Go(func() { s.nodes.certificate.watch(watch) })
	}
	s.running.Go(func() { s.gateway.Run(watch) })
	s.running.Go(func() { s.endpoint.Hub.RunArchive(s.archiving) })
	s.running.Go(func() { giveBack(watch, s.engine, s.endpoint.Hub) })

	served := make(chan error, 1)
	go func() { served <- s.gateway.Serve(s.listener, s.secure()) }()
	select {
	case err = <-served: // the listener broke
	case <-ctx.Done():
		err = nil
	}
	stopWatching()
	return errors.Join(err, plugins.Close(), s.drain(), s.admin.close())
}

// Deploys returns the deployer of plugins: the folder's, that of those who administer the server, and that of
// Go code.
func (s *Server) Deploys() *deploy.Deployer { return s.deployer }

// loaded lets clients in: the plugins that were there have been decided about.
func (s *Server) loaded(ctx context.Context) {
	s.nodes.form(ctx)
	s.nodes.order()
	s.gateway.Open()
	s.log.Info("ready", "url", s.URL(), "plugins", len(s.plugins.Stats()), "poller", s.gateway.Poller())
}

// auto as a folder in the config is a place in the plugin folder.
const auto = "auto"

// openVersions returns where versions are kept; nil if they are not.
func openVersions(c config.Plugins, log *slog.Logger) *versions.Store {
	dir := versionsDir(c)
	if dir == "" {
		return nil
	}
	return versions.Open(dir, versions.Options{Log: log})
}

// versionsDir is the versions folder, or "".
func versionsDir(c config.Plugins) string {
	if c.Versions == auto {
		return filepath.Join(c.Dir, ".rtd", "versions")
	}
	return c.Versions
}
