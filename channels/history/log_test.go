package history_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rtd/channels/history"
)

var epoch = history.NewEpoch()

func at(offset uint64) history.Position { return history.Position{Epoch: epoch, Offset: offset} }

// after is what a log tells as text.
func after(l *history.Log[uint64], p history.Position, most history.Most) string {
	missed, n, gap := l.After(p, most)
	text := ""
	told := 0
	for offset, m := range missed {
		if offset != m {
			return fmt.Sprintf("message %d at %d", m, offset)
		}
		text += fmt.Sprint(m, " ")
		told++
	}
	if told != n {
		return fmt.Sprintf("%d of %d", told, n)
	}
	return text + string(gap)
}

func TestAfter(t *testing.T) {
	l := history.New[uint64](at(0))
	now := time.Now()
	for n := uint64(1); n <= 10; n++ {
		l.Append(n, 10, now, history.Bounds{Messages: 4})
	}
	for _, c := range []struct {
		name  string
		since history.Position
		most  history.Most
		want  string
	}{
		{"nothing", at(10), history.Most{}, ""},
		{"two", at(8), history.Most{}, "9 10 "},
		{"all", at(6), history.Most{}, "7 8 9 10 "},
		{"one is gone", at(5), history.Most{}, "7 8 9 10 gone"},
		{"never heard anything", at(0), history.Most{Messages: 2}, "9 10 gone"},
		{"more than at a time", at(6), history.Most{Messages: 3}, "8 9 10 limit"},
		{"more bytes than at a time", at(6), history.Most{Bytes: 25}, "9 10 limit"},
		{"just as many", at(6), history.Most{Messages: 4, Bytes: 40}, "7 8 9 10 "},
		{"in the future", at(11), history.Most{}, "7 8 9 10 future"},
		{"the last offset there is", at(1<<64 - 1), history.Most{}, "7 8 9 10 future"},
		{"another life", history.Position{Epoch: history.NewEpoch(), Offset: 9}, history.Most{}, "7 8 9 10 epoch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := after(l, c.since, c.most); got != c.want {
				t.Errorf("after %v: %q, want %q", c.since, got, c.want)
			}
		})
	}
}

// TestBounds holds a log to a plain list of the same messages.
func TestBounds(t *testing.T) {
	type message struct {
		offset uint64
		size   int64
		at     time.Time
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		b := history.Bounds{Messages: r.IntN(40), Bytes: int64(r.IntN(1000)), Age: time.Duration(r.IntN(100))}
		l := history.New[uint64](at(0))
		var want []message
		now, offset := time.Unix(0, 0), uint64(0)
		for range 300 {
			now = now.Add(time.Duration(r.IntN(6)))
			switch r.IntN(20) {
			case 0:
				before := uint64(r.IntN(int(offset + 2)))
				l.Purge(before)
				for len(want) > 0 && want[0].offset < before {
					want = want[1:]
				}
			case 1:
				l.Trim(now, b)
			default:
				offset++
				size := int64(r.IntN(60))
				l.Append(offset, size, now, b)
				want = append(want, message{offset, size, now})
			}
			bytes := int64(0)
			for _, m := range want {
				bytes += m.size
			}
			for len(want) > 0 && l.Len() < len(want) {
				if first := want[0]; !(b.Messages > 0 && len(want) > b.Messages || b.Bytes > 0 && bytes > b.Bytes || b.Age > 0 && now.Sub(first.at) > b.Age) {
					t.Fatalf("%+v: let go of %+v without need", b, first)
				}
				bytes -= want[0].size
				want = want[1:]
			}
			if l.Len() != len(want) || l.Bytes() != bytes || l.Position() != at(offset) {
				t.Fatalf("%+v: %d messages of %d bytes at %v, want %d of %d at %d", b, l.Len(), l.Bytes(), l.Position(), len(want), bytes, offset)
			}
			text := ""
			for _, m := range want {
				text += fmt.Sprint(m.offset, " ")
			}
			if got := after(l, at(offset-uint64(len(want))), history.Most{}); got != text {
				t.Fatalf("has %q, want %q", got, text)
			}
		}
	}
}

func TestPage(t *testing.T) {
	l := history.New[uint64](at(100))
	for n := uint64(101); n <= 110; n++ {
		l.Append(n, 1, time.Now(), history.Bounds{Messages: 5})
	}
	for _, c := range []struct {
		after uint64
		most  int
		want  string
	}{{0, 3, "106 107 108 "}, {108, 3, "109 110 "}, {110, 3, ""}, {106, 0, ""}} {
		text := ""
		for offset := range l.Page(c.after, c.most) {
			text += fmt.Sprint(offset, " ")
		}
		if text != c.want {
			t.Errorf("%d after %d: %q, want %q", c.most, c.after, text, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, p := range []history.Position{at(0), at(17), at(1<<64 - 1)} {
		if got, ok := history.Parse(p.String()); !ok || got != p {
			t.Errorf("%v is read as %v, %v", p, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", ":", "0123456789:1", "0123456789:01", "0123456789:-1", "0123456789:18446744073709551616", "012345678_:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := history.Parse(text); ok && p.String() != text {
			t.Errorf("%q is read as %v", text, p)
		}
	})
}
