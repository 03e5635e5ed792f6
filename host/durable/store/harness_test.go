package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
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

// place is a folder with a bus and a keeper, which can be closed and opened again.
type place struct {
	t    testing.TB
	bus  bus.Options
	opts store.Options
	b    *bus.Bus
	*store.Keeper
}

// open opens a keeper in a new folder. With seldom, checkpoints come when they are asked for.
func open(t testing.TB, o store.Options) *place {
	t.Helper()
	return openAt(t, bus.Options{Dir: t.TempDir()}, o)
}

// seldom is a time between checkpoints in which none comes by itself.
const seldom = time.Hour

func openAt(t testing.TB, at bus.Options, o store.Options) *place {
	t.Helper()
	log := &lines{}
	at.Log = slog.New(slog.NewTextHandler(log, nil))
	o.Log = at.Log
	if o.CheckpointEvery == 0 {
		o.CheckpointEvery = seldom
	}
	p := &place{t: t, bus: at, opts: o}
	p.start()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("the log:\n%s", log)
		}
	})
	return p
}

func (p *place) start() {
	p.t.Helper()
	var err error
	p.b, err = bus.Open(p.bus)
	must(p.t, err)
	p.Keeper = store.Open(p.b, p.opts)
	must(p.t, p.Up(limited(p.t)))
}

func (p *place) stop() {
	p.t.Helper()
	if err := errors.Join(p.Keeper.Close(), p.b.Close()); err != nil {
		p.t.Errorf("Close: %v", err)
	}
}

// again closes all and opens it again.
func (p *place) again() {
	p.t.Helper()
	p.stop()
	p.start()
}

func (p *place) checkpoint() {
	p.t.Helper()
	must(p.t, p.Checkpoint(limited(p.t)))
	if s := p.Status(); s.Dirty != 0 || s.LogBytes != 0 {
		p.t.Fatalf("%d actors and %d bytes of records are left", s.Dirty, s.LogBytes)
	}
}

func topic(name string) durable.Actor {
	return durable.Actor{Plugin: "chat", Kind: durable.Topic, Name: name}
}
func process(name string) durable.Actor {
	return durable.Actor{Plugin: "chat", Kind: durable.Process, Name: name}
}

var (
	version  = strings.Repeat("0123456789abcdef", 4)
	snapshot = strings.Repeat("fedcba9876543210", 4)
)

// now is a time as it is stored: to the µs.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// state is a state with a text.
func state(revision uint64, text string) *durable.State {
	return &durable.State{Revision: revision, Born: 7, At: now(), Version: version, Snapshot: snapshot, Guest: []byte(text), Held: []byte("held " + text)}
}

// put commits the next state of an actor.
func (p *place) put(a durable.Actor, last uint64, text string) *durable.State {
	p.t.Helper()
	s := state(last+1, text)
	must(p.t, p.Commit(limited(p.t), &durable.Commit{Actor: a, Last: last, State: s}))
	return s
}

// has checks that a state is stored.
func (p *place) has(a durable.Actor, s *durable.State) {
	p.t.Helper()
	got, err := p.Load(limited(p.t), a)
	if s == nil {
		want(p.t, err, durable.ErrNone)
		return
	}
	must(p.t, err)
	if fmt.Sprintf("%+v", *got) != fmt.Sprintf("%+v", *s) {
		p.t.Errorf("%v is\n%+v, and should be\n%+v", a, *got, *s)
	}
}

// posts returns the payloads of what waits for an actor.
func (p *place) posts(a durable.Actor) (list []string) {
	for _, post := range p.Posts(a) {
		list = append(list, string(post.Payload))
	}
	return list
}

func (p *place) waits(a durable.Actor, list ...string) {
	p.t.Helper()
	if got := p.posts(a); !slices.Equal(got, list) {
		p.t.Errorf("for %v wait %q, and should %q", a, got, list)
	}
}

// number is a number of the environment, or one by default.
func number(name string, standard int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return standard
}

// rss is how many bytes of memory the process has, without garbage; 0 where that cannot be told.
func rss() int64 {
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	var all, resident int64
	if err == nil {
		_, err = fmt.Sscan(string(text), &all, &resident)
	}
	if err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
