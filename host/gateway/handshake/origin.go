package handshake

import (
	"net/url"
	"slices"
	"strings"

	"rtd/host/config"
)

// Origins are the web pages that may connect. The zero value allows pages from the host
// that the client asked for.
type Origins struct {
	any     bool
	allowed []config.Origin
}

// NewOrigins reads entries of the config: none, "*" alone, or some as [config.ParseOrigin] takes them.
func NewOrigins(entries []string) (Origins, error) {
	if slices.Contains(entries, "*") {
		return Origins{any: true}, nil
	}
	var o Origins
	for _, entry := range entries {
		parsed, err := config.ParseOrigin(entry)
		if err != nil {
			return Origins{}, err
		}
		o.allowed = append(o.allowed, parsed)
	}
	return o, nil
}

// Allow judges the Origin header of a client that asked for host. Without the header the request
// does not come from a web page, and there is nothing to protect.
func (o Origins) Allow(header, host string) bool {
	if header == "" || o.any {
		return true
	}
	if whole := withoutHost(header); whole != "" {
		return slices.ContainsFunc(o.allowed, func(a config.Origin) bool { return a.Whole == whole })
	}
	origin, err := url.Parse(header)
	if err != nil || origin.Host == "" {
		return false
	}
	if len(o.allowed) == 0 {
		return strings.EqualFold(origin.Hostname(), hostname(host))
	}
	return slices.ContainsFunc(o.allowed, func(a config.Origin) bool { return matches(a, origin) })
}

// withoutHost returns an origin that has no host in lower case: null, or a scheme alone, behind which some
// write a slash. It returns "" for others.
func withoutHost(header string) string {
	if header == "null" {
		return header
	}
	scheme, rest, found := strings.Cut(header, "://")
	if !found || scheme == "" || rest != "" && rest != "/" {
		return ""
	}
	return strings.ToLower(scheme) + "://"
}

func matches(a config.Origin, origin *url.URL) bool {
	if a.Whole != "" {
		return false
	}
	host := strings.ToLower(origin.Hostname())
	if domain, wild := strings.CutPrefix(a.Host, "*."); wild {
		if host != domain && !strings.HasSuffix(host, "."+domain) {
			return false
		}
	} else if a.Host != "" && host != a.Host {
		return false
	}
	return (a.Scheme == "" || a.Scheme == strings.ToLower(origin.Scheme)) &&
		(a.Port == "" || a.Port == port(origin.Port(), origin.Scheme))
}

// port returns a port, or that of the scheme if none is said.
func port(said, scheme string) string {
	if said != "" {
		return said
	}
	switch strings.ToLower(scheme) {
	case "https", "wss":
		return "443"
	}
	return "80"
}
