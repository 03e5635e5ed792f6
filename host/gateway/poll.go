package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"

	"rtd/channels"
	"rtd/host/gateway/handshake"
	"rtd/host/gateway/longpoll"
)

// authTokenHeader carries a client's token over long polling, where the URL is not
// the place for it either.
const authTokenHeader = "X-Phoenix-AuthToken"

// poll serves the long polling endpoint of a mount: the same socket behind another
// transport. A session is no connection: its own limits hold for it, and it is not
// counted among the connections of an address.
func (g *Gateway) poll(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string) {
	if err := g.checkOrigin(r, m); err != nil {
		g.refusals.note(m, g.proxies.Client(r).Addr().String(), overLongPoll, err)
		longpoll.Refuse(w, http.StatusForbidden)
		return
	}
	if !g.open.Load() {
		longpoll.Refuse(w, longpoll.TryAgain)
		return
	}
	g.polls.Serve(w, r, func(out channels.Outbox, end func()) (longpoll.Socket, error) {
		socket, err := g.openPoll(r, m, path, out, end)
		if err != nil {
			if e := g.refusals.note(m, g.proxies.Client(r).Addr().String(), overLongPoll, err); e.status >= 500 && e.cause != "connect" { // it is not the plugin's refusal
				err = fmt.Errorf("%w: %w", longpoll.ErrLater, err)
			}
			return nil, err
		}
		g.accepted.Add(1)
		return socket, nil
	})
}

// AnswerPoll answers a request of a client that polls, for a session of this node, which has come to another one. That has checked its origin.
func (g *Gateway) AnswerPoll(ctx context.Context, q longpoll.Request) ([]byte, error) {
	return g.polls.Answer(ctx, q)
}

// addressed is the outbox of a session, whose client is known by its first request.
type addressed struct {
	channels.Outbox
	client netip.Addr
}

// Address tells handlers that linger which clients have the same.
func (a addressed) Address() string { return handshake.Group(a.client).String() }

// openPoll decides about a new client, as handshake does for WebSockets.
func (g *Gateway) openPoll(r *http.Request, m *mount, path map[string]string, out channels.Outbox, end func()) (longpoll.Socket, error) {
	if g.draining.Load() {
		return nil, refuse(http.StatusServiceUnavailable, "draining", errDraining)
	}
	params, err := handshake.Params(r.URL.RawQuery, path)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "request", err)
	}
	codec, err := codecFor(params)
	if err != nil {
		return nil, refuse(http.StatusForbidden, "vsn", err)
	}
	var offer handshake.Offer
	if tokens := r.Header.Values(authTokenHeader); m.config.AuthToken && len(tokens) == 1 {
		offer.Token = &tokens[0]
	}
	r.Header.Del(authTokenHeader) // it has a place of its own, and is not for every log
	claims, connection, err := g.decide(r, m, params, offer)
	if err != nil {
		return nil, err
	}
	p := &polled{}
	p.Socket = g.endpoint.NewSocket(channels.SocketOptions{
		Codec: codec, Out: addressed{out, g.proxies.Client(r).Addr()}, ID: connection.ID, Assigns: connection.Assigns, Closed: connection.Closed, Serves: m.serves,
		Disconnect: end, Control: p.control,
	})
	p.token = g.tokens.hold(claims, p.Tell, end)
	return p, nil
}

// polled is a socket that lives by a token, perhaps.
type polled struct {
	*channels.Socket
	token *heldToken
}

// control is called for frames, which come when the session is open.
func (p *polled) control(event string, payload []byte, reply func(status string, response []byte)) bool {
	return p.token != nil && p.token.control(event, payload, reply)
}

// polledLeaver is a session that ends in a drain. What it takes until then is answered, if a poll comes for it.
type polledLeaver struct{ longpoll.Held }

func (l polledLeaver) tell(event string, payload []byte) { l.Socket.(*polled).Tell(event, payload) }
func (l polledLeaver) takeNothing()                      {}
func (l polledLeaver) drain() {
	l.Socket.(*polled).Drain()
	l.End()
}

// Close implements [longpoll.Socket].
func (p *polled) Close() {
	p.token.release()
	p.Socket.Close()
}
