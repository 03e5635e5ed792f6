package host

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"rtd/host/auth"
	"rtd/host/bus"
	"rtd/host/config"
)

// meshOptions reads what the config says about a cluster. An existing NATS carries its messages if the bus has one. shown is the node's certificate,
// which is to be watched, and nil if there is none.
func meshOptions(c *config.Config, log *slog.Logger) (o bus.MeshOptions, shown *certificate, err error) {
	o = bus.MeshOptions{Cluster: c.Cluster.Name, Log: log}
	if o.Node, err = c.Cluster.NodeName(); err != nil {
		return o, nil, err
	}
	if c.Bus.URL != "" {
		b, err := busOptions(c, log)
		o.URL, o.Prefix, o.Credentials, o.ClientTLS = b.URL, b.Prefix, b.Credentials, b.TLS
		return o, nil, err
	}
	o.Listen, o.Advertise, o.Seeds = c.Cluster.Listen, c.Cluster.Advertise, c.Cluster.Seeds
	if c.Cluster.Secret != "" {
		secret, err := auth.ParseSecret(c.Cluster.Secret)
		if err != nil {
			return o, nil, fmt.Errorf("secret: %w", err)
		}
		o.Secret = secret.Reveal()
	}
	if c.Cluster.TLSCA == "" {
		return o, nil, nil
	}
	pem, err := os.ReadFile(c.Cluster.TLSCA)
	if err != nil {
		return o, nil, fmt.Errorf("read tls_ca: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return o, nil, errors.New("tls_ca has no certificate")
	}
	if shown, err = loadCertificate(c.Cluster.TLSCert, c.Cluster.TLSKey, log); err != nil {
		return o, nil, err
	}
	o.TLS = bus.MutualTLS(authorities, func() (*tls.Certificate, error) { return shown.current.Load(), nil })
	return o, shown, nil
}
