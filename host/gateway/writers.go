package gateway

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
)

// writers write the outboxes of connections: a few goroutines, each for its
// share of the connections, one after the other, as long as none of them has to wait
// for a client. The kernel says when a client has room again.
//
// Connections where a write has to wait (with TLS, or without epoll) get a goroutine
// while they have something to write. It stays for a moment for the next connection,
// as its stack has grown to what a write needs, which takes a new goroutine as
// long as the write itself.
type writers struct {
	shards  []*writer
	assign  atomic.Uint32
	running *sync.WaitGroup
	waiting chan *conn // to a goroutine that waits for work
}

// writer is one goroutine of writers, and its share of the connections.
type writer struct {
	look    func() // reads what has arrived
	mu      sync.Mutex
	ready   []*conn // that have something to write, each once
	wake    chan struct{}
	stopped atomic.Bool
}

const (
	// writerStays is how long a goroutine for a connection that waits stays.
	writerStays = 100 * time.Millisecond
	// writeBatch is how much is given to the kernel at once, in bytes; a larger
	// frame goes by itself.
	writeBatch = 64 << 10
	// writesAtOnce is how many connections are written to, in about 300 µs, before what has
	// arrived is read and others may run. Meanwhile more comes into the outboxes, which costs no
	// further writes.
	writesAtOnce = 32
)

// newWriters starts n writers, which call look every now and then.
func newWriters(n int, running *sync.WaitGroup, look func()) *writers {
	w := &writers{running: running, waiting: make(chan *conn)}
	for range n {
		shard := &writer{look: look, wake: make(chan struct{}, 1)}
		w.shards = append(w.shards, shard)
		running.Go(shard.run)
	}
	return w
}

// stop ends the writers: no connection is left.
func (w *writers) stop() {
	for _, shard := range w.shards {
		shard.stopped.Store(true)
		shard.wakeUp()
	}
}

// shard chooses the writer of a connection.
func (w *writers) shard() *writer {
	return w.shards[int(w.assign.Add(1))%len(w.shards)]
}

// add has a connection written to.
func (w *writer) add(c *conn) {
	w.mu.Lock()
	w.ready = append(w.ready, c)
	first := len(w.ready) == 1
	w.mu.Unlock()
	if first {
		w.wakeUp()
	}
}

func (w *writer) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

func (w *writer) run() {
	buffer := make([]byte, 0, writeBatch)
	var batch []*conn
	for !w.stopped.Load() {
		w.mu.Lock()
		batch, w.ready = w.ready, batch[:0]
		w.mu.Unlock()
		if len(batch) == 0 {
			<-w.wake
			continue
		}
		for i, c := range batch {
			batch[i] = nil
			if c.write(buffer) {
				w.add(c)
			}
			if i%writesAtOnce == writesAtOnce-1 {
				w.look()
				runtime.Gosched()
			}
		}
	}
}

// wait has a connection written to by a goroutine that may wait for it.
func (w *writers) wait(c *conn) {
	select {
	case w.waiting <- c:
	default:
		w.running.Go(func() { w.work(c) })
	}
}

func (w *writers) work(c *conn) {
	buffer := make([]byte, 0, writeBatch/16)
	idle := time.NewTimer(writerStays)
	defer idle.Stop()
	for {
		for c.write(buffer) {
		}
		idle.Reset(writerStays)
		select {
		case c = <-w.waiting:
		case <-idle.C:
			return
		}
	}
}

// outbox holds the frames that wait to be written to a connection. Outboxes that nobody needs
// are in a pool.
type outbox struct {
	frames []channels.Frame
	bytes  int
}

var outboxes = sync.Pool{New: func() any { return &outbox{frames: make([]channels.Frame, 0, 4)} }}

// free gives an outbox back. One that has grown for a slow client does not stay.
func (o *outbox) free() {
	const frames = 64
	if cap(o.frames) > frames {
		return
	}
	clear(o.frames)
	o.frames, o.bytes = o.frames[:0], 0
	outboxes.Put(o)
}
