package host

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/config"
)

// upgrade serves /socket/websocket: it checks what can be checked before
// there is a connection, and then serves the connection to its end. Refusals are
// statuses without a body, as Phoenix's are; the log says why.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	remote := s.proxies.client(r)
	refuse := func(status int, cause string) {
		s.counts.refused.Add(1)
		s.log.Debug("connection refused", "remote", remote, "status", status, "cause", cause)
		w.WriteHeader(status)
	}
	if r.Method != http.MethodGet || !asksFor(r, "Connection", "upgrade") || !asksFor(r, "Upgrade", "websocket") {
		refuse(http.StatusBadRequest, "not a WebSocket upgrade")
		return
	}
	if !s.ready.Load() || s.draining.Load() {
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusServiceUnavailable, "not ready")
		return
	}
	codec, ok := codecFor(r.URL.Query())
	if !ok {
		refuse(http.StatusForbidden, "unsupported vsn "+r.URL.Query().Get("vsn"))
		return
	}
	if !s.origins.allow(r, s.proxies) {
		refuse(http.StatusForbidden, "origin "+r.Header.Get("Origin")+" is not allowed; see origins in config.toml")
		return
	}
	raw, _ := r.Context().Value(rawConn{}).(net.Conn)
	c := &conn{server: s, raw: raw, remote: remote}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"phoenix"},
		InsecureSkipVerify: true, // the origin is checked above
		OnPingReceived:     func(_ context.Context, _ []byte) bool { c.touch(); return true },
		OnPongReceived:     func(_ context.Context, _ []byte) { c.touch() },
	})
	if err != nil {
		s.counts.refused.Add(1)
		s.log.Debug("connection refused", "remote", remote, "cause", err)
		return // Accept has answered
	}
	ws.SetReadLimit(int64(s.config.Server.MaxFrame))
	c.ws = ws
	c.touch()
	if !s.conns.add(c) { // the drain has begun meanwhile
		ws.CloseNow()
		return
	}
	defer s.conns.remove(c)
	s.counts.accepted.Add(1)
	s.log.Debug("connected", "remote", remote)
	c.serve(codec)
}

// asksFor reports whether one of the words of a header is the given one.
func asksFor(r *http.Request, header, word string) bool {
	words := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
	return slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(strings.TrimSpace(w), word) })
}

// vsnV2 is the requirement ~> 2.0.0 of the Phoenix serializer.
var vsnV2 = regexp.MustCompile(`^2\.0\.(0|[1-9][0-9]{0,8})$`)

// codecFor chooses the codec by the vsn that the client sent. There is none for
// 1.0.x yet, which is also what a missing vsn means.
func codecFor(query url.Values) (channels.Codec, bool) {
	if vsn := query["vsn"]; len(vsn) == 1 && vsnV2.MatchString(vsn[0]) {
		return channels.V2, true
	}
	return nil, false
}

// origins says which web pages may connect.
type origins struct {
	any     bool
	allowed []config.Origin // none: those of the host asked for
}

func newOrigins(entries []string) (origins, error) {
	if slices.Contains(entries, "*") {
		return origins{any: true}, nil
	}
	var o origins
	for _, entry := range entries {
		parsed, err := config.ParseOrigin(entry)
		if err != nil {
			return origins{}, err
		}
		o.allowed = append(o.allowed, parsed)
	}
	return o, nil
}

// allow checks a request's Origin. Without that header it does not come from a
// web page, and there is nothing to protect.
func (o origins) allow(r *http.Request, p proxies) bool {
	header := r.Header.Get("Origin")
	if header == "" || o.any {
		return true
	}
	origin, err := url.Parse(header)
	if err != nil || origin.Host == "" {
		return false
	}
	if len(o.allowed) == 0 {
		return strings.EqualFold(origin.Hostname(), hostname(p.host(r)))
	}
	return slices.ContainsFunc(o.allowed, func(a config.Origin) bool { return matchOrigin(a, origin) })
}

func matchOrigin(a config.Origin, origin *url.URL) bool {
	host := strings.ToLower(origin.Hostname())
	if domain, wild := strings.CutPrefix(a.Host, "*."); wild {
		if host != domain && !strings.HasSuffix(host, "."+domain) {
			return false
		}
	} else if a.Host != "" && host != a.Host {
		return false
	}
	return (a.Scheme == "" || a.Scheme == strings.ToLower(origin.Scheme)) &&
		(a.Port == "" || a.Port == port(origin))
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	switch strings.ToLower(u.Scheme) {
	case "https", "wss":
		return "443"
	}
	return "80"
}

func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// proxies are the networks whose X-Forwarded headers are believed.
type proxies []netip.Prefix

func newProxies(entries []string) (proxies, error) {
	var p proxies
	for _, entry := range entries {
		prefix, err := config.ParseProxy(entry)
		if err != nil {
			return nil, err
		}
		p = append(p, prefix)
	}
	return p, nil
}

func (p proxies) trust(address string) bool {
	ip, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(address), "[]"))
	return err == nil && slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(ip.Unmap()) })
}

// client returns the address that a request came from: the last one, seen from
// here, that is no trusted proxy's.
func (p proxies) client(r *http.Request) string {
	address := hostname(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		hop = strings.TrimSpace(hop)
		if !p.trust(address) || hop == "" {
			break
		}
		if _, err := netip.ParseAddr(strings.Trim(hop, "[]")); err != nil {
			break
		}
		address = hop
	}
	return address
}

// host returns the host that the client asked for.
func (p proxies) host(r *http.Request) string {
	if forwarded := r.Header.Get("X-Forwarded-Host"); forwarded != "" && p.trust(hostname(r.RemoteAddr)) {
		return forwarded
	}
	return r.Host
}
