package host_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
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

	"rtd/host/hosttest"
)

// /readyz says no until the plugins that were there are loaded, or known not to be.
func TestReadinessWhileLoading(t *testing.T) {
	// Its _initialize loops: the load takes as long as the deadline.
	s := launch(t, hosttest.Setup{Plugins: map[string][]byte{"slow": fixture(t, sandboxData+"init_loop.wasm"), "echo": echoGuest(t)}})
	if status, text := s.Get(t, "/readyz"); status != 503 || !strings.Contains(text, "loading") {
		t.Errorf("readyz while loading: %d %q, want 503", status, text)
	}
	if status := s.refusal(t, "?vsn=2.0.0", nil); status != 503 {
		t.Errorf("connect while loading: %d, want 503", status)
	}
	// Then clients are let in, but one plugin of the folder does not run.
	hosttest.Eventually(t, "its end", func() bool { _, text := s.Get(t, "/readyz"); return !strings.Contains(text, "loading") })
	if status, text := s.Get(t, "/readyz"); status != 503 || !strings.Contains(text, "plugin slow does not run: refused") || strings.Contains(text, "echo") {
		t.Errorf("readyz: %d %q, want 503 for slow alone", status, text)
	}
	s.Connect(t).MustJoin(t, "echo:a", "{}")
	s.Remove(t, "slow")
	hosttest.Eventually(t, "readiness", func() bool { status, _ := s.Get(t, "/readyz"); return status == 200 })
	// One that ran before does not come to this.
	s.Write(t, "echo", []byte("nonsense"))
	s.Log.Wait(t, "plugin not deployed", "plugin", "echo")
	if status, text := s.Get(t, "/readyz"); status != 200 {
		t.Errorf("readyz with the version before: %d %q", status, text)
	}
}

// A plugin that is to come is waited for, until it is there or cannot be.
func TestReadinessAwaits(t *testing.T) {
	for _, comes := range []bool{true, false} {
		s := launch(t, hosttest.Setup{Awaits: []string{"echo"}})
		s.Log.Wait(t, "administered")
		if status := s.refusal(t, "?vsn=2.0.0", nil); status != 503 {
			t.Errorf("connect before it is there: %d, want 503", status)
		}
		if status, text := s.Get(t, "/readyz"); status != 503 || !strings.Contains(text, "loading") {
			t.Errorf("readyz before it is there: %d %q, want 503", status, text)
		}
		if comes {
			s.Write(t, "echo", echoGuest(t))
			hosttest.Eventually(t, "readiness", func() bool { status, _ := s.Get(t, "/readyz"); return status == 200 })
			s.Connect(t).MustJoin(t, "echo:a", "{}")
			continue
		}
		s.Deploys().NotBuilt("echo", s.Dir, errors.New("syntax error"))
		s.Log.Wait(t, "ready")
		if status, text := s.Get(t, "/readyz"); status != 503 || !strings.Contains(text, "plugin echo does not run: not built") {
			t.Errorf("readyz when it cannot be built: %d %q", status, text)
		}
		s.Connect(t)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken})
	version := s.Log.Wait(t, "plugin deployed").Text("version")
	clients := s.ConnectAll(t, 3, "room:a", `{"token":"demo"}`)
	c := clients[0]
	c.WantReply(t, "room:b", "phx_join", `{"token":"wrong"}`, "error")
	c.WantReply(t, "lobby", "phx_join", "{}", "error")
	for range 4 {
		c.WantReply(t, "room:a", "new_message", `{"body":"hi"}`, "ok")
	}
	c.WantReply(t, "room:a", "shout", `{"body":"hi"}`, "ok")
	c.WantReply(t, "room:a", "crash", "{}", "error")
	for _, other := range clients[1:] {
		for range 4 {
			other.Expect(t, "room:a", "new_message")
		}
		other.Expect(t, "room:a", "shout")
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
		hosttest.Eventually(t, fmt.Sprintf("%s %v = %v", want.name, want.labels, want.value), func() bool {
			got := s.Metric(t, want.name, want.labels...)
			// Presence sends diffs, too, of one or more changes each.
			return got == want.value || got > want.value && slices.Contains(sends, want.name)
		})
	}
	if _, text := s.Get(t, "/metrics"); !strings.Contains(text, "# TYPE rtd_handler_seconds histogram") || !strings.Contains(text, "go_goroutines") {
		t.Error("metrics have no histogram of handlers, or nothing about Go")
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := selfSigned(t)
	secure := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: hosttest.Patience}
	s := start(t, hosttest.Setup{
		Plugins: map[string][]byte{"echo": echoGuest(t)},
		Config:  fmt.Sprintf("[server]\ntls_cert = %q\ntls_key = %q\n", cert, key),
		Web:     secure,
	})
	if !strings.HasPrefix(s.URL, "https://") {
		t.Fatal(s.URL)
	}
	c := s.Connect(t)
	c.MustJoin(t, "echo:a", "{}")
	c.WantReply(t, "echo:a", "x", `{"n":1}`, `ok {"n":1}`)
	s.Stop(t)
	c.WantClosed(t, websocket.StatusServiceRestart)
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

// What guests make the host keep is there to be seen, with its limits, and is gone when they are.
func TestMetricsOfWhatIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": phxGuest(t)}, Config: "[plugin.phx]\n" + phxAllows + "references = 1234\npending = 123456\n"})
	clients := []*hosttest.Client{s.Connect(t), s.Connect(t)}
	for _, c := range clients {
		c.MustJoin(t, "intercept:a", "{}") // each intercepts three events
	}
	plugin := `plugin="phx"`
	want := func(name string, is func(float64) bool) {
		t.Helper()
		hosttest.Eventually(t, name, func() bool { return is(s.Metric(t, name, plugin)) })
	}
	some := func(n float64) bool { return n > 0 }
	none := func(n float64) bool { return n == 0 }
	want("rtd_guest_pending_bytes", some)
	want("rtd_guest_references", func(n float64) bool { return n == 6 })
	want("rtd_guest_pending_limit_bytes", func(n float64) bool { return n == 123456 })
	want("rtd_guest_references_limit", func(n float64) bool { return n == 1234 })
	for _, c := range clients {
		c.Close()
	}
	want("rtd_guest_pending_bytes", none)
	want("rtd_guest_references", none)
	if _, text := s.Get(t, "/metrics"); !strings.Contains(text, `rtd_guest_names{plugin="phx"} 0`) {
		t.Error("nothing is said of names")
	}
}
