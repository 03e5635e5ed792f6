package presence_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rtd/channels/presence"
)

// purse pays for as many bytes as it has room for.
type purse struct {
	room int64 // 0 for no bound
	kept atomic.Int64
}

func (p *purse) Keep(bytes int) bool {
	if n := p.kept.Add(int64(bytes)); p.room > 0 && n > p.room {
		p.kept.Add(-int64(bytes))
		return false
	}
	return true
}

func (p *purse) Give(bytes int) { p.kept.Add(-int64(bytes)) }

func (p *purse) want(t *testing.T, kept int64) {
	t.Helper()
	if got := p.kept.Load(); got != kept {
		t.Errorf("%d bytes are kept, want %d", got, kept)
	}
}

func TestPayer(t *testing.T) {
	p := &purse{room: 128 + 20}
	payer := func(owner any) presence.Payer {
		if owner == 1 {
			return p
		}
		return nil
	}
	inBubble(t, presence.Options{Payer: payer, Grace: time.Second}, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, 1, "room", "ann", `{"n":1}`) // 4, 3, 5, and 128 besides
		p.want(t, 128+12)
		if _, err := tr.Track(1, "room", "bob", []byte(`{"n":1}`)); !errors.Is(err, presence.ErrNoRoom) {
			t.Errorf("beyond the bound: %v", err)
		}
		track(t, tr, 2, "room", "bob", `{"n":1}`) // another's purse
		if _, err := tr.Track(1, "room", "ann", []byte(`{}`)); !errors.Is(err, presence.ErrTracked) {
			t.Errorf("twice: %v", err)
		}
		if _, err := tr.Update(1, "room", "bob", []byte(`{}`)); !errors.Is(err, presence.ErrNotTracked) {
			t.Errorf("update of none: %v", err)
		}
		p.want(t, 128+12)
		if _, err := tr.Update(1, "room", "ann", []byte(`{}`)); err != nil {
			t.Error(err)
		}
		p.want(t, 128+7)
		everywhere := func(any, string) bool { return true }
		tr.Suspend(everyTopic, everywhere, func(string) bool { return true })
		p.want(t, 128+7) // aside
		tr.Resume(everywhere)
		p.want(t, 128+7)
		tr.Leave(1)
		p.want(t, 128+7) // lingers
		settle()
		time.Sleep(time.Second)
		settle()
		p.want(t, 0)
	})
}

// When there is no room, who is restarted can still be as present as before.
func TestPayerWithoutRoom(t *testing.T) {
	for name, begin := range map[string]func(*presence.Tracker){
		"held": func(tr *presence.Tracker) { tr.Hold(1) },
		"kept": func(tr *presence.Tracker) { tr.Keep(1) },
	} {
		t.Run(name, func(t *testing.T) {
			p := &purse{}
			inBubble(t, presence.Options{Payer: func(any) presence.Payer { return p }}, func(t *testing.T, tr *presence.Tracker, l *log) {
				first := track(t, tr, 1, "room", "ann", `{"n":1}`)
				track(t, tr, 1, "room", "bob", `{"n":1}`)
				p.room = p.kept.Load()
				begin(tr)
				again := track(t, tr, 1, "room", "ann", `{"n":1}`)
				if name == "kept" != (again == first) {
					t.Errorf("ref %s, was %s", again, first)
				}
				if _, err := tr.Track(1, "room", "ann", []byte(`{"n":1}`)); !errors.Is(err, presence.ErrTracked) {
					t.Errorf("twice: %v", err)
				}
				if _, err := tr.Track(1, "room", "bob", []byte(`{"n":12}`)); !errors.Is(err, presence.ErrNoRoom) {
					t.Errorf("a larger meta: %v", err)
				}
				if _, err := tr.Track(1, "room", "cyd", []byte(`{}`)); !errors.Is(err, presence.ErrNoRoom) {
					t.Errorf("another key: %v", err)
				}
				p.want(t, p.room)
				track(t, tr, 1, "room", "bob", `{"n":2}`)
				p.want(t, p.room)
				if _, err := tr.Update(1, "room", "bob", []byte(`{}`)); err != nil {
					t.Error(err)
				}
				p.want(t, p.room-5)
				if got, _ := tr.Get("room", "bob"); strings.Contains(string(got), `"n"`) {
					t.Errorf("bob is %s", got)
				}
				tr.Leave(1)
				p.want(t, 0)
			})
		})
	}
}

// Whatever owners do, and in whatever order, nothing is kept for them in the end.
func TestPayerGetsAllBack(t *testing.T) {
	p := &purse{room: 1500}
	o := presence.Options{Payer: func(any) presence.Payer { return p }, Grace: time.Second, OwnerEntries: 5, TopicEntries: 10}
	inBubble(t, o, func(t *testing.T, tr *presence.Tracker, l *log) {
		random := rand.New(rand.NewPCG(1, 2))
		some := func(any, string) bool { return random.IntN(3) == 0 }
		for range 20_000 {
			owner, topic, key := random.IntN(6), fmt.Sprint(random.IntN(3)), fmt.Sprint(random.IntN(5))
			meta := fmt.Appendf(nil, `{"n":%q}`, strings.Repeat("x", random.IntN(60)))
			switch random.IntN(16) {
			default:
				_, _ = tr.Track(owner, topic, key, meta)
			case 1, 2, 3:
				_, _ = tr.Update(owner, topic, key, meta)
			case 4, 5, 6:
				tr.Untrack(owner, topic, key)
			case 7:
				tr.Leave(owner)
			case 8:
				tr.Hold(owner)
			case 9:
				tr.Settle(owner)
			case 10:
				tr.Keep(owner)
			case 11:
				tr.Suspend(everyTopic, some, func(string) bool { return false })
			case 12:
				tr.Resume(some)
			case 13:
				time.Sleep(100 * time.Millisecond)
			}
			if n := p.kept.Load(); n < 0 || n > p.room {
				t.Fatalf("%d bytes are kept", n)
			}
		}
		for owner := range 6 {
			tr.Leave(owner)
		}
		time.Sleep(time.Second)
		settle()
		p.want(t, 0)
	})
}
