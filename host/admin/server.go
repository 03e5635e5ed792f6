package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Backend is the server that is administered. Its methods are called from any
// goroutine. Their errors are for the person who has asked; those about a plugin that
// there is not wrap [ErrNoPlugin].
type Backend interface {
	// Plugins lists the plugins by name, those that do not run included.
	Plugins() []Plugin
	// Versions lists the kept versions of a plugin, the latest deploy first.
	Versions(plugin string) ([]Version, error)
	// Processes returns the trees of a plugin, or of all if its name is "".
	Processes(ctx context.Context, plugin string) ([]Process, error)
	// Deploy makes a module the current version of a plugin, new or not, and keeps
	// it where a restart finds it. With [ErrUnchanged] it returns the version too.
	Deploy(ctx context.Context, plugin string, wasm []byte, by string) (version string, err error)
	// Rollback makes a version current that was so before: the one whose hash begins
	// with to, or the last good one.
	Rollback(ctx context.Context, plugin, to, by string) (version string, err error)
	// Ready reports whether plugins are loaded and the server does not drain.
	Ready() bool
}

// MaxModule is how many bytes a module may have if the server says nothing else.
const MaxModule = 64 << 20

// Options configure a [Server].
type Options struct {
	Keys      []string     // for those who do not come by a Unix socket; none: they may not
	MaxModule int64        // bytes of a module; default MaxModule
	Readers   int          // who follow the log at a time; default 32
	Log       *Log         // that may be read; required
	Errors    *slog.Logger // for mishaps of connections; default: slog.Default()
}

// Server answers those who administer a server.
type Server struct {
	backend   Backend
	options   Options
	keys      [][sha256.Size]byte
	http      *http.Server
	deploying chan struct{} // holds an entry during a deploy
	reading   chan struct{} // and one for each reader of the log
	ending    chan struct{} // closed: readers of the log get what there is, and no more
}

// New returns a server without listeners.
func New(b Backend, o Options) *Server {
	o.MaxModule = cmp.Or(o.MaxModule, MaxModule)
	o.Readers = cmp.Or(o.Readers, 32)
	s := &Server{
		backend:   b,
		options:   o,
		deploying: make(chan struct{}, 1),
		reading:   make(chan struct{}, o.Readers),
		ending:    make(chan struct{}),
	}
	for _, key := range o.Keys {
		s.keys = append(s.keys, sha256.Sum256([]byte(key)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/health", s.health)
	mux.HandleFunc("GET /admin/plugins", s.plugins)
	mux.HandleFunc("GET /admin/versions", s.versions)
	mux.HandleFunc("GET /admin/processes", s.processes)
	mux.HandleFunc("POST /admin/deploy", s.deploy)
	mux.HandleFunc("POST /admin/rollback", s.rollback)
	mux.HandleFunc("GET /admin/logs", s.logs)
	s.http = &http.Server{
		Handler:           s.authorized(mux),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute, // a module may come over a slow line
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connection{}, c) },
		ErrorLog:          slog.NewLogLogger(cmp.Or(o.Errors, slog.Default()).Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers what comes to a listener until Shutdown, and then returns nil. It may
// be called for several.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve admin commands: %w", err)
	}
	return nil
}

// Shutdown closes the listeners and lets requests end that are under way, until ctx
// does. Readers of the log get what was logged before. Call it once.
func (s *Server) Shutdown(ctx context.Context) error {
	close(s.ending)
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

// authorized lets those through who may, and notes who they are.
func (s *Server) authorized(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claimed := printable(r.URL.Query().Get("by"))
		var by string
		if c, isUnix := r.Context().Value(connection{}).(*net.UnixConn); isUnix {
			peer, err := peerOf(c)
			if err != nil {
				fail(w, http.StatusForbidden, err)
				return
			}
			by = cmp.Or(peer, claimed, "admin")
		} else {
			if !s.knows(r.Header.Get("Authorization")) {
				w.Header().Set("WWW-Authenticate", "Bearer")
				fail(w, http.StatusUnauthorized, errors.New("send one of the keys in [admin] of config.toml as Authorization: Bearer KEY; commands take it from RTD_ADMIN_KEY or --key-file"))
				return
			}
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			by = cmp.Or(claimed, "admin") + "@" + host
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requester{}, by)))
	})
}

func (s *Server) knows(authorization string) bool {
	scheme, key, _ := strings.Cut(authorization, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	known := 0
	for _, k := range s.keys {
		known |= subtle.ConstantTimeCompare(k[:], sum[:])
	}
	return known == 1 && strings.EqualFold(scheme, "Bearer")
}

// printable bounds a name that somebody gives themselves.
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
	succeed(w, Health{Ready: s.backend.Ready()})
}

func (s *Server) plugins(w http.ResponseWriter, _ *http.Request) {
	succeed(w, append([]Plugin{}, s.backend.Plugins()...))
}

func (s *Server) versions(w http.ResponseWriter, r *http.Request) {
	list, err := s.backend.Versions(r.URL.Query().Get("plugin"))
	if err != nil {
		refuse(w, err)
		return
	}
	succeed(w, append([]Version{}, list...))
}

func (s *Server) processes(w http.ResponseWriter, r *http.Request) {
	list, err := s.backend.Processes(r.Context(), r.URL.Query().Get("plugin"))
	if err != nil {
		refuse(w, err)
		return
	}
	succeed(w, append([]Process{}, list...))
}

// deploy takes modules one after the other: each is in memory as a whole.
func (s *Server) deploy(w http.ResponseWriter, r *http.Request) {
	select {
	case s.deploying <- struct{}{}:
		defer func() { <-s.deploying }()
	default:
		fail(w, http.StatusTooManyRequests, errors.New("another deploy is under way; try again when it is done"))
		return
	}
	wasm, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxModule))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		fail(w, http.StatusRequestEntityTooLarge, fmt.Errorf("the module has more than %d bytes", large.Limit))
		return
	}
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("read module: %w", err))
		return
	}
	// Once it has begun it is not for who asked to interrupt it.
	version, err := s.backend.Deploy(context.WithoutCancel(r.Context()), r.URL.Query().Get("plugin"), wasm, by(r))
	unchanged := errors.Is(err, ErrUnchanged)
	if err != nil && !unchanged {
		refuse(w, err)
		return
	}
	succeed(w, Deployed{version, unchanged})
}

func (s *Server) rollback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	version, err := s.backend.Rollback(context.WithoutCancel(r.Context()), query.Get("plugin"), query.Get("to"), by(r))
	if err != nil {
		refuse(w, err)
		return
	}
	succeed(w, Deployed{Version: version})
}

// logs sends the last lines, and with follow what comes then: one JSON object on each
// line.
func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted := filter{plugin: query.Get("plugin")}
	if err := wanted.level.UnmarshalText([]byte(cmp.Or(query.Get("level"), "info"))); err != nil {
		fail(w, http.StatusUnprocessableEntity, fmt.Errorf("level %.20q; want debug, info, warn or error", query.Get("level")))
		return
	}
	count, err := strconv.ParseUint(cmp.Or(query.Get("lines"), "100"), 10, 31)
	if err != nil {
		fail(w, http.StatusUnprocessableEntity, fmt.Errorf("lines %.20q; want a number", query.Get("lines")))
		return
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		fail(w, http.StatusTooManyRequests, fmt.Errorf("%d read the log already", s.options.Readers))
		return
	}
	defer s.options.Log.want(wanted.level)()
	w.Header().Set("Content-Type", "application/x-ndjson")
	stream := http.NewResponseController(w)
	_ = stream.SetReadDeadline(time.Time{}) // nothing more has to come
	lines, next := s.options.Log.tail(int(count), wanted.passes)
	if sendLines(w, stream, lines, 0) != nil || query.Get("follow") == "" {
		return
	}
	for ended := false; !ended; {
		lines, after, lost, news := s.options.Log.from(next)
		next = after
		var passed [][]byte
		for _, line := range lines {
			if wanted.passes(line) {
				passed = append(passed, line)
			}
		}
		if len(passed) > 0 || lost > 0 {
			if sendLines(w, stream, passed, lost) != nil {
				return
			}
		}
		select {
		case <-news:
		case <-r.Context().Done():
			return
		case <-s.ending:
			ended = len(lines) == 0
		}
	}
}

// sendLines sends lines, and before them how many are lost. It waits for the reader.
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

func succeed(w http.ResponseWriter, body any) { write(w, http.StatusOK, body) }

// refuse answers an error of the backend.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusUnprocessableEntity
	if errors.Is(err, ErrNoPlugin) {
		status = http.StatusNotFound
	}
	fail(w, status, err)
}

func fail(w http.ResponseWriter, status int, err error) { write(w, status, problem{err.Error()}) }

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone will not mind
}
