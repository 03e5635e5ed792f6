package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"rtd/host/httpapi"
)

// A question to a server may be about another node of its cluster: node=NAME in its query. The server passes it on, and answers with what that says.
//
//	rtd ps --node b ──► admin server of a ──► Nodes.AskNode ══► Server.Answer of b

// Question is one that is passed on to another node. Those that change anything are not.
type Question struct {
	Path  string `json:"path"` // such as /admin/plugins
	Query string `json:"query"`
	By    string `json:"by"`
}

// Answer is what that node says.
type Answer struct {
	Status int    `json:"status"` // of HTTP
	Body   []byte `json:"body"`
}

// maxAnswer bounds the body of an [Answer].
const maxAnswer = 1 << 20

// elsewhere passes on questions about other nodes.
func (s *Server) elsewhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		node := query.Get("node")
		switch {
		case node == "" || r.URL.Path == "/admin/nodes":
			next.ServeHTTP(w, r)
			return
		case r.Method != http.MethodGet || r.URL.Path == "/admin/logs":
			httpapi.Fail(w, http.StatusUnprocessableEntity, errors.New("that cannot be asked of another node; ask the node itself"))
			return
		}
		query.Del("node")
		a, err := s.backend.AskNode(r.Context(), node, Question{Path: r.URL.Path, Query: query.Encode(), By: by(r)})
		if err != nil {
			refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.Status)
		_, _ = w.Write(a.Body) // whoever is gone does not mind
	})
}

// Answer answers a question that another node has passed on.
func (s *Server) Answer(ctx context.Context, q Question) (Answer, error) {
	r, err := http.NewRequestWithContext(context.WithValue(ctx, requester{}, q.By), http.MethodGet, "http://rtd"+q.Path+"?"+q.Query, nil)
	if err != nil {
		return Answer{}, err
	}
	if r.URL.Path == "/admin/logs" {
		return Answer{}, errors.New("a log is asked for by lines")
	}
	w := &kept{header: http.Header{}}
	s.mux.ServeHTTP(w, r)
	if w.body.Len() > maxAnswer {
		return Answer{}, fmt.Errorf("the answer has more than %d bytes; ask the node itself", maxAnswer)
	}
	return Answer{cmp.Or(w.status, http.StatusOK), w.body.Bytes()}, nil
}

// kept is an answer that is kept.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) { k.status = cmp.Or(k.status, status) }

func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	if k.body.Len() <= maxAnswer {
		k.body.Write(b)
	}
	return len(b), nil
}

// LogPart is a part of a log, for readers that ask again for the next one.
type LogPart struct {
	Lines []json.RawMessage `json:"lines"`
	Next  uint64            `json:"next"` // to be asked for then
	Lost  uint64            `json:"lost"` // lines that the reader was too slow for
}

// lineTime is how long a question for lines waits for some.
const lineTime = 10 * time.Second

// lines answers with the next lines of the log: behind after, or without it the last ones. With wait it waits for some.
func (s *Server) lines(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	wanted, count, ok := logQuery(w, query)
	if !ok {
		return
	}
	next, end := s.options.Log.tail(count, wanted.passes)
	if text := query.Get("after"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n > end {
			n = 0 // of another life: from the first that is kept
		}
		next = n
	}
	defer s.options.Log.want(wanted.level)()
	part := LogPart{Lines: []json.RawMessage{}}
	for late := time.After(lineTime); ; {
		lines, after, lost, news := s.options.Log.from(next, math.MaxUint64)
		next, part.Lost = after, part.Lost+lost
		for _, line := range slices.DeleteFunc(lines, func(line []byte) bool { return !wanted.passes(line) }) {
			part.Lines = append(part.Lines, bytes.TrimSpace(line))
		}
		if len(part.Lines) > 0 || part.Lost > 0 || len(lines) == 0 && query.Get("wait") == "" {
			break
		}
		if len(lines) > 0 {
			continue
		}
		select {
		case <-news:
			continue
		case <-late:
		case <-r.Context().Done():
		case <-s.ending.Done():
		}
		break
	}
	part.Next = next
	httpapi.Succeed(w, part)
}

// On returns a client whose questions are about another node of the server's cluster; "" is the server itself.
func (c *Client) On(node string) *Client {
	other := *c
	other.node = node
	return &other
}

// LogPart returns the next lines of the log, and with wait waits some seconds for them. The first part has no after.
func (c *Client) LogPart(ctx context.Context, q LogQuery, after *uint64, wait bool) (part LogPart, err error) {
	query := url.Values{"plugin": {q.Plugin}, "level": {q.Level}, "lines": {strconv.Itoa(q.Lines)}}
	if after != nil {
		query.Set("after", strconv.FormatUint(*after, 10))
	}
	if wait {
		query.Set("wait", "1")
	}
	return part, c.ask(ctx, "GET", "lines", query, nil, &part)
}
