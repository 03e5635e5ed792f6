package gateway

import (
	"errors"
	"log/slog"
	"net"
	"net/http"

	"rtd/host/gate"
)

// refusedError is why a client does not get a connection.
type refusedError struct {
	status int    // of HTTP; 0 if it has been answered
	cause  string // for the metric
	err    error  // for the log
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

func refuse(status int, cause string, err error) error { return &refusedError{status, cause, err} }

// refusals counts and logs who gets no connection, and why.
type refusals struct {
	log    *slog.Logger
	sparse sparse
	counts tally[string] // by cause
}

// answer answers a client that does not get a connection.
func (rs *refusals) answer(w http.ResponseWriter, m *mount, remote string, err error) {
	e := rs.note(m, remote, overWebSocket, err)
	switch e.status {
	case 0:
		return
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
}

// note counts and logs why a client gets no connection. Causes that the author of
// a config or a client has to know are logged now and then, at any level; never the token.
func (rs *refusals) note(m *mount, remote, transport string, err error) *refusedError {
	e, ok := errors.AsType[*refusedError](err)
	if !ok {
		e = &refusedError{http.StatusInternalServerError, "request", err}
	}
	rs.counts.add(e.cause)
	args := []any{"remote", remote, "socket", m.name, "transport", transport, "status", e.status, "cause", err}
	switch {
	case e.status == http.StatusForbidden && e.cause == "origin":
		rs.sparse.log(slog.LevelInfo, "origin "+m.name, "clients refused for their origin", args...)
	case e.status == http.StatusForbidden && e.cause == "token":
		rs.sparse.log(slog.LevelInfo, "token "+reasonOf(err)+" "+m.name, "clients refused for their token", args...)
	default:
		rs.log.Debug("connection refused", args...)
	}
	return e
}

// visitor counts those who were refused before they could ask, or were too slow to, and
// says so now and then.
func (rs *refusals) visitor(peer net.Addr, cause string) {
	rs.counts.add(cause)
	what := "clients refused before they could ask; there is no room, see max_connections and max_per_address in config.toml"
	if cause == gate.Slow {
		what = "connections closed that kept rtd waiting, as others needed their place; see max_connections and max_per_address in config.toml"
	}
	rs.sparse.log(slog.LevelInfo, cause, what, "remote", peer.String(), "cause", cause)
}

// notAccepted says now and then that nobody can come in.
func (rs *refusals) notAccepted(err error) {
	rs.sparse.log(slog.LevelError, "accept", "clients cannot be accepted; raise the limit of open files (ulimit -n, LimitNOFILE), or lower max_connections", "cause", err)
}
