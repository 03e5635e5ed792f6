package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/handshake"
)

// upgrade serves the WebSocket endpoint of a mount: it checks what can be checked before
// there is a connection, and then has the connection served. Refusals are
// statuses without a body, as Phoenix's are; the log says why.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string) {
	client := s.proxies.Client(r)
	raw, _ := r.Context().Value(rawConn{}).(net.Conn)
	c := &conn{server: s, raw: raw, remote: client.Addr().String(), address: handshake.Group(client.Addr())}
	err := s.admit(r, c)
	if err == nil {
		if err = s.handshake(w, r, m, path, c); err != nil {
			s.conns.remove(c)
		}
	}
	if err != nil {
		s.answerRefused(w, m, c.remote, err)
		return
	}
	s.counts.accepted.Add(1)
	s.log.Debug("connected", "remote", c.remote, "socket", m.name)
	c.wire.Start(c) // and nothing of the request is kept
}

// admit says whether there is room for another connection.
func (s *Server) admit(r *http.Request, c *conn) error {
	switch {
	case r.Method != http.MethodGet:
		return refuse(http.StatusBadRequest, "request", errors.New("not a GET"))
	case !s.ready.Load():
		return refuse(http.StatusServiceUnavailable, "loading", errors.New("plugins are being loaded"))
	}
	return s.conns.add(c)
}

// handshake decides about a request, in Phoenix's order, and makes a connection of it.
func (s *Server) handshake(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string, c *conn) error {
	params, err := handshake.Params(r.URL.RawQuery, path)
	if err != nil {
		return refuse(http.StatusBadRequest, "request", err)
	}
	if origin := r.Header.Get("Origin"); !m.origins.Allow(origin, s.proxies.Host(r)) {
		return refuse(http.StatusForbidden, "origin", fmt.Errorf("origin %.200q is not allowed; see origins in config.toml", origin))
	}
	var offer handshake.Offer
	if m.config.AuthToken {
		if offer, err = handshake.ParseOffer(r.Header); err != nil {
			return refuse(http.StatusForbidden, "subprotocol", err)
		}
	}
	codec, err := codecFor(params)
	if err != nil {
		return refuse(http.StatusForbidden, "vsn", err)
	}
	if !handshake.Upgrades(r) {
		return refuse(http.StatusBadRequest, "request", errors.New("not a WebSocket handshake"))
	}
	claims, err := s.tokens.admit(r.Context(), m, params, offer)
	if err != nil {
		return err
	}
	connection, err := s.connect(r.Context(), m, claims, func() []byte {
		return handshake.Info{Params: params, Offer: offer, Claims: claimsOf(claims), Proxies: s.proxies}.JSON(r)
	})
	if err != nil {
		return err
	}
	options := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the origin is checked above
		OnPingReceived:     func(_ context.Context, _ []byte) bool { c.touch(); return true },
		OnPongReceived:     func(_ context.Context, _ []byte) { c.touch() },
	}
	if len(offer.Subprotocols) > 0 {
		options.Subprotocols = []string{handshake.Subprotocol}
	}
	c.token = s.tokens.hold(claims, c.tell, func() { c.close(closeToken) })
	c.attach(codec, connection, m)
	ws, err := websocket.Accept(hijacker{w, c}, r, options)
	if err != nil {
		c.token.release()
		c.socket.Close()
		return refuse(0, "request", err) // Accept has answered
	}
	ws.SetReadLimit(int64(s.config.Server.MaxFrame))
	c.open(ws)
	return nil
}

// hijacker gives the library the connection as package wire has it, for which the
// buffers of HTTP are let go.
type hijacker struct {
	http.ResponseWriter
	conn *conn
}

// Hijack implements [http.Hijacker].
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	arrived, _ := buffers.Reader.Peek(buffers.Reader.Buffered())
	c := h.conn.adopt(raw, arrived)
	return c, c.Buffers(), nil
}

// codecFor chooses the codec by the vsn that the client sent.
func codecFor(params map[string]any) (channels.Codec, error) {
	vsn, said := params["vsn"]
	if !said {
		vsn = "1.0.0"
	}
	if text, ok := vsn.(string); ok {
		if codec, ok := channels.CodecFor(text); ok {
			return codec, nil
		}
	}
	return nil, fmt.Errorf("unsupported vsn %.100q", fmt.Sprint(vsn))
}

// refusedError is why a client does not get a connection.
type refusedError struct {
	status int    // of HTTP; 0 if it has been answered
	cause  string // for the metric
	err    error  // for the log
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

func refuse(status int, cause string, err error) error { return &refusedError{status, cause, err} }

// answerRefused answers a client that does not get a connection.
func (s *Server) answerRefused(w http.ResponseWriter, m *mount, remote string, err error) {
	e, ok := errors.AsType[*refusedError](err)
	if !ok {
		e = &refusedError{http.StatusInternalServerError, "request", err}
	}
	s.counts.refused.add(e.cause)
	s.log.Debug("connection refused", "remote", remote, "socket", m.name, "status", e.status, "cause", err)
	switch e.status {
	case 0:
		return
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
}
