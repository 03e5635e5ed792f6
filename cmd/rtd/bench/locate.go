package bench

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// where is a server.
type where struct {
	addresses []netip.AddrPort // of more than one: connections go to each in turn
	host      string           // as the URL has it
	target    string           // path and query of the WebSocket
}

// locate finds the server of a URL and refuses other machines unless remote is set:
// a slip of the hand must not load what others use.
func locate(address string, p Protocol, remote bool) (where, error) {
	u, err := url.Parse(address)
	if err != nil {
		return where{}, fmt.Errorf("read the URL: %w", err)
	}
	switch u.Scheme {
	case "ws", "http":
	case "wss", "https":
		return where{}, fmt.Errorf("%s: the generator speaks no TLS; name the server behind it, with ws://", address)
	default:
		return where{}, fmt.Errorf("%s: use a URL such as ws://127.0.0.1:4000/socket", address)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	resolved, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return where{}, fmt.Errorf("find the server: %w", err)
	}
	place := netip.AddrPortFrom(resolved.AddrPort().Addr().Unmap(), resolved.AddrPort().Port())
	at := where{addresses: []netip.AddrPort{place}, host: u.Host}
	if !place.Addr().IsLoopback() && !remote {
		return where{}, fmt.Errorf("%s is another machine; if you may load it, say so with --allow-remote", u.Host)
	}
	if p == Phoenix {
		if !strings.HasSuffix(u.Path, "/websocket") {
			u.Path = strings.TrimSuffix(u.Path, "/") + "/websocket"
		}
		if q := u.Query(); !q.Has("vsn") {
			q.Set("vsn", "2.0.0")
			u.RawQuery = q.Encode()
		}
	}
	at.target = u.RequestURI()
	return at, nil
}
