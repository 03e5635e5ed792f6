package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rtd/host/gate"
	"rtd/host/httpapi"
)

// Backend is the server that is administered. Its methods are called from any goroutine.
// Their errors are texts for people; those about an unknown plugin wrap [ErrNoPlugin].
type Backend interface {
	// Plugins lists the plugins by name, those that do not run included.
	Plugins() []Plugin
	// Versions lists the kept versions of a plugin, the latest deploy first.
	Versions(plugin string) ([]Version, error)
	// Processes returns the trees of a plugin, or of all if its name is "".
	Processes(ctx context.Context, plugin string) ([]Process, error)
	// Deploy makes a module the current version of a plugin, new or not, and keeps it for
	// the next start. With [ErrUnchanged] it returns the version too.
	Deploy(ctx context.Context, plugin string, wasm []byte, by string) (Deployment, error)
	// DryRun tries a module as Deploy would, and how the live processes would move to
	// it. Nothing changes.
	DryRun(ctx context.Context, plugin string, wasm []byte) (Deployment, error)
	// Rollback makes a former version current: the version whose hash begins with to, or
	// the last good one.
	Rollback(ctx context.Context, plugin, to, by string) (Deployment, error)
	// Bus returns the state of the bus.
	Bus() Bus
	States
	Asides
	Histories
	Nodes
	// Ready reports whether every plugin of the folder runs and the server does not drain.
	Ready() bool
}

// Deployment is the result of a deploy by a [Backend], with a way to wait for the
// verdict.
type Deployment struct {
	Deployed
	// Decided waits for the verdict, and fails with the context's error.
	Decided func(context.Context) (Verdict, error)
}

// Bounds on connections: readers of the log, and a few besides. Further ones are refused,
// or connections closed that keep the server waiting.
const (
	maxConnections = 128
	maxPerAddress  = 64
)

// MaxModule is how many bytes a module may have if the server says nothing else.
const MaxModule = 64 << 20

// Options configure a [Server].
type Options struct {
	Keys      []string     // for those who do not come by a Unix socket; none: they may not
	MaxModule int64        // bytes of a module; default MaxModule
	Readers   int          // who follow the log at a time; default 32
	Deploys   int          // modules that are in memory as a whole at a time; default 4
	Waiting   int          // who wait for what becomes of a version at a time; default 32
	Log       *Log         // that may be read; required
	Errors    *slog.Logger // for mishaps of connections; default: slog.Default()
}

// Server answers requests about a server.
type Server struct {
	backend   Backend
	options   Options
	keys      httpapi.Keys
	gate      *gate.Gate
	mux       *http.ServeMux
	http      *http.Server
	deploying chan struct{}   // holds an entry for each deploy
	waiting   chan struct{}   // and one for each who waits for what becomes of one
	reading   chan struct{}   // and one for each reader of the log
	ending    context.Context // ended: readers of the log get what there is, and no more
	end       context.CancelFunc
}

// New returns a server without listeners.
func New(b Backend, o Options) *Server {
	o.MaxModule = cmp.Or(o.MaxModule, MaxModule)
	o.Readers, o.Deploys, o.Waiting = cmp.Or(o.Readers, 32), cmp.Or(o.Deploys, 4), cmp.Or(o.Waiting, 32)
	s := &Server{
		backend:   b,
		options:   o,
		keys:      httpapi.NewKeys(o.Keys),
		deploying: make(chan struct{}, o.Deploys),
		waiting:   make(chan struct{}, o.Waiting),
		reading:   make(chan struct{}, o.Readers),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/health", s.health)
	mux.HandleFunc("GET /admin/bus", s.bus)
	mux.HandleFunc("GET /admin/plugins", s.plugins)
	mux.HandleFunc("GET /admin/versions", s.versions)
	mux.HandleFunc("GET /admin/processes", s.processes)
	mux.HandleFunc("POST /admin/deploy", s.deploy)
	mux.HandleFunc("POST /admin/rollback", s.rollback)
	mux.HandleFunc("GET /admin/logs", s.logs)
	mux.HandleFunc("GET /admin/lines", s.lines)
	s.routeStates(mux)
	s.routeHistory(mux)
	s.routeAsides(mux)
	s.routeNodes(mux)
	s.mux = mux
	s.gate = gate.New(gate.Options{
		Room: func(netip.Addr) (all, own int) { return maxConnections, maxPerAddress },
		Address: func(peer net.Addr) netip.Addr {
			tcp, ok := peer.(*net.TCPAddr)
			if !ok {
				return netip.Addr{} // of the socket's owner
			}
			return tcp.AddrPort().Addr().Unmap()
		},
		Silent: true,
	})
	s.http = &http.Server{
		Handler:           s.gate.Handler(s.authorized(s.elsewhere(mux))),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(s.gate.ConnContext(ctx, c), connection{}, gate.Below(c))
		},
		ErrorLog: slog.NewLogLogger(cmp.Or(o.Errors, slog.Default()).Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers the requests at a listener until Shutdown, and then returns nil. It may
// be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(s.gate.Listen(l)); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin commands: %w", err)
	}
	return nil
}

// Shutdown closes the listeners and lets requests end that are under way, until ctx does.
// Readers of the log get the lines that were logged before, if they take them soon.
func (s *Server) Shutdown(ctx context.Context) error {
	s.end()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// Keys of a request's context.
type (
	connection struct{}
	requester  struct{}
)

// authorized lets authorized clients through, and notes their names.
func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claimed := printable(r.URL.Query().Get("by"))
		var by string
		if c, isUnix := r.Context().Value(connection{}).(*net.UnixConn); isUnix {
			peer, err := peerOf(c)
			if err != nil {
				httpapi.Fail(w, http.StatusForbidden, err)
				return
			}
			by = cmp.Or(peer, claimed, "admin")
		} else {
			if !s.keys.Known(r) {
				httpapi.Unauthorized(w, errors.New("send one of the keys in [admin] of config.toml as Authorization: Bearer KEY; commands take it from RTD_ADMIN_KEY or --key-file"))
				return
			}
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			by = cmp.Or(claimed, "admin") + "@" + host
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requester{}, by)))
	})
}

// printable bounds a name that a client gives.
func printable(name string) string {
	name = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	return strings.ToValidUTF8(name[:min(len(name), 64)], "")
}

func by(r *http.Request) string { return r.Context().Value(requester{}).(string) }

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	httpapi.Succeed(w, Health{Ready: s.backend.Ready()})
}

func (s *Server) bus(w http.ResponseWriter, _ *http.Request) {
	httpapi.Succeed(w, s.backend.Bus())
}

func (s *Server) plugins(w http.ResponseWriter, _ *http.Request) {
	httpapi.Succeed(w, append([]Plugin{}, s.backend.Plugins()...))
}

func (s *Server) versions(w http.ResponseWriter, r *http.Request) {
	list, err := s.backend.Versions(r.URL.Query().Get("plugin"))
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, append([]Version{}, list...))
}

func (s *Server) processes(w http.ResponseWriter, r *http.Request) {
	list, err := s.backend.Processes(r.Context(), r.URL.Query().Get("plugin"))
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, append([]Process{}, list...))
}

// deploy takes a few modules at a time: each is in memory as a whole.
func (s *Server) deploy(w http.ResponseWriter, r *http.Request) {
	d, unchanged, ok := s.deployModule(w, r)
	if !ok {
		return
	}
	d.Unchanged = unchanged
	httpapi.Succeed(w, d.Deployed)
	if r.URL.Query().Get("wait") != "" && !d.DryRun {
		s.await(w, r, &d)
	}
}

func (s *Server) deployModule(w http.ResponseWriter, r *http.Request) (d Deployment, unchanged, ok bool) {
	select {
	case s.deploying <- struct{}{}:
		defer func() { <-s.deploying }()
	default:
		httpapi.Fail(w, http.StatusTooManyRequests, fmt.Errorf("%d deploys are under way; try again when one is done", s.options.Deploys))
		return d, false, false
	}
	wasm, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxModule))
	if err != nil {
		httpapi.FailBody(w, "module", err)
		return d, false, false
	}
	if r.URL.Query().Get("dry") != "" {
		if d, err = s.backend.DryRun(r.Context(), r.URL.Query().Get("plugin"), wasm); err != nil {
			refuse(w, err)
			return d, false, false
		}
		d.Deployed.DryRun = true
		return d, false, true
	}
	// Once the deploy has begun, the client cannot interrupt it.
	d, err = s.backend.Deploy(context.WithoutCancel(r.Context()), r.URL.Query().Get("plugin"), wasm, by(r))
	unchanged = errors.Is(err, ErrUnchanged)
	if err != nil && !unchanged {
		refuse(w, err)
		return d, false, false
	}
	return d, unchanged, true
}

// await sends the verdict on a version, as a second object.
func (s *Server) await(w http.ResponseWriter, r *http.Request, d *Deployment) {
	stream := http.NewResponseController(w)
	if stream.Flush() != nil {
		return
	}
	verdict := Verdict{State: Undecided, Cause: fmt.Sprintf("%d wait already", s.options.Waiting)}
	select {
	case s.waiting <- struct{}{}:
		defer func() { <-s.waiting }()
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.ending, cancel)()
		var err error
		if verdict, err = d.Decided(ctx); err != nil {
			verdict = Verdict{State: Undecided, Cause: "the server ends"}
		}
	default:
	}
	_ = json.NewEncoder(w).Encode(verdict) // a client that is gone will not mind
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	d, err := s.backend.Rollback(context.WithoutCancel(r.Context()), query.Get("plugin"), query.Get("to"), by(r))
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, d.Deployed)
}

// logs sends the last lines, and with follow the lines that come: one JSON object on each
// line.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	wanted, count, ok := logQuery(w, r.URL.Query())
	if !ok {
		return
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		httpapi.Fail(w, http.StatusTooManyRequests, fmt.Errorf("%d read the log already", s.options.Readers))
		return
	}
	defer s.options.Log.want(wanted.level)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	stream := http.NewResponseController(w)
	_ = stream.SetReadDeadline(time.Time{}) // nothing more has to come
	defer context.AfterFunc(s.ending, func() { _ = stream.SetWriteDeadline(time.Now().Add(lastLines)) })()
	if stream.Flush() == nil { // so that it begins before there is a line
		s.sendLog(w, r, wanted, count)
	}
}

// logQuery reads which lines are wanted, and how many of those that were there before.
func logQuery(w http.ResponseWriter, query url.Values) (wanted filter, count uint64, ok bool) {
	wanted.plugin = query.Get("plugin")
	if err := wanted.level.UnmarshalText([]byte(cmp.Or(query.Get("level"), "info"))); err != nil {
		httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("level %.20q; want debug, info, warn or error", query.Get("level")))
		return wanted, 0, false
	}
	count, err := strconv.ParseUint(cmp.Or(query.Get("lines"), "100"), 10, 31)
	if err != nil {
		httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("lines %.20q; want a number", query.Get("lines")))
		return wanted, 0, false
	}
	return wanted, count, true
}

// lastLines is how long a reader of the log may hold up the end.
const lastLines = 500 * time.Millisecond

// sendLog sends the last count lines, and with follow those that come. It waits for the
// reader, and meanwhile keeps a few lines at most.
func (s *Server) sendLog(w http.ResponseWriter, r *http.Request, wanted filter, count uint64) {
	stream := http.NewResponseController(w)
	next, end := s.options.Log.tail(count, wanted.passes)
	if r.URL.Query().Get("follow") != "" {
		end = math.MaxUint64
	}
	for ended := false; next < end; {
		lines, after, lost, news := s.options.Log.from(next, end)
		next = after
		if len(lines) == 0 && lost == 0 {
			if ended {
				return
			}
			select {
			case <-news:
			case <-r.Context().Done():
				return
			case <-s.ending.Done():
				ended = true
			}
			continue
		}
		lines = slices.DeleteFunc(lines, func(line []byte) bool { return !wanted.passes(line) })
		if (len(lines) > 0 || lost > 0) && sendLines(w, stream, lines, lost) != nil {
			return
		}
	}
}

// sendLines sends lines, and before them the number of lost ones. It waits for the
// reader.
func sendLines(w io.Writer, stream *http.ResponseController, lines [][]byte, lost uint64) error {
	if lost > 0 {
		if err := json.NewEncoder(w).Encode(loss{lost}); err != nil {
			return err
		}
	}
	for _, line := range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return stream.Flush()
}

// refuse answers an error of the backend.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	if errors.Is(err, ErrNoPlugin) {
		status = http.StatusNotFound
	}
	httpapi.Fail(w, status, err)
}
