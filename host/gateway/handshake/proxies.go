package handshake

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"rtd/host/config"
)

// Proxies are the networks whose X-Forwarded headers are believed. The zero value
// believes none.
type Proxies []netip.Prefix

// NewProxies reads entries of the config, as [config.ParseProxy] takes them.
func NewProxies(entries []string) (Proxies, error) {
	var p Proxies
	for _, entry := range entries {
		prefix, err := config.ParseProxy(entry)
		if err != nil {
			return nil, err
		}
		p = append(p, prefix)
	}
	return p, nil
}

// Client returns where a request came from: the last address, seen from here, that is no trusted
// proxy's. Its port is 0 if a proxy did not tell it.
func (p Proxies) Client(r *http.Request) netip.AddrPort {
	client, _ := parseAddress(r.RemoteAddr) // net/http's own, always valid
	for _, hop := range slices.Backward(words(r.Header, "X-Forwarded-For")) {
		if !p.trust(client.Addr()) {
			break
		}
		next, ok := parseAddress(hop)
		if !ok {
			break
		}
		client = next
	}
	return client
}

// Host returns the host and port that the client asked for, as it wrote them.
func (p Proxies) Host(r *http.Request) string {
	if forwarded := p.forwarded(r, "X-Forwarded-Host"); forwarded != "" {
		return forwarded
	}
	return r.Host
}

// Scheme returns http or https: how the client reached rtd, or the first trusted proxy.
func (p Proxies) Scheme(r *http.Request) string {
	switch strings.ToLower(p.forwarded(r, "X-Forwarded-Proto")) {
	case "https", "wss":
		return "https"
	case "http", "ws":
		return "http"
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// forwarded returns the last value of a header, which the nearest proxy has added, if
// that proxy is trusted.
func (p Proxies) forwarded(r *http.Request, header string) string {
	list := words(r.Header, header)
	if peer, _ := parseAddress(r.RemoteAddr); len(list) == 0 || !p.trust(peer.Addr()) {
		return ""
	}
	return list[len(list)-1]
}

// Trust reports whether a peer is a proxy that is believed.
func (p Proxies) Trust(peer netip.Addr) bool { return p.trust(peer.Unmap()) }

func (p Proxies) trust(address netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(address) })
}

// Group returns the key by which connections are counted: the address, of IPv6 its first
// 64 bits.
func Group(address netip.Addr) netip.Addr {
	if address.Is6() {
		if network, err := address.WithZone("").Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return address
}

// parseAddress reads an address with or without port, or brackets.
func parseAddress(s string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
	}
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return netip.AddrPortFrom(a.Unmap(), 0), err == nil
}

// hostname returns a host without its port and brackets.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}
