package host

import (
	"errors"
	"fmt"
	"net/http"

	"rtd/channels"
	"rtd/host/handshake"
	"rtd/host/longpoll"
)

// authTokenHeader carries a client's token over long polling, where the URL is not
// the place for it either.
const authTokenHeader = "X-Phoenix-AuthToken"

// poll serves the long polling endpoint of a mount: the same socket behind another
// transport. A session is no connection: its own limits hold for it, and it is not
// counted among the connections of an address.
func (s *Server) poll(w http.ResponseWriter, r *http.Request, m *mount, path map[string]string) {
	if origin := r.Header.Get("Origin"); !m.origins.Allow(origin, s.proxies.Host(r)) {
		s.counts.refused.add("origin")
		longpoll.Refuse(w, http.StatusForbidden)
		return
	}
	if !s.ready.Load() {
		longpoll.Refuse(w, longpoll.TryAgain)
		return
	}
	s.polls.Serve(w, r, func(out channels.Outbox, end func()) (longpoll.Socket, error) {
		socket, err := s.openPoll(r, m, path, out, end)
		if err != nil {
			s.log.Debug("connection refused", "remote", s.proxies.Client(r).Addr(), "socket", m.name, "transport", "longpoll", "cause", err)
			if e, ok := errors.AsType[*refusedError](err); ok && e.status >= 500 && e.cause != "connect" { // it is not the plugin's refusal
				err = fmt.Errorf("%w: %w", longpoll.ErrLater, err)
			}
			return nil, err
		}
		s.counts.accepted.Add(1)
		return socket, nil
	})
}

// openPoll decides about a new client, as handshake does for WebSockets.
func (s *Server) openPoll(r *http.Request, m *mount, path map[string]string, out channels.Outbox, end func()) (longpoll.Socket, error) {
	params, err := handshake.Params(r.URL.RawQuery, path)
	if err != nil {
		return nil, err
	}
	codec, err := codecFor(params)
	if err != nil {
		return nil, err
	}
	var offer handshake.Offer
	if tokens := r.Header.Values(authTokenHeader); m.config.AuthToken && len(tokens) == 1 {
		offer.Token = &tokens[0]
	}
	r.Header.Del(authTokenHeader) // it has a place of its own, and is not for every log
	claims, err := s.tokens.admit(r.Context(), m, params, offer)
	if err != nil {
		return nil, err
	}
	connection, err := s.connect(r.Context(), m, claims, func() []byte {
		return handshake.Info{Params: params, Offer: offer, Claims: claimsOf(claims), Proxies: s.proxies}.JSON(r)
	})
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	p := &polled{}
	p.Socket = s.endpoint.NewSocket(channels.SocketOptions{
		Codec: codec, Out: out, ID: connection.ID, Assigns: connection.Assigns, Serves: m.serves, Disconnect: end,
		Control: p.control,
	})
	p.token = s.tokens.hold(claims, p.Tell, end)
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

// Close implements [longpoll.Socket].
func (p *polled) Close() {
	p.token.release()
	p.Socket.Close()
}
