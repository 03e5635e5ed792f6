package host_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// /readyz says no until the plugins that were there are loaded, or known not to be.
func TestReadinessWhileLoading(t *testing.T) {
	// Its _initialize loops: the load takes as long as the deadline.
	s := launch(t, setup{plugins: map[string][]byte{"slow": fixture(t, sandboxData+"init_loop.wasm"), "echo": echoGuest(t)}})
	if status, text := s.get(t, "/readyz"); status != 503 || !strings.Contains(text, "loading") {
		t.Errorf("readyz while loading: %d %q, want 503", status, text)
	}
	if status := s.refusal(t, "?vsn=2.0.0", nil); status != 503 {
		t.Errorf("connect while loading: %d, want 503", status)
	}
	eventually(t, "readiness", func() bool { status, _ := s.get(t, "/readyz"); return status == 200 })
	s.connect(t).mustJoin(t, "echo:a", "{}")
}

func TestMetrics(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"chat": chatGuest(t)}, config: chatToken})
	version := s.log.wait(t, "plugin deployed").text("version")
	clients := s.connectAll(t, 3, "room:a", `{"token":"demo"}`)
	c := clients[0]
	c.wantReply(t, "room:b", "phx_join", `{"token":"wrong"}`, "error")
	c.wantReply(t, "lobby", "phx_join", "{}", "error")
	for range 4 {
		c.wantReply(t, "room:a", "new_message", `{"body":"hi"}`, "ok")
	}
	c.wantReply(t, "room:a", "shout", `{"body":"hi"}`, "ok")
	c.wantReply(t, "room:a", "crash", "{}", "error")
	for _, other := range clients[1:] {
		for range 4 {
			other.expect(t, "room:a", "new_message")
		}
		other.expect(t, "room:a", "shout")
	}
	labels := []string{`plugin="chat"`, fmt.Sprintf("version=%q", version)}
	sends := []string{"rtd_messages_out_total", "rtd_broadcasts_total", "rtd_deliveries_total"}
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"rtd_connections", nil, 3},
		{"rtd_connections_accepted_total", nil, 3},
		{"rtd_channels", nil, 3},
		{"rtd_joins_total", []string{`result="ok"`}, 3},
		{"rtd_joins_total", []string{`result="refused"`}, 1},
		{"rtd_joins_total", []string{`result="unmatched"`}, 1},
		{"rtd_messages_in_total", nil, 3 + 2 + 4 + 1 + 1},
		{"rtd_messages_out_total", nil, 3 + 2 + 6 + 4*3 + 2},
		{"rtd_broadcasts_total", nil, 5},
		{"rtd_deliveries_total", nil, 4*3 + 2},
		{"rtd_deploys_total", nil, 1},
		{"rtd_crashes_total", labels, 1},
		{"rtd_restarts_total", labels, 1},
		{"rtd_traps_total", append(labels, `kind="trap"`), 1},
		{"rtd_instances", labels, 3},
		{"rtd_handler_seconds_count", labels, 3 + 1 + 4 + 1 + 1 + 1}, // joins, messages, the replay
		{"rtd_handler_seconds_bucket", append(labels, `le="+Inf"`), 11},
	} {
		eventually(t, fmt.Sprintf("%s %v = %v", want.name, want.labels, want.value), func() bool {
			got := s.metric(t, want.name, want.labels...)
			// Presence sends diffs, too, of one or more changes each.
			return got == want.value || got > want.value && slices.Contains(sends, want.name)
		})
	}
	if _, text := s.get(t, "/metrics"); !strings.Contains(text, "# TYPE rtd_handler_seconds histogram") || !strings.Contains(text, "go_goroutines") {
		t.Error("metrics have no histogram of handlers, or nothing about Go")
	}
}

func TestTLS(t *testing.T) {
	cert, key, pool := selfSigned(t)
	secure := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: patience}
	plain := web
	web = secure
	defer func() { web = plain }()
	s := start(t, setup{
		plugins: map[string][]byte{"echo": echoGuest(t)},
		config:  fmt.Sprintf("[server]\ntls_cert = %q\ntls_key = %q\n", cert, key),
	})
	if !strings.HasPrefix(s.url, "https://") {
		t.Fatal(s.url)
	}
	c := s.connect(t)
	c.mustJoin(t, "echo:a", "{}")
	c.wantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
	s.stop(t)
	c.wantClosed(t, websocket.StatusServiceRestart)
}

// selfSigned writes a certificate for 127.0.0.1.
func selfSigned(t testing.TB) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	must(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool.AddCert(parsed)
	return cert, key, pool
}
