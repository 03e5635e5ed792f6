package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"rtd/host/bus"
)

// patience bounds every wait of a test that would otherwise hang.
const patience = time.Minute

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("the error is %v, and should be %q", err, kind)
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, patience)
		}
	}
}

// limited is a context for a test.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// open opens a bus, and waits until it works.
func open(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	b := begin(t, o)
	must(t, b.Up(limited(t)))
	return b
}

// begin opens a bus that need not work.
func begin(t testing.TB, o bus.Options) *bus.Bus {
	t.Helper()
	log := &lines{}
	if o.Log == nil {
		o.Log = log.logger()
	}
	b, err := bus.Open(o)
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", log)
		}
	})
	return b
}

// outside is a server of somebody else.
type outside struct {
	*server.Server
	options server.Options
}

// startOutside starts one on 127.0.0.1, changed by change.
func startOutside(t testing.TB, change func(*server.Options)) *outside {
	t.Helper()
	o := &outside{options: server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, MaxPayload: 8 << 20,
		JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
	}}
	if change != nil {
		change(&o.options)
	}
	o.start(t)
	t.Cleanup(func() { o.stop() })
	return o
}

func (o *outside) start(t testing.TB) {
	t.Helper()
	options := o.options
	s, err := server.NewServer(&options)
	must(t, err)
	o.Server = s
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	o.options.Port = options.Port // to come back at the same address
}

func (o *outside) stop() {
	o.Shutdown()
	o.WaitForShutdown()
}

// place is where a bus can be.
type place struct {
	name    string
	options func(t testing.TB) bus.Options
}

var places = []place{
	{"embedded", func(t testing.TB) bus.Options { return bus.Options{Dir: t.TempDir()} }},
	{"external", func(t testing.TB) bus.Options { return bus.Options{URL: startOutside(t, nil).ClientURL()} }},
}

// everywhere runs an exercise that every kind of bus must pass.
func everywhere(t *testing.T, exercise func(t *testing.T, o bus.Options)) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			exercise(t, p.options(t))
		})
	}
}

// texts reads a log.
func texts(t testing.TB, l *bus.Log, from uint64) (list []string, err error) {
	t.Helper()
	for r, err := range l.Read(limited(t), from) {
		if err != nil {
			return list, err
		}
		list = append(list, fmt.Sprintf("%d:%s", r.Sequence, r.Data))
	}
	return list, nil
}

// files returns the files of a bus's folder that match a pattern.
func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	must(t, err)
	if len(list) == 0 {
		t.Fatalf("no %s in %s", pattern, dir)
	}
	return list
}

// alter changes a file.
func alter(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(data), 0o600))
}
