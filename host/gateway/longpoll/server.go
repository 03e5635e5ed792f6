package longpoll

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
)

// Options configure a [Server]. Zero means the default.
type Options struct {
	Window   time.Duration // how long a poll waits; default 10 s
	MaxBody  int64         // bytes of a POST; default 8 MB, as Phoenix
	Messages int           // that may wait for a poll; default 4,096
	Bytes    int           // of them; default 1 MiB
	Sessions int           // at a time; default 100,000

	// Node names this server among those of a cluster. Its sessions' tokens begin with that, and requests for those of another go there by
	// Elsewhere. "": there is no cluster.
	Node      string
	Elsewhere Elsewhere
}

// Elsewhere asks another node for its [Server.Answer]. The error wraps [ErrLater] if that may be possible later; by any other the session is gone.
type Elsewhere func(ctx context.Context, node string, q Request) (answer []byte, err error)

// Request is a poll, or a post, for a session of another node.
type Request struct {
	Token string
	Post  bool
	Batch bool // Body is several frames
	Body  []byte
}

func (o Options) withDefaults() Options {
	return Options{
		Window:   cmp.Or(o.Window, 10*time.Second),
		MaxBody:  cmp.Or(o.MaxBody, 8_000_000),
		Messages: cmp.Or(o.Messages, 4096),
		Bytes:    cmp.Or(o.Bytes, 1<<20),
		Sessions: cmp.Or(o.Sessions, 100_000),
		Node:     o.Node, Elsewhere: o.Elsewhere,
	}
}

// Socket takes a session's frames: a [channels.Socket].
type Socket interface {
	Receive(frame []byte, binary bool) error
	Decided(ctx context.Context) error // waits for the joins among the frames
	Close()
}

// ErrLater is wrapped by the error of an [Open] that could not decide.
var ErrLater = errors.New("try again later")

// Open decides about a new client and connects it. Frames for it go to out; end ends the
// session. An error refuses the client, for good unless it wraps [ErrLater].
type Open func(out channels.Outbox, end func()) (Socket, error)

// Server has the sessions of a node. Its methods may be called from any goroutine.
type Server struct {
	options Options

	mu       sync.Mutex
	sessions map[string]*session
	closed   bool

	slow, binary atomic.Uint64
}

// Stats are a server's gauges and counters.
type Stats struct {
	Sessions int    // now
	Slow     uint64 // sessions ended because too much waited for them
	Binary   uint64 // frames that could not be sent, as they were binary
}

// New returns a server without sessions. [Server.Sweep] has to be called every
// now and then.
func New(o Options) *Server {
	return &Server{options: o.withDefaults(), sessions: map[string]*session{}}
}

// Stats returns the figures of this moment.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Sessions: len(s.sessions), Slow: s.slow.Load(), Binary: s.binary.Load()}
}

// Serve answers a request whose origin was checked. open is called for the first
// request of a client, and when its session is gone.
func (s *Server) Serve(w http.ResponseWriter, r *http.Request, open Open) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	switch r.Method {
	case http.MethodOptions:
		header.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
		header.Set("Access-Control-Allow-Methods", "get, post, options")
		header.Set("Access-Control-Max-Age", "3600")
		w.WriteHeader(http.StatusOK)
	case http.MethodGet:
		s.get(w, r, open)
	case http.MethodPost:
		s.post(w, r)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// TryAgain is the status for clients that cannot be served now. Clients know no other
// error: after 503, for example, they stop for good.
const TryAgain = http.StatusInternalServerError

// Refuse answers a request with a status of the protocol, such as 403 for a
// foreign origin.
func Refuse(w http.ResponseWriter, status int) { answer(w, response{Status: status}) }

// response is the body of every answer. Messages is nil in answers that have none.
type response struct {
	Status   int      `json:"status"`
	Token    string   `json:"token,omitempty"`
	Messages []string `json:"messages,omitzero"`
}

func answer(w http.ResponseWriter, body response) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body) // a client that is gone will not mind
}

func tokenOf(r *http.Request) string {
	if token := r.Header.Get("X-Phoenix-Longpoll-Token"); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, open Open) {
	token := tokenOf(r)
	body, err := s.polled(r.Context(), token)
	if node := s.nodeOf(token); err != nil && node != "" {
		body, err = s.elsewhere(r.Context(), node, Request{Token: token})
	}
	switch {
	case err == nil:
		answer(w, body)
	case errors.Is(err, errEnded):
		s.open(w, open)
	case errors.Is(err, ErrLater):
		Refuse(w, TryAgain)
	default: // the client has given up
	}
}

// polled answers a poll for a session of this node. The error is errEnded, or that of ctx.
func (s *Server) polled(ctx context.Context, token string) (body response, err error) {
	c := s.find(token)
	if c == nil {
		return body, errEnded
	}
	messages, err := c.poll(ctx, s.options.Window)
	body = response{Status: http.StatusOK, Token: c.token, Messages: messages}
	if len(messages) == 0 {
		body.Status, body.Messages = http.StatusNoContent, []string{}
	}
	return body, err
}

// open begins a session.
func (s *Server) open(w http.ResponseWriter, open Open) {
	c := newSession(s)
	if !s.add(c) {
		Refuse(w, TryAgain)
		return
	}
	socket, err := open(c, func() { go c.end() }) // callers may hold locks
	if err != nil {
		s.remove(c)
		status := http.StatusForbidden
		if errors.Is(err, ErrLater) {
			status = TryAgain
		}
		Refuse(w, status)
		return
	}
	c.connect(socket)
	answer(w, response{Status: http.StatusGone, Token: c.token, Messages: []string{}})
}

// maxBatch is how many frames of a batch are read, as by Phoenix.
const maxBatch = 100

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	token := tokenOf(r)
	node := ""
	if s.find(token) == nil {
		if node = s.nodeOf(token); node == "" {
			Refuse(w, http.StatusGone)
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBody))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		w.WriteHeader(http.StatusRequestTimeout)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	q := Request{Token: token, Post: true, Batch: strings.TrimSpace(kind) == "application/x-ndjson", Body: body}
	if node == "" {
		answer(w, s.posted(r.Context(), q))
		return
	}
	switch reply, err := s.elsewhere(r.Context(), node, q); {
	case err == nil:
		answer(w, reply)
	case errors.Is(err, ErrLater):
		Refuse(w, TryAgain)
	default:
		Refuse(w, http.StatusGone)
	}
}

// posted answers a post for a session of this node.
func (s *Server) posted(ctx context.Context, q Request) response {
	c := s.find(q.Token)
	if c == nil {
		return response{Status: http.StatusGone}
	}
	frames, err := []frame{{q.Body, false}}, error(nil)
	if q.Batch {
		frames, err = batch(q.Body)
	}
	if err == nil {
		err = c.receive(frames)
	}
	if err != nil { // a malformed frame ends its session, as it would a WebSocket
		c.end()
		return response{Status: http.StatusGone}
	}
	if !c.decided(ctx, s.options.Window) {
		return response{Status: http.StatusRequestTimeout}
	}
	return response{Status: http.StatusOK}
}

// betweenNode stands between the node of a token and what is random in it.
const betweenNode = "~"

// nodeOf returns the other node that a token is of, or "".
func (s *Server) nodeOf(token string) string {
	node, _, found := strings.Cut(token, betweenNode)
	if !found || s.options.Node == "" || node == s.options.Node {
		return ""
	}
	return node
}

// elsewhere has another node answer.
func (s *Server) elsewhere(ctx context.Context, node string, q Request) (body response, err error) {
	text, err := s.options.Elsewhere(ctx, node, q)
	switch {
	case ctx.Err() != nil:
		return body, ctx.Err()
	case err == nil:
		err = json.Unmarshal(text, &body)
	case !errors.Is(err, ErrLater):
		return body, errEnded
	}
	if err == nil && !q.Post && body.Status == http.StatusGone {
		err = errEnded // a poll of a session that is gone begins another here
	}
	return body, err
}

// Answer answers a request that has come to another node.
func (s *Server) Answer(ctx context.Context, q Request) ([]byte, error) {
	if q.Post {
		return json.Marshal(s.posted(ctx, q))
	}
	body, err := s.polled(ctx, q.Token)
	if errors.Is(err, errEnded) {
		return json.Marshal(response{Status: http.StatusGone})
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(body)
}

type frame struct {
	data   []byte
	binary bool
}

// batch cuts a body into its frames: a line that begins with [ is text, any other
// the base64 of a binary frame.
func batch(body []byte) (frames []frame, err error) {
	for line := range bytes.Lines(body) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			continue
		case len(frames) == maxBatch:
			return frames, nil
		case line[0] == '[':
			frames = append(frames, frame{line, false})
		default:
			data, err := base64.StdEncoding.AppendDecode(nil, line)
			if err != nil {
				return nil, err
			}
			frames = append(frames, frame{data, true})
		}
	}
	return frames, nil
}

func (s *Server) find(token string) *session {
	if token == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[token]
}

func (s *Server) add(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.sessions) >= s.options.Sessions {
		return false
	}
	s.sessions[c.token] = c
	return true
}

func (s *Server) remove(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.token)
}

// Sweep ends the sessions that nobody polls. Call it once a second or so.
func (s *Server) Sweep(now time.Time) {
	patience := s.options.Window * 3 / 2
	for _, c := range s.all() {
		if c.idleSince(now) > patience {
			c.end()
		}
	}
}

// Close ends all sessions and takes no more.
func (s *Server) Close() {
	for _, h := range s.Shut() {
		h.End()
	}
}

// Held is a session that is there.
type Held struct {
	Socket Socket
	End    func()
}

// Shut takes no more sessions, and returns those that there are. Sessions about to begin end by themselves.
func (s *Server) Shut() []Held {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var held []Held
	for _, c := range s.all() {
		c.mu.Lock()
		socket := c.socket
		c.mu.Unlock()
		if socket == nil {
			c.end()
			continue
		}
		held = append(held, Held{socket, c.end})
	}
	return held
}

func (s *Server) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		all = append(all, c)
	}
	return all
}
