package bus

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"crypto/rand"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// MaxData is how many bytes a record, a value or a message may have.
const MaxData = 2 << 20

// patience is how long an operation may take whose context has no deadline.
const patience = 5 * time.Second

// Options say where the bus is.
type Options struct {
	// Dir is the folder of the embedded server, which this process alone may use. It is made if it is missing.
	//
	// A log or store in it that cannot be read is named by a file in its folder "damaged", and refused with [ErrDamaged] until
	// [Bus.AcceptLog], [Bus.AcceptStore], or somebody who removes that file.
	Dir string

	// MaxBytes is how many bytes the embedded server stores, about. [Bus.Room] counts to there; writes are refused a 16th later, so that
	// who must write to make room can. Default: 10 GiB.
	MaxBytes int64

	// SyncEvery is how often the embedded server syncs to disk. 0: before each acknowledgement. Otherwise what was
	// acknowledged survives the end of the process, and a power cut only if it is older.
	SyncEvery time.Duration

	// URL is an existing server, or several with commas between, in place of the embedded one. It is to sync
	// before it acknowledges (sync_interval: always), which it does not tell.
	URL string

	// Prefix begins the names of all that is stored or sent, so that several systems can use one server: letters,
	// digits, - and _. Default: "rtd".
	Prefix string

	// Credentials are for URL: the content of a .creds file, "user:password", or a token. "": none.
	Credentials string

	// TLS is for URL. Nil: if the URL asks for it, with the system's certificates.
	TLS *tls.Config

	Log *slog.Logger // default: slog.Default()
}

// Bus is a server within the process, or a connection to one elsewhere. Its methods, and those of what it returns,
// may be called from any goroutine. While it is down they fail with [ErrDown]; it goes on by itself when the cause is gone.
type Bus struct {
	*health
	options Options
	writer  string // marks what this bus has written, so that it knows it again
	conn    *nats.Conn
	js      jetstream.JetStream
	engine  *engine // nil with a URL

	kick    chan struct{} // the keeper is to look
	suspect atomic.Bool   // the embedded server may not store any more
	usage   atomic.Pointer[usage]
	written atomic.Int64 // bytes since usage, about
	counts  counts
	heights sync.Map // name of a stream → *height
	end     context.CancelFunc
	kept    sync.WaitGroup
}

// Open begins to start the embedded server, or to connect, and returns at once: the error is about options alone. [Bus.Up]
// waits. Close ends it.
func Open(o Options) (*Bus, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Prefix == "" {
		o.Prefix = "rtd"
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 10 << 30
	}
	if err := checkName(o.Prefix); err != nil {
		return nil, fmt.Errorf("prefix: %w", err)
	}
	if (o.Dir == "") == (o.URL == "") {
		return nil, errors.New("a bus has a folder or a URL")
	}
	b := &Bus{options: o, writer: rand.Text()[:12], kick: make(chan struct{}, 1)}
	b.health = newHealth("bus", cmp.Or(o.URL, o.Dir), o.Log)
	b.usage.Store(&usage{})
	if o.URL == "" {
		b.engine = &engine{options: &b.options, log: b.log, worried: b.look}
	}
	if err := b.connect(); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	b.end = end
	b.kept.Go(func() { b.keep(ctx) })
	return b, nil
}

// Close ends the bus: the connection, and the embedded server, which has stored what it has to. Operations fail
// with [ErrClosed] then. It may be called again.
func (b *Bus) Close() error {
	b.end()
	b.kept.Wait()
	proper := b.state.Load().cause == nil
	b.enter(ErrClosed)
	b.conn.Close()
	if b.engine == nil {
		return nil
	}
	return b.engine.stop(proper)
}

// Up waits until the bus works. If ctx ends before, the error says why it does not.
func (b *Bus) Up(ctx context.Context) error { return b.up(ctx) }

// Err returns why the bus does not work, or nil. It does not wait. Before it is known whether it works the error wraps [ErrStarting].
func (b *Bus) Err() error { return b.err() }
