package durable

import (
	"context"
	"errors"
	"time"
)

// Said is a broadcast of a topic whose history is durable. It is stored by a [Commit], alone or with what else that changes, and gets
// its offset then: offsets are dense, in the order in which broadcasts are stored.
type Said struct {
	Kind    SaidKind // of callers: Broadcast
	Topic   string
	Event   string
	Payload []byte // read only
	Binary  bool
	At      time.Time

	// Epoch and Offset are set by the keeper: what is stored has them.
	Epoch  string
	Offset uint64

	// Stored is called once it is stored, before Commit returns, and also if whoever has committed it does not wait any more. All those of a
	// topic are called in the order of their offsets, by one goroutine, which has locks: it must not block, nor call the keeper. Nil: nobody is.
	Stored func(epoch string, offset uint64)
}

// SaidKind says what a [Said] is. Kinds are stored as these numbers.
type SaidKind byte

// The kinds of [Said]. But for the first they are the keeper's own.
const (
	Broadcast     SaidKind = 0
	HistoryBegun  SaidKind = 1 // the epoch begins behind Offset
	HistoryPurged SaidKind = 2 // messages before Offset are gone
)

// Past is what is stored of a topic's broadcasts.
type Past struct {
	Epoch string
	Last  uint64  // offset of the newest there ever was
	Said  []*Said // dense, up to Last, the oldest first
}

// Histories keeps histories of topics. Its methods may be called from any goroutine.
type Histories interface {
	// Commit is that of [Keeper]: it stores broadcasts.
	Commit(ctx context.Context, c *Commit) error
	// OpenHistory returns what is stored of a topic, or begins its history. It waits until that can be read, or ctx ends. The history is not forgotten
	// before CloseHistory. keep is how long a message is of use.
	OpenHistory(ctx context.Context, topic string, keep time.Duration) (Past, error)
	// CloseHistory says that a topic is not in use any more. Some time later, when no message is of use, its history is forgotten: then it begins anew,
	// with another epoch.
	CloseHistory(topic string)
	// ReviewHistories says that other topics may have a durable history than before. What is stored of one that has none goes on with another
	// epoch if it is opened again, as nobody stores what is said there meanwhile.
	ReviewHistories()
	// TrimHistory says that messages before an offset are not of use any more. They go some time later.
	TrimHistory(topic string, oldest uint64)
	// PurgeHistory removes messages before an offset. When it returns nil, they do not come back, and are gone from the disk but for what the
	// file system keeps. The error is ErrNone if nothing is stored of the topic.
	PurgeHistory(ctx context.Context, topic string, before uint64) error
}

// ErrNotOpen says that a broadcast is of a topic whose history is not open.
var ErrNotOpen = errors.New("the history of the topic is not open")
