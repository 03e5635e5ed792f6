package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// certificate is the server's TLS certificate. Clients that connect after its renewal are shown the
// new one.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	current           atomic.Pointer[tls.Certificate]
	read              [2]stamp // the files when they were read last
	seen              [2]stamp // and when they were looked at last
}

// loadCertificate reads both files, which must be good.
func loadCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.seen = c.stamps()
	c.read = c.seen
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w; see tls_cert and tls_key in config.toml", err)
	}
	c.current.Store(&pair)
	return c, nil
}

// config is for listeners.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }}
}

// watch looks at the files once a second until ctx ends.
func (c *certificate) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.look()
		}
	}
}

// look takes over a new certificate. A renewal writes two files: they are read when they
// have been the same for two looks.
func (c *certificate) look() {
	now := c.stamps()
	settled := now == c.seen
	c.seen = now
	if !settled || now == c.read {
		return
	}
	c.read = now
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err == nil && time.Now().After(pair.Leaf.NotAfter) {
		err = errors.New("it expired on " + pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err != nil {
		c.log.Warn("new certificate not taken over, the old one stays; write a good one to tls_cert and tls_key",
			"cause", err, "old_expires", c.current.Load().Leaf.NotAfter)
		return
	}
	c.current.Store(&pair)
	c.log.Info("new certificate taken over", "file", c.certFile, "expires", pair.Leaf.NotAfter)
}

func (c *certificate) stamps() [2]stamp { return [2]stamp{stampOf(c.certFile), stampOf(c.keyFile)} }
