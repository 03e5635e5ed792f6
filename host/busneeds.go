package host

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"rtd/host/admin"
	"rtd/host/auth"
	"rtd/host/bus"
	"rtd/host/config"
)

// busNeeds has the bus, which begins with the first who needs it.
type busNeeds struct {
	options func() (bus.Options, error)

	mu     sync.Mutex
	bus    *bus.Bus // nil: nobody has needed it
	by     []string // who needs it, in order
	closed bool
}

func newBusNeeds(c *config.Config, log *slog.Logger) *busNeeds {
	return &busNeeds{options: func() (bus.Options, error) { return storeOptions(c, log) }}
}

// need returns the bus, and has it begin if it has not. by says for what, in a few words. The error is about the config;
// a bus that does not work says so itself, and makes the server not ready.
func (n *busNeeds) need(by string) (*bus.Bus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, bus.ErrClosed
	}
	if n.bus == nil {
		o, err := n.options()
		if err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
		if n.bus, err = bus.Open(o); err != nil {
			return nil, fmt.Errorf("bus: %w", err)
		}
	}
	if i, found := slices.BinarySearch(n.by, by); !found {
		n.by = slices.Insert(n.by, i, by)
	}
	return n.bus, nil
}

// begun returns the bus if it has begun.
func (n *busNeeds) begun() *bus.Bus {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.bus
}

// reason returns why the server is not ready, or "". It is for strangers: causes are in the log.
func (n *busNeeds) reason() string {
	if b := n.begun(); b != nil && b.Err() != nil {
		return "the bus does not work"
	}
	return ""
}

func (n *busNeeds) close() error {
	n.mu.Lock()
	n.closed = true
	b := n.bus
	n.mu.Unlock()
	if b == nil {
		return nil
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("close bus: %w", err)
	}
	return nil
}

// NeedBus returns the bus of the server, and has it begin if nobody has needed it yet. by says for what, to those who
// operate the server. Serve ends it, after the plugins.
func (s *Server) NeedBus(by string) (*bus.Bus, error) { return s.bus.need(by) }

// busOptions reads what the config says about the bus.
func busOptions(c *config.Config, log *slog.Logger) (o bus.Options, err error) {
	o = bus.Options{URL: c.Bus.URL, Prefix: c.Bus.Prefix, Log: log}
	if o.URL == "" {
		o.Dir, o.MaxBytes, o.SyncEvery = c.Bus.Dir, c.Bus.MaxBytes, c.Bus.SyncEvery()
		if o.Dir == auto {
			o.Dir = filepath.Join(c.Plugins.Dir, ".rtd", "bus")
		}
		return o, nil
	}
	if c.Bus.Credentials != "" {
		secret, err := auth.ParseSecret(c.Bus.Credentials)
		if err != nil {
			return o, fmt.Errorf("credentials: %w", err)
		}
		o.Credentials = secret.Reveal()
	}
	o.TLS, err = busTLS(&c.Bus)
	return o, err
}

// storeOptions are those of the bus that stores. Nodes of a cluster on one NATS store apart from each other: what is durable is each node's own.
func storeOptions(c *config.Config, log *slog.Logger) (bus.Options, error) {
	o, err := busOptions(c, log)
	if err != nil || o.URL == "" || c.Cluster.Name == "" {
		return o, err
	}
	node, err := c.Cluster.NodeName()
	o.Prefix += "-" + node
	return o, err
}

// busTLS reads the certificates for the bus. It is nil without any: the server's URL decides then.
func busTLS(c *config.Bus) (*tls.Config, error) {
	if c.TLSCA == "" && c.TLSCert == "" {
		return nil, nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("read tls_ca: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("tls_ca has no certificate")
		}
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("read tls_cert and tls_key: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return secure, nil
}

// Bus implements [admin.Backend].
func (n *busNeeds) Bus() admin.Bus {
	n.mu.Lock()
	b, by := n.bus, slices.Clone(n.by)
	n.mu.Unlock()
	if b == nil {
		return admin.Bus{State: admin.BusOff, By: []string{}, Writes: map[string]map[string]uint64{}}
	}
	s := b.Status()
	a := admin.Bus{
		State: admin.BusWorks, By: by, Embedded: s.Embedded, Where: s.Where, Since: s.Since, Server: s.Server,
		Bytes: s.Bytes, Limit: s.Limit, Streams: s.Streams, Reconnects: s.Reconnects, Writes: s.Operations,
	}
	if s.Cause != nil {
		a.State, a.Cause = admin.BusDown, s.Cause.Error()
	}
	return a
}
