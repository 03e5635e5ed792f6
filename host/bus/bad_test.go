package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rtd/host/bus"
)

// At max_bytes writes are refused, everything is read, and what is purged makes room.
func TestFull(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	full := map[string]func(t testing.TB) bus.Options{
		"embedded": func(t testing.TB) bus.Options { return bus.Options{Dir: t.TempDir(), MaxBytes: limit} },
		"external": func(t testing.TB) bus.Options {
			return bus.Options{URL: startOutside(t, func(o *server.Options) {
				o.JetStreamMaxMemory, o.JetStreamMaxStore = 1<<20, limit
			}).ClientURL()}
		},
	}
	for name, options := range full {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ctx := open(t, options(t)), limited(t)
			l, err := b.Log(ctx, "log")
			must(t, err)
			s, err := b.Store(ctx, "store")
			must(t, err)
			revision, err := s.Put(ctx, bus.Write{Key: "key", Last: 0})
			must(t, err)
			last, refused := uint64(0), false
			for range 100 {
				n, err := l.Append(ctx, last, make([]byte, 100<<10))
				if err != nil {
					want(t, err, bus.ErrFull)
					refused = true
					break
				}
				last = n
			}
			if !refused {
				t.Fatalf("%d records of 100 KiB, and there is still room", last)
			}
			_, err = s.Put(ctx, bus.Write{Key: "key", Last: revision})
			want(t, err, bus.ErrFull)
			_, err = s.WriteAll(ctx, []bus.Write{{Key: "one"}, {Key: "two"}})
			want(t, err, bus.ErrFull)
			if _, err := s.Get(ctx, "key"); err != nil {
				t.Error(err)
			}
			if list, err := texts(t, l, 1); err != nil || uint64(len(list)) != last {
				t.Errorf("%d of %d records: %v", len(list), last, err)
			}
			if err := b.Err(); err != nil {
				t.Errorf("it does not work: %v", err)
			}
			must(t, l.Purge(ctx, last-1))
			_, err = l.Append(ctx, last, []byte("again"))
			must(t, err)
			_, err = s.Put(ctx, bus.Write{Key: "key", Last: revision})
			must(t, err)
			if by := b.Status().Operations; by["append"]["full"] != 1 || by["append"]["ok"] != last+1 || by["put"]["full"] != 1 {
				t.Errorf("%v", by)
			}
		})
	}
}

// A folder that cannot be one is told of, and used when the cause is gone.
func TestFolderComesBack(t *testing.T) {
	t.Parallel()
	place := filepath.Join(t.TempDir(), "bus")
	must(t, os.WriteFile(place, nil, 0o600))
	b, ctx := begin(t, bus.Options{Dir: place}), limited(t)
	began := b.Status().Since
	eventually(t, "cause", func() bool { return strings.Contains(fmt.Sprint(b.Err()), "make folder") })
	if since := b.Status().Since; !since.Equal(began) {
		t.Errorf("it does not work since %v, and has not since %v", since, began)
	}
	want(t, b.Err(), bus.ErrDown)
	_, err := b.Log(ctx, "log")
	want(t, err, bus.ErrDown)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	want(t, b.Up(short), bus.ErrDown)
	must(t, os.Remove(place))
	must(t, b.Up(ctx))
}

// A folder of a later format is refused, as one whose format nobody knows, and nothing in it is changed.
func TestFolderOfAnotherFormat(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{`{"format": 99}`: "format 99", "x": "no format file", "": "missing"} {
		dir := t.TempDir()
		b := open(t, bus.Options{Dir: dir})
		_, err := b.Log(limited(t), "log")
		must(t, err)
		must(t, b.Close())
		format := filepath.Join(dir, "format.json")
		if must(t, os.Remove(format)); text != "" {
			must(t, os.WriteFile(format, []byte(text), 0o600))
		}
		b = begin(t, bus.Options{Dir: dir})
		eventually(t, "refusal", func() bool { return errors.Is(b.Err(), bus.ErrUnfit) })
		if !strings.Contains(b.Err().Error(), says) {
			t.Errorf("of %q it says %v", text, b.Err())
		}
		must(t, b.Close())
		if now, _ := os.ReadFile(format); string(now) != text {
			t.Errorf("%q has become %q", text, now)
		}
	}
}

// A folder has one user at a time.
func TestFolderInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, bus.Options{Dir: dir})
	second := begin(t, bus.Options{Dir: dir})
	eventually(t, "refusal", func() bool { return errors.Is(second.Err(), bus.ErrUnfit) })
	if !strings.Contains(second.Err().Error(), "another process") {
		t.Errorf("it says %v", second.Err())
	}
	must(t, first.Close())
	must(t, second.Up(limited(t)))
}

// A log or store that cannot be read is refused until somebody accepts what is left of it; the others are used.
func TestDamage(t *testing.T) {
	t.Parallel()
	block := "alone/jetstream/*/streams/rtd_log_bad/msgs/*.blk"
	for name, damage := range map[string]func(t testing.TB, dir string){
		"cut": func(t testing.TB, dir string) {
			alter(t, files(t, dir, block)[0], func(data []byte) []byte { return data[:len(data)-20] })
		},
		"meta": func(t testing.TB, dir string) {
			alter(t, files(t, dir, "alone/jetstream/*/streams/rtd_log_bad/meta.inf")[0], func(data []byte) []byte { return data[:len(data)/2] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, ctx := t.TempDir(), limited(t)
			b := open(t, bus.Options{Dir: dir})
			for _, name := range []string{"bad", "good"} {
				l, err := b.Log(ctx, name)
				must(t, err)
				for i := range 20 {
					_, err = l.Append(ctx, uint64(i), []byte(strings.Repeat("x", 100)))
					must(t, err)
				}
			}
			must(t, b.Close())
			damage(t, dir)
			for range 2 { // it is not forgotten
				b = open(t, bus.Options{Dir: dir})
				_, err := b.Log(ctx, "bad")
				want(t, err, bus.ErrDamaged)
				l, err := b.Log(ctx, "good")
				must(t, err)
				if list, err := texts(t, l, 1); err != nil || len(list) != 20 {
					t.Errorf("%d records: %v", len(list), err)
				}
				must(t, b.Close())
			}
			if name == "meta" {
				for _, path := range files(t, dir, "alone/jetstream/*/streams/rtd_log_bad") {
					must(t, os.RemoveAll(path))
				}
			}
			b = open(t, bus.Options{Dir: dir})
			must(t, b.AcceptLog("bad"))
			l, err := b.Log(ctx, "bad")
			must(t, err)
			list, err := texts(t, l, 1)
			if name == "cut" && (len(list) != 19 || err != nil && !errors.Is(err, bus.ErrDamaged)) || name == "meta" && (len(list) > 0 || err != nil) {
				t.Errorf("%d records: %v", len(list), err)
			}
		})
	}
}

// Records with bytes that have changed are missing, and told of, with what is left of them. Those behind them are there, whatever the end was like.
func TestAlteredRecords(t *testing.T) {
	t.Parallel()
	text := func(n int) string { return fmt.Sprintf("<%03d>%s", n, strings.Repeat("x", 100)) }
	for name, c := range map[string]struct {
		records []int  // that are altered
		at      int    // bytes behind their text
		length  int    // bytes that are altered
		told    string // of the records
	}{
		"first":           {[]int{1}, 10, 1, "1"},
		"middle":          {[]int{10}, 10, 1, "10"},
		"last":            {[]int{20}, 10, 1, "20"},
		"two":             {[]int{3, 4}, 10, 1, "3 4"},
		"length":          {[]int{9}, 100 + 5 + 8, 1, "10"}, // of the one behind
		"sequence":        {[]int{9}, 100 + 5 + 8 + 4, 8, "10"},
		"two, head":       {[]int{9}, 50, 100, "9?"}, // and half of the one behind: it cannot be told apart
		"subject":         {[]int{9}, 100 + 5 + 8 + 22, 3, "10"},
		"length of heads": {[]int{9}, 100 + 5 + 8 + 22 + 11, 1, "10"}, // in no hash
	} {
		for _, proper := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " ", proper), func(t *testing.T) {
				t.Parallel()
				dir, ctx := t.TempDir(), limited(t)
				b := open(t, bus.Options{Dir: dir})
				l, err := b.Log(ctx, "log")
				must(t, err)
				for i := range 20 {
					_, err = l.Append(ctx, uint64(i), []byte(text(i+1)))
					must(t, err)
				}
				must(t, b.Close())
				alter(t, files(t, dir, "alone/jetstream/*/streams/rtd_log_log/msgs/*.blk")[0], func(data []byte) []byte {
					for _, n := range c.records {
						at := bytes.Index(data, []byte(text(n)))
						for i := range c.length {
							data[at+c.at+i] ^= 0x41
						}
					}
					return data
				})
				if !proper {
					must(t, os.Remove(filepath.Join(dir, "clean")))
				}
				for range 2 { // it is not forgotten
					b = open(t, bus.Options{Dir: dir})
					l, err = b.Log(ctx, "log")
					must(t, err)
					lost, err := l.Lost()
					must(t, err)
					var told []string
					gone := map[uint64]bool{}
					for _, l := range lost {
						word := fmt.Sprint(l.Sequence)
						if gone[l.Sequence] = true; l.Data == nil {
							word += "?"
						} else if len(l.Data) != len(text(1)) {
							t.Errorf("of %d there are %d bytes", l.Sequence, len(l.Data))
						}
						told = append(told, word)
					}
					if got := strings.Join(told, " "); got != c.told {
						t.Fatalf("lost are %q, want %q", got, c.told)
					}
					_, last, err := l.Bounds(ctx)
					must(t, err)
					if last != 20 {
						t.Errorf("the last one is %d", last)
					}
					n := 0
					for r, err := range l.Read(ctx, 1) {
						if n++; errors.Is(err, bus.ErrGone) && gone[1] {
							break
						}
						if r.Sequence != uint64(n) || (err == nil) == (gone[r.Sequence] || c.length == 100 && n == 10) {
							t.Fatalf("record %d of %d: %v", r.Sequence, n, err)
						}
						if err == nil && string(r.Data) != text(n) {
							t.Errorf("record %d is %s", n, r.Data)
						}
					}
					must(t, b.Close())
				}
				b = open(t, bus.Options{Dir: dir})
				l, err = b.Log(ctx, "log")
				must(t, err)
				must(t, l.Forget(20))
				if lost, err := l.Lost(); err != nil || len(lost) > 0 {
					t.Errorf("%d are lost: %v", len(lost), err)
				}
				_, err = l.Append(ctx, 20, []byte("goes on"))
				must(t, err)
			})
		}
	}
}

// Servers that are not fit say why.
func TestUnfitServers(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*server.Options){
		"max_payload":      func(o *server.Options) { o.MaxPayload = 1 << 20 },
		"JetStream is off": func(o *server.Options) { o.JetStream = false },
		"uthorization":     func(o *server.Options) { o.Username, o.Password = "rtd", "secret" },
	} {
		o := startOutside(t, change)
		b := begin(t, bus.Options{URL: o.ClientURL()})
		eventually(t, says, func() bool { return strings.Contains(fmt.Sprint(b.Err()), says) })
		must(t, b.Close())
	}
	o := startOutside(t, func(o *server.Options) { o.Username, o.Password = "rtd", "secret" })
	open(t, bus.Options{URL: o.ClientURL(), Credentials: "rtd:secret"})
	o = startOutside(t, func(o *server.Options) { o.Authorization = "a-token" })
	open(t, bus.Options{URL: o.ClientURL(), Credentials: "a-token"})
}

// remove removes a folder into which the server may be writing: then what it has just written makes the first attempt fail.
func remove(dir string) (err error) {
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			break
		}
	}
	return err
}

// A folder that is removed under the server takes no more writes with it, and the bus says so. When it is put back all goes on.
func TestFolderRemoved(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(dir string) error{
		"removed": remove,
		"moved":   func(dir string) error { return os.Rename(dir, dir+"-away") },
		"inside":  func(dir string) error { return remove(filepath.Join(dir, "alone")) },
		"log": func(dir string) error {
			return remove(filepath.Join(dir, "alone", "jetstream", "$G", "streams", "rtd_log_a"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "bus")
			b, err := bus.Open(bus.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
			must(t, err)
			defer b.Close() // which may say that it was no proper end
			ctx := limited(t)
			must(t, b.Up(ctx))
			l, err := b.Log(ctx, "a")
			must(t, err)
			last, err := l.Append(ctx, 0, []byte("one"))
			must(t, err)
			must(t, away(dir))
			if _, err := l.Append(ctx, last, []byte("two")); !errors.Is(err, bus.ErrUnknown) && !errors.Is(err, bus.ErrDown) {
				t.Errorf("a write into files that are gone: %v", err)
			}
			if name == "log" {
				return // the bus has others
			}
			eventually(t, "the bus to say so", func() bool {
				err := b.Err()
				return errors.Is(err, bus.ErrDown) && strings.Contains(err.Error(), "was removed")
			})
			if name != "moved" {
				return
			}
			must(t, os.Rename(dir+"-away", dir))
			must(t, b.Up(ctx))
			last, err = l.Append(ctx, last, []byte("two"))
			must(t, err)
			if r, err := l.Get(ctx, last); err != nil || string(r.Data) != "two" || last != 2 {
				t.Errorf("record %d: %q, %v", last, r.Data, err)
			}
		})
	}
}

// While nobody answers at an address, the bus says what has come of it.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close()) // so that nobody is there
	b, err := bus.Open(bus.Options{URL: "nats://" + l.Addr().String()})
	must(t, err)
	defer b.Close()
	eventually(t, "the cause", func() bool { return strings.Contains(b.Err().Error(), "connect: ") })
}

// Options that make no sense are refused at once.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []bus.Options{{}, {Dir: "a", URL: "b"}, {Dir: "a", Prefix: "a.b"}} {
		if b, err := bus.Open(o); err == nil {
			b.Close()
			t.Errorf("%+v is taken", o)
		}
	}
}

// A server that goes away and comes back is used again.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	o := startOutside(t, nil)
	b, ctx := open(t, bus.Options{URL: o.ClientURL()}), limited(t)
	l, err := b.Log(ctx, "log")
	must(t, err)
	_, err = l.Append(ctx, 0, []byte("one"))
	must(t, err)
	o.stop()
	eventually(t, "end of the connection", func() bool { return b.Err() != nil })
	_, err = l.Append(ctx, 1, []byte("two"))
	want(t, err, bus.ErrDown)
	o.start(t)
	must(t, b.Up(ctx))
	if list, err := texts(t, l, 1); err != nil || len(list) != 1 {
		t.Errorf("%v: %v", list, err)
	}
	n, err := l.Append(ctx, 1, []byte("two"))
	must(t, err)
	if n != 2 {
		t.Errorf("sequence %d", n)
	}
	if b.Status().Reconnects != 1 {
		t.Errorf("%+v", b.Status())
	}
}

// relay passes bytes between a bus and its server, until it is told to keep the server's to itself.
type relay struct {
	net.Listener
	mu    sync.Mutex
	deaf  bool
	conns []net.Conn
}

func startRelay(t testing.TB, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &relay{Listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			running.Go(func() { r.pass(far, near, func() bool { return false }) })
			running.Go(func() { r.pass(near, far, r.isDeaf) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		running.Wait()
	})
	return r
}

func (r *relay) pass(to, from net.Conn, drop func() bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			to.Close()
			return
		}
		if !drop() {
			to.Write(buffer[:n])
		}
	}
}

func (r *relay) isDeaf() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.deaf
}

func (r *relay) set(deaf bool) {
	r.mu.Lock()
	r.deaf = deaf
	r.mu.Unlock()
}

// cut ends all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

// A write whose answer does not come is unknown. The same write again tells, and nothing is stored twice.
func TestUnknownOutcome(t *testing.T) {
	t.Parallel()
	o := startOutside(t, nil)
	r := startRelay(t, o.Addr().String())
	b, ctx := open(t, bus.Options{URL: "nats://" + r.Addr().String()}), limited(t)
	l, err := b.Log(ctx, "log")
	must(t, err)
	s, err := b.Store(ctx, "store")
	must(t, err)
	_, err = l.Append(ctx, 0, []byte("one"))
	must(t, err)

	r.set(true)
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = l.Append(short, 1, []byte("two"))
	want(t, err, bus.ErrUnknown)
	short, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = s.Put(short, bus.Write{Key: "key", Value: []byte("v"), Last: 0})
	want(t, err, bus.ErrUnknown)

	r.set(false)
	r.cut()
	eventually(t, "loss of the connection", func() bool { return b.Status().Reconnects > 0 })
	must(t, b.Up(ctx))
	n, err := l.Append(ctx, 1, []byte("two"))
	must(t, err)
	revision, err := s.Put(ctx, bus.Write{Key: "key", Value: []byte("v"), Last: 0})
	must(t, err)
	if list, err := texts(t, l, 1); err != nil || n != 2 || strings.Join(list, " ") != "1:one 2:two" {
		t.Errorf("%d of %v: %v", n, list, err)
	}
	if e, err := s.Get(ctx, "key"); err != nil || e.Revision != revision {
		t.Errorf("%+v: %v", e, err)
	}

	// Another one at the same place is another one's.
	other := open(t, bus.Options{URL: o.ClientURL()})
	theirs, err := other.Log(ctx, "log")
	must(t, err)
	_, err = theirs.Append(ctx, 1, []byte("two"))
	want(t, err, bus.ErrConflict)
}

// A stream that somebody has made in another way is not used.
func TestUnfitStreams(t *testing.T) {
	t.Parallel()
	o := startOutside(t, nil)
	b, ctx := open(t, bus.Options{URL: o.ClientURL()}), limited(t)
	conn, err := nats.Connect(o.ClientURL())
	must(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	must(t, err)
	for name, c := range map[string]jetstream.StreamConfig{
		"memory": {Storage: jetstream.MemoryStorage, Discard: jetstream.DiscardNew, AllowDirect: true},
		"async":  {Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true, PersistMode: jetstream.AsyncPersistMode},
		"old":    {Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, AllowDirect: true},
		"short":  {Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, AllowDirect: true, MaxMsgSize: 1000},
	} {
		c.Name, c.Subjects = "rtd_log_"+name, []string{"rtd.log." + name}
		_, err := js.CreateStream(ctx, c)
		must(t, err)
		_, err = b.Log(ctx, name)
		want(t, err, bus.ErrUnfit)
	}
}
