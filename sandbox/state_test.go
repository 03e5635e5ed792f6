package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

// Wherever an instance is, resident, at rest, packed, or fresh, State is all of it, changes nothing, and Resume
// makes another one that is the same.
func TestStateIsAll(t *testing.T) {
	const actors, events = 12, 600
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 3}})
			p.NeverCompact() // which changes the memory when others come
			var all []*sandbox.Instance
			for range actors {
				all = append(all, actor(t, p))
			}
			all = append(all, start(t, p))
			r := rand.New(rand.NewPCG(3, 4))
			var state []byte
			resting := 0
			for range events {
				n := r.IntN(actors)
				e := randomEvent(r, n)
				if _, err := all[n].Handle(e); err != nil {
					if _, err := all[n].State(nil); err == nil {
						t.Fatal("a dead guest has a state")
					}
					all[n].Close()
					if _, err := all[n].State(nil); err == nil {
						t.Fatal("a closed instance has a state")
					}
					all[n] = actor(t, p)
					continue
				}
				all[n].Release()
				n = r.IntN(len(all))
				if rests, _ := all[n].AtRest(); rests {
					resting++
				}
				var err error
				if state, err = all[n].State(append(state[:0], "before"...)); err != nil {
					t.Fatal(err)
				}
				again, err := p.Resume("actor:1", nil, state[len("before"):])
				must(t, err)
				got, gotGlobals, err := again.Memory()
				must(t, err)
				again.Close()
				want, wantGlobals, err := all[n].Memory()
				must(t, err)
				if !bytes.Equal(got, want) || !slices.Equal(gotGlobals, wantGlobals) {
					t.Fatal("memory or globals differ")
				}
			}
			if resting == 0 || resting == events {
				t.Errorf("%d of %d states were at rest", resting, events)
			}
		})
	}
}

// The garbage of a guest that has a collector does not pile up in its states, though it stays in its slot.
func TestStateStaysSmall(t *testing.T) {
	for language, limit := range map[string]int{"c": 1 << 10, "rust": 2 << 10, "as": 24 << 10, "go": 48 << 10} {
		t.Run(language, func(t *testing.T) {
			p := load(t, actorGuest(t, language), sandbox.LoadOptions{})
			i := actor(t, p)
			var state []byte
			largest := 0
			for range 2000 {
				_, err := i.Handle(message("say", `{"body":"hello"}`))
				must(t, err)
				state, err = i.State(state[:0])
				must(t, err)
				largest = max(largest, len(state))
			}
			wantReply(t, resume(t, p, state), "last", "", `["hello"`+strings.Repeat(`,"hello"`, 9)+"]")
			if largest > limit {
				t.Errorf("up to %d bytes, want at most %d", largest, limit)
			}
			t.Logf("up to %d bytes", largest)
		})
	}
}

// Nor does it in the states of a guest that also keeps much, of which a collection takes only a small part.
func TestLargeStatesStaySmall(t *testing.T) {
	p := load(t, sandboxtest.BuildGo(t, "./testdata/hoard"), sandbox.LoadOptions{})
	i := start(t, p)
	_, err := i.Handle(&abi.Event{Kind: abi.EventJoin, Name: "hoard:1", Payload: []byte("{}"), Detail: "#1.x"})
	must(t, err)
	var state []byte
	largest := 0
	for range 1500 { // some 20 collections
		_, err := i.Handle(message("waste", "{}"))
		must(t, err)
		i.Release()
		state, err = i.State(state[:0])
		must(t, err)
		largest = max(largest, len(state))
	}
	if want := 500 << 10; largest > want {
		t.Errorf("up to %d bytes, want at most %d", largest, want)
	}
	t.Logf("up to %d bytes", largest)
}

// A state is of memory that has grown, too, and of nothing that the module could not have.
func TestStateOfGrownMemory(t *testing.T) {
	p := load(t, actorGuest(t, "rust"), sandbox.LoadOptions{})
	i := actor(t, p)
	state := stateOf(t, i)
	body := 1 + 16 + 4
	globals, n := binary.Uvarint(state[body:])
	at := body + n
	for range 2 * globals {
		_, n := binary.Uvarint(state[at:])
		at += n
	}
	size, n := binary.Uvarint(state[at:])
	sized := func(size uint64) []byte {
		changed := binary.AppendUvarint(slices.Clone(state[:at]), size)
		return sealedState(append(changed, state[at+n:]...))
	}
	bigger := resume(t, p, sized(size+(3<<16)))
	if memory, _, err := bigger.Memory(); err != nil || len(memory) != int(size)+3<<16 {
		t.Errorf("%d bytes of memory: %v", len(memory), err)
	}
	wantReply(t, bigger, "last", "", "[]")
	for _, size := range []uint64{0, 1, 1 << 16, size - 1<<16, size + 1, 64<<20 + 1<<16, 1 << 32, 1 << 40, 1 << 63} {
		if i, err := p.Resume("actor:1", nil, sized(size)); !errors.Is(err, sandbox.ErrDamaged) {
			t.Errorf("%d bytes of memory: %v", size, err)
			i.Close()
		}
	}
	if s := p.Stats(); s.Memory > 64<<20 {
		t.Errorf("%d bytes are counted", s.Memory)
	}
}

// sealedState gives a state the checksum of what it says.
func sealedState(state []byte) []byte {
	const body = 1 + 16 + 4
	if len(state) > body {
		binary.LittleEndian.PutUint32(state[body-4:], crc32.Checksum(state[body:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return state
}

// A bit that has turned over is noticed, wherever it is.
func TestDamagedState(t *testing.T) {
	p := load(t, actorGuest(t, "c"), sandbox.LoadOptions{})
	state := stateOf(t, actor(t, p))
	for at := range state {
		bad := slices.Clone(state)
		bad[at] ^= 1 << (at % 8)
		_, err := p.Resume("actor:1", nil, bad)
		if want := map[bool]error{true: sandbox.ErrSnapshot, false: sandbox.ErrDamaged}[at >= 1 && at < 17]; !errors.Is(err, want) {
			t.Fatalf("byte %d: %v", at, err)
		}
		if _, err := p.Resume("actor:1", nil, state[:at]); err == nil {
			t.Fatalf("resumed %d bytes of %d", at, len(state))
		}
	}
	wantReply(t, resume(t, p, state), "last", "", "[]")
}

// Which snapshot a state is of can be told without its module, of a state that is damaged further on, too. An instance
// that is kept within something else goes on like any other.
func TestSnapshotOfState(t *testing.T) {
	p := load(t, actorGuest(t, "c"), sandbox.LoadOptions{})
	i := actor(t, p)
	must(t, tell(i, message("say", `{"body":"mine"}`)))
	state := stateOf(t, i)
	name, _ := p.Snapshot()
	for _, state := range [][]byte{state, append(slices.Clone(state[:len(state)-1]), 0xff)} {
		if prefix, err := sandbox.SnapshotOf(state); err != nil || prefix != name[:32] {
			t.Errorf("it is of %q, %v; want the beginning of %s", prefix, err, name)
		}
	}
	for at := range 1 + 16 + 4 {
		if _, err := sandbox.SnapshotOf(state[:at]); !errors.Is(err, sandbox.ErrDamaged) {
			t.Errorf("%d bytes: %v", at, err)
		}
	}
	if _, err := sandbox.SnapshotOf(append([]byte{state[0] + 1}, state[1:]...)); !errors.Is(err, sandbox.ErrDamaged) {
		t.Errorf("another format: %v", err)
	}

	var kept struct{ guest sandbox.Instance }
	must(t, p.ResumeIn(&kept.guest, "actor:1", nil, state))
	defer kept.guest.Close()
	wantReply(t, &kept.guest, "last", "", `["mine"]`)
	if got := kept.guest.Topic(); got != "actor:1" {
		t.Errorf("its topic is %q", got)
	}
	var refused sandbox.Instance
	if err := p.ResumeIn(&refused, "actor:1", nil, state[:len(state)-1]); !errors.Is(err, sandbox.ErrDamaged) {
		t.Errorf("resumed a part: %v", err)
	}
}

// Bytes from a disk, with the right checksum, do no harm to anybody but the instance.
func FuzzResume(f *testing.F) {
	p := load(f, actorGuest(f, "c"), sandbox.LoadOptions{Limits: sandbox.Limits{Slots: 1, Memory: 4 << 20, TotalMemory: 8 << 20, Deadline: patient.Deadline / 10}})
	other := actor(f, p)
	if _, err := other.Handle(message("say", `{"body":"mine"}`)); err != nil {
		f.Fatal(err)
	}
	memory, globals, err := other.Memory()
	if err != nil {
		f.Fatal(err)
	}
	valid := stateOf(f, other)
	head := valid[:1+16+4]
	f.Add(valid[len(head):])
	f.Add([]byte{1, 0, 0x80, 0x80, 0x80, 0x80, 1, 0x80, 0x80, 4})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		i, err := p.Resume("actor:1", nil, sealedState(append(slices.Clone(head), body...)))
		if err == nil {
			_, _ = i.Handle(message("last", "")) // may trap
			i.Close()
		} else if !errors.Is(err, sandbox.ErrDamaged) {
			t.Fatal(err)
		}
		got, gotGlobals, err := other.Memory()
		must(t, err)
		if !bytes.Equal(got, memory) || !slices.Equal(gotGlobals, globals) {
			t.Fatal("the other has changed")
		}
	})
}

// What a kept snapshot costs and saves: the start of the chat plugin, which is what Load takes beyond the machine code, by
// turns in one run. The medians are in microseconds.
func BenchmarkLoadChat(b *testing.B) {
	wasm := sandboxtest.BuildGo(b, "rtd/plugins/chat")
	e := sandboxtest.Engine(b)
	shelf := sandboxtest.Shelf(b.TempDir())
	ways := []struct {
		name  string
		shelf func() sandbox.Snapshots
	}{
		{"µs/nothing-kept", func() sandbox.Snapshots { return nil }},
		{"µs/made-and-kept", func() sandbox.Snapshots { return sandboxtest.Shelf(b.TempDir()) }},
		{"µs/kept", func() sandbox.Snapshots { return shelf }},
	}
	keeping(b, wasm, shelf, sandbox.LoadOptions{Name: "chat", Version: "v1"})
	times := map[string][]float64{}
	for b.Loop() {
		for _, way := range ways {
			o := sandbox.LoadOptions{Name: "chat", Version: "v1", Snapshots: way.shelf(), Limits: patient}
			begin := time.Now()
			p, err := e.Load(b.Context(), wasm, o)
			if err != nil {
				b.Fatal(err)
			}
			times[way.name] = append(times[way.name], micros(time.Since(begin)-p.LoadStats().Compile))
			p.Close()
		}
	}
	b.ReportMetric(0, "ns/op") // of all three, and of the machine code
	for name, all := range times {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
}

// What the state of a resident actor costs after an event.
func BenchmarkState(b *testing.B) {
	for _, language := range languages {
		for _, state := range []bool{false, true} {
			b.Run(language+map[bool]string{false: "/handle", true: "/handle and state"}[state], func(b *testing.B) {
				i := actor(b, load(b, actorGuest(b, language), sandbox.LoadOptions{}))
				var buffer []byte
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					said := sayings()
					if err := tell(i, said[n%len(said)]); err != nil {
						b.Fatal(err)
					}
					if state {
						var err error
						if buffer, err = i.State(buffer[:0]); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(len(buffer)), "B/state")
			})
		}
	}
}
