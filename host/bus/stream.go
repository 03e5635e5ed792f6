package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stream is where a log or a store is kept.
type stream struct {
	bus     *Bus
	name    string
	subject string // of its messages, or their beginning
	handle  jetstream.Stream
	copies  int
	height  *height
	path    string       // its folder, if the server is embedded
	folder  os.FileInfo  // which is that one
	silent  atomic.Int64 // since when writes are not answered, in ns since 1970; 0: the last one was
}

// silence is how long writes may go without an answer before the embedded server is started anew.
const silence = 2 * time.Second

// heard notes whether a write that began at a time was answered.
func (s *stream) heard(answered bool, began time.Time) {
	if answered {
		s.silent.Store(0)
		return
	}
	s.silent.CompareAndSwap(0, began.UnixNano())
	if since := s.silent.Load(); since != 0 && time.Since(time.Unix(0, since)) > silence {
		s.silent.Store(0)
		s.bus.doubt()
	}
}

// kinds of streams.
const (
	kindLog   = "log"
	kindStore = "store"
)

// open has a stream made if it is not there, and checks what is there.
func (b *Bus) open(ctx context.Context, kind, name string) (*stream, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	s := &stream{bus: b, name: b.streamName(kind) + name, subject: b.options.Prefix + "." + kind + "." + name}
	if err := b.engine.damaged(s.name); err != nil {
		return nil, err
	}
	want := jetstream.StreamConfig{
		Name:        s.name,
		Subjects:    []string{s.subject},
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardNew,
		AllowDirect: true,
		MaxMsgSize:  MaxData + headroom,
		Duplicates:  100 * time.Millisecond, // writes are fenced by sequence
	}
	if kind == kindStore {
		want.Subjects = []string{s.subject + ".>"}
		want.MaxMsgsPerSubject = 1
		want.AllowAtomicPublish = true
	}
	s.height = b.heightOf(s.name)
	before := s.height.Load()
	s.handle, err = b.js.CreateStream(ctx, want)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		s.handle, err = b.js.Stream(ctx, s.name)
	} else if err == nil {
		b.look() // there is one more
	}
	if err != nil {
		return nil, fmt.Errorf("open %s %s: %w", kind, name, managed(err))
	}
	if s.path, s.folder, err = b.engine.placed(s.name); err != nil {
		return nil, fmt.Errorf("open %s %s: %w", kind, name, err)
	}
	info := s.handle.CachedInfo()
	is := info.Config
	s.copies = is.Replicas
	if err := s.at(info.State.LastSeq, before); err != nil {
		return nil, err
	}
	var wrong string
	switch {
	case is.Storage != want.Storage:
		wrong = "is kept in memory; it must be stored in files"
	case is.PersistMode == jetstream.AsyncPersistMode:
		wrong = "is acknowledged before it is synced (persist_mode async)"
	case !slices.Equal(is.Subjects, want.Subjects):
		wrong = "has other subjects: " + strings.Join(is.Subjects, " ")
	case is.Discard != want.Discard || is.Retention != want.Retention || is.MaxAge != 0 || is.MaxMsgs > 0 || is.MaxMsgsPerSubject > 1 || kind == kindStore && is.MaxMsgsPerSubject != 1:
		wrong = "drops messages by itself, or keeps too many"
	case is.MaxMsgSize >= 0 && is.MaxMsgSize < want.MaxMsgSize:
		wrong = fmt.Sprintf("has a max_msg_size of %d; it must be %d or more", is.MaxMsgSize, want.MaxMsgSize)
	case !is.AllowDirect || want.AllowAtomicPublish && !is.AllowAtomicPublish:
		wrong = "does not allow direct gets or atomic batches"
	default:
		return s, nil
	}
	return nil, fmt.Errorf("%w: stream %s %s", ErrUnfit, s.name, wrong)
}

// drop removes the stream and all in it.
func (s *stream) drop(ctx context.Context) error {
	ctx, done, err := s.bus.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err = managed(s.bus.js.DeleteStream(ctx, s.name)); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s.bus.heights.Delete(s.name)
	return nil
}

// list returns the names of the streams of a kind, in order.
func (b *Bus) list(ctx context.Context, kind string) (names []string, err error) {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	begin := b.streamName(kind)
	lister := b.js.StreamNames(ctx, jetstream.WithStreamListSubject(b.options.Prefix+"."+kind+".>"))
	for name := range lister.Name() {
		if rest, ours := strings.CutPrefix(name, begin); ours {
			names = append(names, rest)
		}
	}
	if err := lister.Err(); err != nil {
		return nil, managed(err)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// streamName is how the names of streams of a kind begin.
func (b *Bus) streamName(kind string) string { return b.options.Prefix + "_" + kind + "_" }
