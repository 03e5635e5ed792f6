package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rtd/host/httpapi"
)

// State is what is stored of a durable actor.
type State struct {
	Actor    string    `json:"actor"`           // such as "chat/topic:doc:1" or "chat/process:counter"
	Revision uint64    `json:"revision"`        // counts its changes
	Bytes    int       `json:"bytes"`           // its memory, and what the host holds for it
	At       time.Time `json:"at"`              // of the last change
	Due      time.Time `json:"due,omitzero"`    // when it wakes by itself at the latest
	Version  string    `json:"version"`         // that wrote it: the hash of its module
	Snapshot string    `json:"snapshot"`        // that its memory differs from
	Posts    int       `json:"posts"`           // messages that wait for it
	State    string    `json:"state"`           // one of the constants
	Cause    string    `json:"cause,omitempty"` // why it does not go on
}

// The states of a [State].
const (
	StateStored  = "stored"  // it goes on at its next event, if it is not awake
	StateDamaged = "damaged" // it is refused until somebody repairs it, or gives it up
	StateRefused = "refused" // it cannot go on: in this version or config, for a while as it has crashed too often, or as what wrote it is not kept any more
)

// WholeState is a state as it is exported and imported.
type WholeState struct {
	State
	Guest []byte `json:"guest"` // memory, as package sandbox writes it
	Held  []byte `json:"held"`  // what the host holds: timers, names and so on
}

// StateQuery says which states to list.
type StateQuery struct {
	Plugin string
	Kind   string // topic or process
	Prefix string // of the names
	After  string // names that come after this one
	Limit  int    // at most so many
}

// States is the part of a [Backend] that has what is stored of durable actors.
type States interface {
	// States lists them by name.
	States(ctx context.Context, q StateQuery) ([]State, error)
	// State returns one.
	State(ctx context.Context, actor string) (WholeState, error)
	// ImportState stores a state in place of what there is. The error says if its version or snapshot is not kept.
	ImportState(ctx context.Context, actor string, s WholeState, by string) error
	// ResetState removes an actor: the next event begins it anew.
	ResetState(ctx context.Context, actor, by string) error
	// RepairStates has an actor go on that is damaged, without what is lost; with the name "" all that wait as nobody knows whom damage concerns.
	RepairStates(ctx context.Context, actor, by string) error
	// Backup writes all that is stored, with the versions that it needs, see package backup.
	Backup(ctx context.Context, w io.Writer) error
}

const (
	// MaxStates is how many states one answer lists.
	MaxStates = 1000
	// maxWholeState bounds a state to import, in bytes of JSON.
	maxWholeState = 32 << 20
)

func (s *Server) routeStates(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/states", s.states)
	mux.HandleFunc("GET /admin/state", s.state)
	mux.HandleFunc("PUT /admin/state", s.importState)
	mux.HandleFunc("DELETE /admin/state", s.resetState)
	mux.HandleFunc("POST /admin/state/repair", s.repairStates)
	mux.HandleFunc("GET /admin/backup", s.backup)
}

// backup sends a backup. One that fails after its beginning is cut, and so does not end as a whole one does.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	out := &begun{Writer: w}
	err := s.backend.Backup(r.Context(), out)
	switch {
	case err == nil:
	case !out.yes:
		refuse(w, err)
	default:
		s.options.Errors.Warn("backup failed", "by", by(r), "cause", err)
		panic(http.ErrAbortHandler) // so that the client knows
	}
}

// begun notes that something was written.
type begun struct {
	io.Writer
	yes bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.Writer.Write(p)
}

func (s *Server) states(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, ok := httpapi.Limit(w, r, MaxStates)
	if !ok {
		return
	}
	kind := query.Get("kind")
	if kind != "topic" && kind != "process" {
		httpapi.Fail(w, http.StatusUnprocessableEntity, fmt.Errorf("kind %.20q; want topic or process", kind))
		return
	}
	list, err := s.backend.States(r.Context(), StateQuery{
		Plugin: query.Get("plugin"), Kind: kind, Prefix: query.Get("prefix"), After: query.Get("after"), Limit: limit,
	})
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, append([]State{}, list...))
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	state, err := s.backend.State(r.Context(), r.URL.Query().Get("actor"))
	if err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, state)
}

func (s *Server) importState(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWholeState))
	if err != nil {
		httpapi.FailBody(w, "state", err)
		return
	}
	var state WholeState
	if err := json.Unmarshal(text, &state); err != nil || len(state.Guest) == 0 {
		httpapi.Fail(w, http.StatusBadRequest, errors.New("it is no state; want one that rtd state export has written"))
		return
	}
	if err := s.backend.ImportState(context.WithoutCancel(r.Context()), r.URL.Query().Get("actor"), state, by(r)); err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, struct{}{})
}

func (s *Server) resetState(w http.ResponseWriter, r *http.Request) {
	if err := s.backend.ResetState(context.WithoutCancel(r.Context()), r.URL.Query().Get("actor"), by(r)); err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, struct{}{})
}

func (s *Server) repairStates(w http.ResponseWriter, r *http.Request) {
	if err := s.backend.RepairStates(context.WithoutCancel(r.Context()), r.URL.Query().Get("actor"), by(r)); err != nil {
		refuse(w, err)
		return
	}
	httpapi.Succeed(w, struct{}{})
}

// States lists what is stored of durable actors.
func (c *Client) States(ctx context.Context, q StateQuery) (list []State, err error) {
	return list, c.ask(ctx, "GET", "states", url.Values{
		"plugin": {q.Plugin}, "kind": {q.Kind}, "prefix": {q.Prefix}, "after": {q.After}, "limit": {strconv.Itoa(cmp.Or(q.Limit, 100))},
	}, nil, &list)
}

// State returns what is stored of a durable actor.
func (c *Client) State(ctx context.Context, actor string) (s WholeState, err error) {
	return s, c.ask(ctx, "GET", "state", url.Values{"actor": {actor}}, nil, &s)
}

// ImportState stores a state that State has returned, of whichever server.
func (c *Client) ImportState(ctx context.Context, actor string, state []byte) error {
	return c.ask(ctx, "PUT", "state", url.Values{"actor": {actor}}, state, &struct{}{})
}

// Backup copies a backup of the server to w. One that is cut is no error here: package backup knows.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	body, err := c.open(ctx, "GET", "backup", nil, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("receive backup: %w", err)
	}
	return nil
}

// ResetState removes a durable actor.
func (c *Client) ResetState(ctx context.Context, actor string) error {
	return c.ask(ctx, "DELETE", "state", url.Values{"actor": {actor}}, nil, &struct{}{})
}

// RepairStates has a damaged actor go on without what is lost; with the name "" all that wait as nobody knows whom damage concerns.
func (c *Client) RepairStates(ctx context.Context, actor string) error {
	return c.ask(ctx, "POST", "state/repair", url.Values{"actor": {actor}}, nil, &struct{}{})
}
