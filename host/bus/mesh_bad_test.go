package bus_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rtd/host/bus"
	"rtd/host/clustertest"
)

// Peers without the secret get nothing, and the others do not notice.
func TestStrangers(t *testing.T) {
	t.Parallel()
	a, logA := beginMesh(t, bus.MeshOptions{Node: "a", Secret: secret})
	must(t, a.Up(limited(t)))
	b := mesh(t, bus.MeshOptions{Node: "b", Secret: secret, Seeds: []string{a.Address()}})
	heard := inbox(t, b, 100, ">")
	reached(t, a, heard, "x")
	before := inbox(t, a, 100, ">")

	dial := func() net.Conn {
		conn, err := net.Dial("tcp", a.Address())
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		must(t, conn.SetDeadline(time.Now().Add(patience)))
		return conn
	}
	t.Run("speaks NATS", func(t *testing.T) {
		for _, text := range []string{
			"CONNECT {\"verbose\":false}\r\nPUB m.x 5\r\nhello\r\n",
			"CONNECT {\"verbose\":false,\"lang\":\"go\"}\r\nSUB > 1\r\nPUB m.x 5\r\nhello\r\n",
			"RS+ $G >\r\nRMSG $G m.x 5\r\nhello\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			strings.Repeat("\x00", 4096),
		} {
			conn := dial()
			_, err := conn.Write([]byte(text))
			must(t, err)
			if got, _ := io.ReadAll(conn); len(got) > 7 { // an alert of TLS
				t.Errorf("%q is answered by %q", text, got)
			}
		}
	})
	t.Run("library of NATS", func(t *testing.T) {
		for _, o := range [][]nats.Option{nil, {nats.Secure(&tls.Config{InsecureSkipVerify: true})}, {nats.Secure(&tls.Config{InsecureSkipVerify: true}), nats.TLSHandshakeFirst()}} {
			if conn, err := nats.Connect("nats://"+a.Address(), append(o, nats.Timeout(300*time.Millisecond))...); err == nil {
				conn.Close()
				t.Error("it is let in")
			}
		}
	})
	t.Run("no certificate, and one of another authority", func(t *testing.T) {
		other := newAuthority(t)
		for _, certificates := range [][]tls.Certificate{nil, {other.issue(t, time.Hour)}} {
			var shown *x509.Certificate
			conn := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true, Certificates: certificates, VerifyConnection: func(s tls.ConnectionState) error {
				shown = s.PeerCertificates[0]
				return nil
			}})
			_, err := conn.Write([]byte("CONNECT {}\r\nRS+ $G >\r\n"))
			must(t, err)
			if got, err := io.ReadAll(conn); err == nil || len(got) != 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("it gets %q: %v", got, err)
			}
			// Wrong clocks do not matter.
			if shown.Subject.CommonName != "a" || shown.NotBefore.Year() > 2000 || shown.NotAfter.Year() < 9999 {
				t.Errorf("the node shows %v of %v to %v", shown.Subject, shown.NotBefore, shown.NotAfter)
			}
		}
		old := tls.Client(dial(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		if err := old.Handshake(); err == nil {
			t.Error("TLS 1.2 is spoken")
		}
	})
	t.Run("other nodes", func(t *testing.T) {
		for what, o := range map[string]bus.MeshOptions{
			"secret":  {Secret: secret + "x"},
			"cluster": {Secret: secret, Cluster: "other"},
			"plain":   {},
		} {
			o.Node, o.Seeds = what, []string{a.Address(), b.Address()}
			m, log := beginMesh(t, o)
			must(t, m.Up(limited(t)))
			must(t, m.Publish("x", []byte("of a stranger")))
			if what != "plain" { // which does not know that the other side wants TLS
				eventually(t, "line in the log", func() bool { return strings.Contains(log.String(), "level=WARN") })
			}
			eventually(t, "second try", func() bool {
				return strings.Count(log.String(), "Route connection created")+strings.Count(log.String(), "level=WARN") > 0
			})
			if nodes(m) != "" {
				t.Errorf("%s: it has routes to %s", what, nodes(m))
			}
		}
	})
	if n := strings.Count(logA.String(), "level=WARN"); n == 0 || n > 4 { // one for each kind of stranger, who all come from one host
		t.Errorf("%d warnings:\n%s", n, logA)
	}
	if nodes(a) != "b" {
		t.Errorf("a has routes to %s", nodes(a))
	}
	for _, i := range []*bus.Inbox{heard, before} {
		must(t, a.Publish("last", nil))
		if m, err := i.Next(limited(t)); err != nil || m.Subject != "last" {
			t.Errorf("%s %q: %v", m.Subject, m.Data, err)
		}
	}
}

// Without a secret, on this machine alone, there is no port for clients all the same.
func TestNoClients(t *testing.T) {
	t.Parallel()
	a := mesh(t, bus.MeshOptions{Node: "a"})
	heard := inbox(t, a, 10, ">")
	if conn, err := nats.Connect("nats://" + a.Address()); err == nil {
		must(t, conn.Publish("m.x", []byte("hello")))
		must(t, conn.Flush())
		conn.Close()
		t.Error("a client is let in")
	}
	must(t, a.Publish("last", nil))
	if m, err := heard.Next(limited(t)); err != nil || m.Subject != "last" {
		t.Errorf("%s %q: %v", m.Subject, m.Data, err)
	}
}

// authority signs certificates of nodes.
type authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	must(t, err)
	c, err := x509.ParseCertificate(raw)
	must(t, err)
	return &authority{c, private}
}

// issue makes a certificate that ends at some time from now.
func (a *authority) issue(t testing.TB, ends time.Duration) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "any"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(ends),
	}, a.certificate, public, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: private}
}

// Nodes with certificates of one authority hear each other. Certificates that have expired, or are of another one, are refused by both sides.
func TestOwnCertificates(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	with := func(trusted *authority, shown tls.Certificate) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(trusted.certificate)
		return bus.MutualTLS(pool, func() (*tls.Certificate, error) { return &shown, nil })
	}
	a := mesh(t, bus.MeshOptions{Node: "a", TLS: with(ours, ours.issue(t, time.Hour))})
	b := mesh(t, bus.MeshOptions{Node: "b", TLS: with(ours, ours.issue(t, time.Hour)), Seeds: []string{a.Address()}})
	heard := inbox(t, b, 10, "x")
	reached(t, a, heard, "x")
	for what, config := range map[string]*tls.Config{
		"expired":         with(ours, ours.issue(t, -time.Second)),
		"not-of-ours":     with(ours, others.issue(t, time.Hour)),
		"trusts-not-ours": with(others, ours.issue(t, time.Hour)),
	} {
		m, log := beginMesh(t, bus.MeshOptions{Node: what, TLS: config, Seeds: []string{a.Address()}})
		must(t, m.Up(limited(t)))
		eventually(t, "line in the log", func() bool { return strings.Contains(log.String(), "level=WARN") })
		if nodes(m) != "" || nodes(a) != "b" {
			t.Errorf("%s: it has routes to %q, and a to %q", what, nodes(m), nodes(a))
		}
	}
}

// A node that hangs is given up, and nobody waits for it. When it is back, it hears again.
func TestNodeHangs(t *testing.T) {
	t.Parallel()
	n := clustertest.NewNet(t, "a", "b", "c")
	all := map[string]*bus.Mesh{}
	for _, name := range []string{"a", "b", "c"} {
		all[name] = mesh(t, bus.MeshOptions{Node: name, Secret: secret, Seeds: n.Seeds(name), Advertise: clustertest.Nowhere})
		n.Place(name, all[name].Address())
	}
	inB, inC := inbox(t, all["b"], 10000, "x"), inbox(t, all["c"], 10000, "x")
	reached(t, all["a"], inB, "x")
	reached(t, all["a"], inC, "x")
	reached(t, all["b"], inC, "x")
	n.Part("b")
	data := make([]byte, 64<<10)
	ctx := limited(t)
	for k := range 2000 { // far more than waits for b
		copy(data, fmt.Sprintf("%08d", k))
		must(t, all["a"].Publish("x", data))
		for {
			m, err := inC.Next(ctx)
			must(t, err)
			if len(m.Data) != len(data) {
				continue // of before
			}
			if string(m.Data[:8]) != fmt.Sprintf("%08d", k) {
				t.Fatalf("c misses %d: it has %s", k, m.Data[:8])
			}
			break
		}
	}
	knows(t, all["a"], "c")
	knows(t, all["c"], "a")
	knows(t, all["b"], "")
	must(t, all["b"].Err())
	n.Heal()
	reached(t, all["a"], inB, "x")
	knows(t, all["b"], "a c")

	// Only one way: both give up.
	n.CutOneWay("b", "a")
	knows(t, all["a"], "c")
	knows(t, all["b"], "c")
	n.Heal()
	knows(t, all["a"], "b c")
}

// Nodes that begin at the same time, all with each other as seeds, end with one route between each two.
func TestNodesBeginTogether(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	n := clustertest.NewNet(t, names...)
	all := map[string]*bus.Mesh{}
	for _, name := range names {
		all[name], _ = beginMesh(t, bus.MeshOptions{Node: name, Secret: secret, Seeds: n.Seeds(name), Advertise: clustertest.Nowhere})
	}
	for _, name := range names {
		eventually(t, "address", func() bool { return all[name].Address() != "" })
		n.Place(name, all[name].Address())
	}
	for _, name := range names {
		must(t, all[name].Up(limited(t)))
	}
	for k, name := range names {
		knows(t, all[name], strings.Join(append(append([]string{}, names[:k]...), names[k+1:]...), " "))
	}
	for _, name := range names {
		heard := inbox(t, all[name], 100, "to."+name)
		for _, from := range names {
			reached(t, all[from], heard, "to."+name)
		}
	}
}

// Connections that break are made again, of a seed or not.
func TestRoutesBreak(t *testing.T) {
	t.Parallel()
	n := clustertest.NewNet(t, "a", "b")
	a := mesh(t, bus.MeshOptions{Node: "a", Advertise: clustertest.Nowhere})
	n.Place("a", a.Address())
	b := mesh(t, bus.MeshOptions{Node: "b", Seeds: n.Seeds("b"), Advertise: clustertest.Nowhere})
	heard := inbox(t, b, 10, "x")
	for range 2 {
		reached(t, a, heard, "x")
		since := a.Routes()[0].Since
		n.Break("a", "b")
		eventually(t, "new route", func() bool { r := a.Routes(); return len(r) == 1 && r[0].Since.After(since) })
	}
}

// A server that goes away and comes back is used again, inboxes have their subjects, and are told of the gap.
func TestMeshServerComesBack(t *testing.T) {
	t.Parallel()
	o := startOutside(t, func(o *server.Options) { o.JetStream = false })
	m, ctx := mesh(t, bus.MeshOptions{Node: "a", URL: o.ClientURL()}), limited(t)
	i := inbox(t, m, 10, "a")
	o.stop()
	eventually(t, "end of the connection", func() bool { return m.Err() != nil })
	want(t, m.Err(), bus.ErrDown)
	want(t, m.Publish("a", nil), bus.ErrDown)
	want(t, i.Subscribe(ctx, "b"), bus.ErrDown)
	o.start(t)
	must(t, m.Up(ctx))
	_, err := i.Next(ctx)
	want(t, err, bus.ErrLost)
	must(t, m.Publish("a", []byte("x")))
	if m, err := i.Next(ctx); err != nil || string(m.Data) != "x" {
		t.Errorf("%s: %v", m.Data, err)
	}
	if s := m.Status(); s.Reconnects != 1 || s.Losses != 1 || s.Embedded || s.Where != o.ClientURL() || m.Address() != "" || m.Routes() != nil {
		t.Errorf("%+v", s)
	}
}

// A server that does not take large messages is not used.
func TestMeshServerIsUnfit(t *testing.T) {
	t.Parallel()
	o := startOutside(t, func(o *server.Options) { o.MaxPayload = 1 << 20 })
	m, _ := beginMesh(t, bus.MeshOptions{Node: "a", URL: o.ClientURL()})
	eventually(t, "cause", func() bool { return errors.Is(m.Err(), bus.ErrUnfit) })
	if !strings.Contains(m.Err().Error(), "max_payload") {
		t.Errorf("%v", m.Err())
	}
}

// Clusters with one NATS do not hear each other, nor those with other prefixes.
func TestClustersOfOneServer(t *testing.T) {
	t.Parallel()
	o := startOutside(t, func(o *server.Options) { o.JetStream = false })
	a := mesh(t, bus.MeshOptions{Node: "a", URL: o.ClientURL()})
	heard := inbox(t, a, 10, ">")
	for _, other := range []bus.MeshOptions{{Cluster: "other"}, {Prefix: "other"}} {
		other.Node, other.URL = "a", o.ClientURL() // its name is free there
		m := mesh(t, other)
		own := inbox(t, m, 10, ">")
		must(t, m.Publish("x", []byte("of another")))
		if _, err := own.Next(limited(t)); err != nil {
			t.Error(err)
		}
	}
	must(t, a.Publish("x", []byte("own")))
	if m, err := heard.Next(limited(t)); err != nil || string(m.Data) != "own" {
		t.Errorf("%s: %v", m.Data, err)
	}
}

// Nothing is left of meshes that were closed, also while they begin.
func TestMeshLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 3 {
		a := mesh(t, bus.MeshOptions{Node: "a", Secret: secret})
		b := mesh(t, bus.MeshOptions{Node: "b", Secret: secret, Seeds: []string{a.Address()}})
		heard := inbox(t, b, 10, "x")
		reached(t, a, heard, "x")
		c, _ := beginMesh(t, bus.MeshOptions{Node: "c", Secret: secret, Seeds: []string{a.Address()}})
		waiting := make(chan error)
		go func() {
			_, err := heard.Next(context.Background())
			waiting <- err
		}()
		for _, m := range []*bus.Mesh{c, a, b} {
			must(t, m.Close())
			must(t, m.Close())
			want(t, m.Err(), bus.ErrClosed)
		}
		want(t, <-waiting, bus.ErrClosed)
	}
	eventually(t, "end of all goroutines", func() bool { return runtime.NumGoroutine() <= before })
}
