package cluster_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/host/cluster"
)

// network carries frames between nodes in memory, and loses, delays and cuts as it is told.
type network struct {
	mu        sync.Mutex
	random    *rand.Rand
	loss      float64
	hidden    float64 // share of broadcasts that are lost out of frames which come: no number tells that
	delay     time.Duration
	cut       map[[2]string]bool // from, to
	listeners map[*listener]bool
	frames    map[string]int // by who got them
}

func newNetwork() *network {
	return &network{random: rand.New(rand.NewPCG(1, 2)), cut: map[[2]string]bool{}, listeners: map[*listener]bool{}, frames: map[string]int{}}
}

func (w *network) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *network) cutBoth(a, b string, is bool) {
	w.set(func() { w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = is, is })
}

type carrier struct {
	*network
	node string
}

type parcel struct {
	subject string
	data    []byte
	due     time.Time
}

type listener struct {
	*network
	node     string
	subjects []string
	queue    chan parcel
	lost     chan struct{}
}

func (c carrier) Publish(subject string, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.listeners {
		if !slices.Contains(l.subjects, subject) || c.cut[[2]string{c.node, l.node}] || l.node != c.node && c.random.Float64() < c.loss {
			continue
		}
		c.frames[l.node]++
		data := slices.Clone(data)
		if c.hidden > 0 && l.node != c.node && subject != "beat" {
			data = c.without(data)
		}
		select {
		case l.queue <- parcel{subject, data, time.Now().Add(c.delay)}:
		default:
			select {
			case l.lost <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

// without takes some broadcasts out of a frame. Callers hold mu.
func (w *network) without(frame []byte) []byte {
	at := 2
	if frame[1] != 1 { // it has no messages
		return frame
	}
	name, size := binary.Uvarint(frame[at:])
	at += size + int(name)
	for range 3 {
		_, size := binary.Uvarint(frame[at:])
		at += size
	}
	at += 8
	kept := frame[:at:at]
	for rest := frame[at:]; len(rest) > 0; {
		size := 5 + binary.LittleEndian.Uint32(rest[1:])
		if rest[0] != 3 || w.random.Float64() >= w.hidden {
			kept = append(kept, rest[:size]...)
		}
		rest = rest[size:]
	}
	return kept
}

func (c carrier) Listen(_ context.Context, limit int, subjects ...string) (cluster.Listener, error) {
	l := &listener{c.network, c.node, subjects, make(chan parcel, limit), make(chan struct{}, 1)}
	c.set(func() { c.listeners[l] = true })
	return l, nil
}

func (l *listener) Next(ctx context.Context) (string, []byte, error) {
	select {
	case <-l.lost:
		return "", nil, fmt.Errorf("some are lost")
	case p := <-l.queue:
		time.Sleep(time.Until(p.due))
		return p.subject, p.data, nil
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}

func (l *listener) Close() { l.set(func() { delete(l.listeners, l) }) }

// hub is a real one, with members that note what they get.
type hub struct {
	*channels.Hub
	mu      sync.Mutex
	members map[string]*channels.Subscription
	got     []string
}

// Send implements [channels.Outbox].
func (h *hub) Send(f channels.Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.got = append(h.got, string(f.Data))
}

func (h *hub) member(topic string, is bool) {
	h.mu.Lock()
	s := h.members[topic]
	delete(h.members, topic)
	h.mu.Unlock()
	if s != nil {
		h.Unsubscribe(s)
	}
	if is {
		s = &channels.Subscription{Topic: topic, Codec: channels.V2, Out: h}
		h.Subscribe(s)
		h.mu.Lock()
		h.members[topic] = s
		h.mu.Unlock()
	}
}

// say broadcasts as somebody on the node.
func (h *hub) say(topic, event, payload string) {
	o := channels.Outgoing{Kind: channels.Broadcast, Topic: topic, Name: event, Payload: []byte(payload)}
	_ = h.Hub.Broadcast(&o, nil)
}

// take returns what came since it was called last: topic, event and payload.
func (h *hub) take() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, frame := range h.got {
		var f [5]json.RawMessage
		if err := json.Unmarshal([]byte(frame), &f); err != nil {
			list = append(list, frame)
			continue
		}
		text := func(i int) string { return strings.Trim(string(f[i]), `"`) }
		list = append(list, fmt.Sprint(text(2), " ", text(3), " ", string(f[4])))
	}
	h.got = nil
	return list
}

// node is one with a hub of its own.
type node struct {
	*cluster.Node
	*hub
	name string
	log  *lines
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func start(t *testing.T, w *network, name string, with ...func(*cluster.Options)) *node {
	t.Helper()
	n := &node{hub: &hub{Hub: channels.NewHub(), members: map[string]*channels.Subscription{}}, name: name, log: &lines{}}
	o := cluster.Options{Name: name, Version: "1", Carrier: carrier{w, name}, Hub: n.Hub, Log: slog.New(slog.NewTextHandler(n.log, nil))}
	for _, f := range with {
		f(&o)
	}
	var err error
	if n.Node, err = cluster.New(o); err != nil {
		t.Fatal(err)
	}
	n.Start()
	return n
}

// states are those of the other nodes, as one sees them.
func (n *node) states() string {
	var list []string
	for _, m := range n.Members() {
		if m.State != cluster.Self {
			list = append(list, m.Name+" "+string(m.State))
		}
	}
	return strings.Join(list, ", ")
}

// wait lets time pass for long enough that all is as it will be.
func wait() { time.Sleep(10 * time.Second); synctest.Wait() }

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func simulate(t *testing.T, f func(t *testing.T, w *network)) { //nolint:thelper // it is the test
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newNetwork()) })
}

func closeAll(nodes ...*node) {
	for _, n := range nodes {
		n.Close()
	}
}
