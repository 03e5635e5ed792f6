package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rtd/host/bus"
	"rtd/host/durable"
	"rtd/host/durable/store"
)

// onDisk changes the file of records of a stream while nothing runs.
func (p *place) onDisk(stream string, proper bool, change func([]byte) []byte) {
	p.t.Helper()
	p.stop()
	if !proper {
		must(p.t, os.Remove(filepath.Join(p.bus.Dir, "clean")))
	}
	files, err := filepath.Glob(filepath.Join(p.bus.Dir, "alone/jetstream/*/streams", stream, "msgs", "*.blk"))
	must(p.t, err)
	if len(files) != 1 {
		p.t.Fatalf("%s has %d files", stream, len(files))
	}
	data, err := os.ReadFile(files[0])
	must(p.t, err)
	must(p.t, os.WriteFile(files[0], change(data), 0o600))
}

func text(n int) string { return fmt.Sprintf("<%03d>%s", n, strings.Repeat("x", 200)) }

// behind alters a byte so many bytes behind the text of an actor.
func behind(t *testing.T, n, bytesBehind int) func([]byte) []byte {
	return func(data []byte) []byte {
		at := bytes.LastIndex(data, []byte(text(n)))
		if at < 0 {
			t.Fatalf("%d is not there", n)
		}
		data[at+bytesBehind] ^= 0x21
		return data
	}
}

const altered = 40 // of the actors

// A record of the log that is altered on the disk concerns whom it has commits of. They are refused until somebody gives them up, or accepts what was there before.
func TestAlteredOnDisk(t *testing.T) {
	t.Parallel()
	for _, proper := range []bool{true, false} {
		for _, n := range []int{1, 20, altered} {
			t.Run(fmt.Sprint(n, " ", proper), func(t *testing.T) {
				t.Parallel()
				p, ctx := open(t, store.Options{}), limited(t)
				for i := range altered {
					p.put(topic(fmt.Sprint(i+1)), 0, text(i+1))
				}
				p.checkpoint()
				for i := range altered {
					p.put(topic(fmt.Sprint(i+1)), 1, text(i+1))
				}
				hurt := topic(fmt.Sprint(n))
				p.onDisk("rtd_log_durable-1", proper, behind(t, n, 7))
				p.start()
				for range 2 { // it is not forgotten
					for i := range altered {
						s, err := p.Load(ctx, topic(fmt.Sprint(i+1)))
						if i+1 == n {
							want(t, err, durable.ErrDamaged)
						} else if err != nil || s.Revision != 2 {
							t.Fatalf("%d: %+v, %v", i+1, s, err)
						}
					}
					want(t, p.Commit(ctx, &durable.Commit{Actor: hurt, State: state(1, "")}), durable.ErrDamaged)
					p.put(topic("new"+fmt.Sprint(p.Status().Recovery)), 0, "")
					p.again()
				}
				var saved bytes.Buffer
				must(t, p.Backup(ctx, &saved))
				list, err := p.List(ctx, "chat", durable.Topic, hurt.Name, "", 1)
				if err != nil || len(list) != 1 || !strings.Contains(list[0].Cause, "damaged") {
					t.Errorf("%+v, %v", list, err)
				}
				if n == 20 {
					must(t, p.Accept(ctx, hurt))
					p.again()
					if s, err := p.Load(ctx, hurt); err != nil || s.Revision != 1 {
						t.Fatalf("%+v, %v", s, err)
					}
				}
				must(t, p.Remove(ctx, hurt))
				p.put(hurt, 0, "anew")
				p.again()
				if s, err := p.Load(ctx, hurt); err != nil || s.Revision != 1 {
					t.Fatalf("%+v, %v", s, err)
				}
				want(t, p.Accept(ctx, hurt), durable.ErrNone)
			})
		}
	}
}

// An actor whose first commit was damaged is refused, too, and so is who was to get a post by a damaged commit.
func TestAlteredCommitOfOthers(t *testing.T) {
	t.Parallel()
	p, ctx := open(t, store.Options{}), limited(t)
	s := state(1, text(1))
	must(t, p.Commit(ctx, &durable.Commit{Actor: topic("from"), State: s, Posts: []durable.Post{{ID: durable.PostID{Born: 7, Revision: 1}, To: process("to")}}}))
	p.put(topic("beside"), 0, "")
	p.onDisk("rtd_log_durable-1", false, behind(t, 1, 7))
	p.start()
	for _, a := range []durable.Actor{topic("from"), process("to")} {
		_, err := p.Load(ctx, a)
		want(t, err, durable.ErrDamaged)
		must(t, p.Remove(ctx, a))
		p.has(a, nil)
	}
	_, err := p.Load(ctx, topic("beside"))
	must(t, err)
}

// A leaf that is altered on the disk concerns whom it has.
func TestAlteredLeafOnDisk(t *testing.T) {
	t.Parallel()
	for _, at := range []int{7, -100} {
		for _, proper := range []bool{true, false} {
			t.Run(fmt.Sprint(at, " ", proper), func(t *testing.T) {
				t.Parallel()
				p, ctx := open(t, store.Options{}), limited(t)
				for i := range altered {
					p.put(topic(fmt.Sprint(i+1)), 0, text(i+1))
				}
				p.checkpoint()
				for i := range 3 { // some leaves are written anew
					p.put(topic(fmt.Sprint(i+1)), 1, text(i+1))
				}
				p.checkpoint()
				p.onDisk("rtd_store_durable", proper, behind(t, 20, at))
				p.start()
				refused := 0
				for i := range altered {
					s, err := p.Load(ctx, topic(fmt.Sprint(i+1)))
					switch {
					case errors.Is(err, durable.ErrDamaged):
						refused++
						must(t, p.Remove(ctx, topic(fmt.Sprint(i+1))))
						p.has(topic(fmt.Sprint(i+1)), nil)
					case err != nil || i < 3 && s.Revision != 2:
						t.Fatalf("%d: %+v, %v", i+1, s, err)
					}
				}
				if refused != 1 {
					t.Errorf("%d are refused", refused)
				}
			})
		}
	}
}

// Who has events in the log behind an entry of a leaf that is altered is refused all the same, as messages may be missing: until somebody accepts
// it, or gives it up. Others in the leaf that cannot be read stay refused then.
func TestAlteredLeafBehindTheLog(t *testing.T) {
	t.Parallel()
	for _, accept := range []bool{true, false} {
		t.Run(fmt.Sprint(accept), func(t *testing.T) {
			t.Parallel()
			p, ctx := open(t, store.Options{}), limited(t)
			for i := range 3 {
				p.put(topic(fmt.Sprint(i)), 0, text(i))
			}
			p.checkpoint()
			for i := range 3 {
				if i != 1 {
					p.put(topic(fmt.Sprint(i)), 1, text(i))
				}
			}
			p.onDisk("rtd_store_durable", true, func(data []byte) []byte {
				return behind(t, 1, 9)(behind(t, 0, 9)(data))
			})
			p.start()
			for range 2 { // it is not forgotten
				for i := range 2 {
					_, err := p.Load(ctx, topic(fmt.Sprint(i)))
					want(t, err, durable.ErrDamaged)
				}
				_, err := p.Load(ctx, topic("2"))
				must(t, err)
				list, err := p.List(ctx, "chat", durable.Topic, "", "", 9)
				if err != nil || len(list) != 3 || list[0].Cause == "" || list[1].Cause == "" || list[2].Cause != "" {
					t.Errorf("%+v, %v", list, err)
				}
				p.again()
			}
			if accept {
				must(t, p.Accept(ctx, topic("0")))
			} else {
				must(t, p.Remove(ctx, topic("0")))
				p.has(topic("0"), nil)
			}
			for range 2 {
				p.again()
				s, err := p.Load(ctx, topic("0"))
				if accept && (err != nil || s.Revision != 2) {
					t.Fatalf("%+v, %v", s, err)
				} else if !accept {
					want(t, err, durable.ErrNone)
				}
				_, err = p.Load(ctx, topic("1"))
				want(t, err, durable.ErrDamaged)
				p.checkpoint()
			}
			must(t, p.Remove(ctx, topic("1")))
			p.put(topic("1"), 0, "anew")
			p.again()
			list, err := p.List(ctx, "chat", durable.Topic, "", "", 9)
			if err != nil || slices.ContainsFunc(list, func(i store.Info) bool { return i.Cause != "" }) {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

// What was removed from the log may be there again, after a power cut: then the leaves count, whatever of it is altered.
func TestLogComesBack(t *testing.T) {
	t.Parallel()
	p, ctx := open(t, store.Options{}), limited(t)
	p.put(topic("a"), 0, text(1))
	p.put(topic("a"), 1, text(2))
	logs, err := filepath.Glob(filepath.Join(p.bus.Dir, "alone/jetstream/*/streams/rtd_log_durable-1"))
	must(t, err)
	saved := filepath.Join(t.TempDir(), "log")
	must(t, os.CopyFS(saved, os.DirFS(logs[0])))
	p.checkpoint()
	p.stop()
	must(t, os.RemoveAll(logs[0]))
	must(t, os.CopyFS(logs[0], os.DirFS(saved)))
	must(t, os.Remove(filepath.Join(p.bus.Dir, "clean")))
	files, err := filepath.Glob(filepath.Join(logs[0], "msgs", "*.blk"))
	must(t, err)
	data, err := os.ReadFile(files[0])
	must(t, err)
	must(t, os.WriteFile(files[0], behind(t, 2, 7)(data), 0o600))
	p.start()
	for range 2 {
		if s, err := p.Load(ctx, topic("a")); err != nil || s.Revision != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		p.again()
	}
}

// Damage of which nobody knows whom it concerns holds up all, until somebody accepts it; then all goes on by itself.
func TestRepair(t *testing.T) {
	t.Parallel()
	gone := func(stream string) func(t *testing.T, p *place) {
		return func(t *testing.T, p *place) {
			p.stop()
			files, err := filepath.Glob(filepath.Join(p.bus.Dir, "alone/jetstream/*/streams", stream))
			must(t, err)
			must(t, os.RemoveAll(files[0]))
		}
	}
	for name, c := range map[string]struct {
		happen func(t *testing.T, p *place)
		there  int // actors of three, of which two are in leaves
	}{
		"cut log": {func(t *testing.T, p *place) {
			p.onDisk("rtd_log_durable-1", true, func(b []byte) []byte { return b[:len(b)-30] })
		}, 2},
		"no log": {gone("rtd_log_durable-1"), 2},
		"cut leaf": {func(t *testing.T, p *place) {
			p.onDisk("rtd_store_durable", true, func(b []byte) []byte { return b[:len(b)-30] })
		}, 3},
		"no store": {gone("rtd_store_durable"), 1},
		"head of a record": {func(t *testing.T, p *place) {
			p.onDisk("rtd_log_durable-1", true, func(b []byte) []byte {
				at := bytes.LastIndex(b, []byte("\r\n\r\n")) + 4
				b[at+3] ^= 0xff // the length of the first frame
				return b
			})
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ctx := open(t, store.Options{}), limited(t)
			want(t, p.Repair(ctx), store.ErrSound)
			p.put(topic("a"), 0, text(1))
			p.put(topic("b"), 0, text(2))
			p.checkpoint()
			p.put(topic("c"), 0, text(3))
			c.happen(t, p)
			for range 2 { // it is not forgotten
				var err error
				p.b, err = bus.Open(p.bus)
				must(t, err)
				p.Keeper = store.Open(p.b, p.opts)
				err = p.Up(ctx)
				want(t, err, durable.ErrUnavailable)
				if !strings.Contains(err.Error(), "rtd state repair") {
					t.Errorf("the error is %v", err)
				}
				_, err = p.Load(ctx, topic("a"))
				want(t, err, durable.ErrUnavailable)
				want(t, p.Commit(ctx, &durable.Commit{Actor: topic("d"), State: state(1, "")}), durable.ErrUnavailable)
				p.stop()
			}
			p.b, _ = bus.Open(p.bus)
			p.Keeper = store.Open(p.b, p.opts)
			want(t, p.Up(ctx), durable.ErrUnavailable)
			must(t, p.Repair(ctx))
			p.put(topic("d"), 0, "goes on")
			p.again()
			there := 0
			for _, a := range []string{"a", "b", "c"} {
				if _, err := p.Load(ctx, topic(a)); err == nil {
					there++
				}
			}
			if there < c.there {
				t.Errorf("%d of three are there, want %d", there, c.there)
			}
			want(t, p.Repair(ctx), store.ErrSound)
		})
	}
}
