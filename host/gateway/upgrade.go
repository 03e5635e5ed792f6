package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"rtd/channels"
	"rtd/host/gate"
	"rtd/host/gateway/deflate"
	"rtd/host/gateway/handshake"
)

// upgrade serves the WebSocket endpoint of a mount: it checks what can be checked before
// there is a connection, and then has the connection served. Refusals are
// statuses without a body, as Phoenix's are; the log says why.
func (g *Gateway) upgrade(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string) {
	client := g.proxies.Client(r)
	raw, _ := r.Context().Value(rawConn{}).(net.Conn)
	c := &conn{gateway: g, raw: raw, client: client.Addr()}
	err := g.admit(r, c)
	if err == nil {
		if err = g.handshake(w, r, m, path, c); err != nil {
			g.conns.remove(c)
		}
	}
	if err != nil {
		g.refusals.answer(w, m, c.client.String(), err)
		return
	}
	g.accepted.Add(1)
	g.log.Debug("connected", "remote", c.client, "socket", m.name)
	c.wire.Start(c, c.packs.on()) // and nothing of the request is kept
}

// admit says whether there is room for another connection.
func (g *Gateway) admit(r *http.Request, c *conn) error {
	switch {
	case r.Method != http.MethodGet:
		return refuse(http.StatusBadRequest, "request", errors.New("not a GET"))
	case r.ContentLength != 0:
		return refuse(http.StatusBadRequest, "request", errors.New("a handshake with a body"))
	case !g.open.Load():
		return refuse(http.StatusServiceUnavailable, "loading", errors.New("plugins are being loaded"))
	}
	return g.conns.add(c)
}

// handshake decides about a request, in Phoenix's order, and makes a connection of it.
func (g *Gateway) handshake(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string, c *conn) error {
	params, err := handshake.Params(r.URL.RawQuery, path)
	if err != nil {
		return refuse(http.StatusBadRequest, "request", err)
	}
	if err := g.checkOrigin(r, m); err != nil {
		return err
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
	claims, connection, err := g.decide(r, m, params, offer)
	if err != nil {
		return err
	}
	c.token = g.tokens.hold(claims, c.tell, func() { c.close(closeToken) })
	c.attach(codec, connection, m)
	if m.config.DeflateFrom > 0 {
		agreed := deflate.Negotiate(r.Header)
		c.packs = packs{from: int32(m.config.DeflateFrom), to: int32(agreed.Window)}
		if agreed.Answer != "" {
			w.Header().Set("Sec-WebSocket-Extensions", agreed.Answer)
		}
	}
	handshake.Accept(w, r, offer)
	raw, buffers, err := http.NewResponseController(w).Hijack()
	if err != nil {
		c.token.release()
		c.socket.Close()
		return refuse(0, "request", err) // Accept has answered
	}
	arrived, _ := buffers.Reader.Peek(buffers.Reader.Buffered())
	c.adopt(gate.Take(raw), arrived) // and HTTP's buffers are let go
	c.open()
	return nil
}

// checkOrigin says whether the page may connect that a request comes from.
func (g *Gateway) checkOrigin(r *http.Request, m *mount) error {
	origin := r.Header.Get("Origin")
	if m.origins.Allow(origin, g.proxies.Host(r)) {
		return nil
	}
	return refuse(http.StatusForbidden, "origin", fmt.Errorf("origin %.200q is not allowed; add it to origins in [server] or [socket.%s] of config.toml if it should be", origin, m.name))
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
