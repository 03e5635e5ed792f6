package channels_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"rtd/channels"
)

func member(topic string) (*channels.Subscription, *outbox) {
	box := &outbox{}
	return &channels.Subscription{Topic: topic, Codec: channels.V2, Out: box}, box
}

func news(topic string) *channels.Outgoing {
	return &channels.Outgoing{Kind: channels.Broadcast, Topic: topic, Name: "news", Payload: []byte(`{}`)}
}

// packer is an outbox that asks for another form of its frames, as a connection that compresses does.
type packer struct {
	made *int
	got  []string
}

func (o *packer) Send(f channels.Frame) {
	data := f.Form(func(data []byte) []byte {
		*o.made++
		return append([]byte("packed "), data...)
	})
	o.got = append(o.got, string(data))
}

// The other form of a broadcast is made once for each codec, and not for each member, if it is kept.
func TestForms(t *testing.T) {
	const inV1, inV2 = `packed {"topic":"t","event":"news","payload":{},"ref":null}`, `packed [null,null,"t","news",{}]`
	for _, test := range []struct {
		keep []int
		made int
	}{
		{nil, 4}, {[]int{0}, 4}, {[]int{1000}, 4}, {[]int{10}, 2}, {[]int{1000, 10, 0}, 2},
	} {
		h, made := channels.NewHub(), 0
		for _, size := range test.keep {
			h.KeepForms(size)
		}
		var boxes []*packer
		for n := range 4 {
			s, _ := member("t")
			if n == 0 {
				s.Codec = channels.V1
			}
			boxes = append(boxes, &packer{made: &made})
			s.Out = boxes[n]
			h.Subscribe(s)
		}
		if err := h.Broadcast(news("t"), nil); err != nil {
			t.Fatal(err)
		}
		if made != test.made {
			t.Errorf("%v: made %d times for four members with two codecs, want %d", test.keep, made, test.made)
		}
		for n, box := range boxes {
			if want := map[bool]string{true: inV1, false: inV2}[n == 0]; !slices.Equal(box.got, []string{want}) {
				t.Errorf("%v: member %d got %q", test.keep, n, box.got)
			}
		}
	}
}

func TestHub(t *testing.T) {
	h := channels.NewHub()
	a, boxA := member("t")
	b, boxB := member("t")
	other, boxOther := member("u")
	h.Unsubscribe(a) // not there yet
	h.Subscribe(a, channels.Frame{Data: []byte("first")}, channels.Frame{Data: []byte("second")})
	h.Subscribe(b)
	h.Subscribe(other)
	check := func(box *outbox, want ...string) {
		t.Helper()
		if got := box.take(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(boxA, "first", "second")
	const frame = `[null,null,"t","news",{}]`
	if err := h.Broadcast(news("t"), nil); err != nil {
		t.Fatal(err)
	}
	check(boxA, frame)
	check(boxB, frame)
	h.Broadcast(news("t"), a)
	check(boxA)
	check(boxB, frame)
	h.Unsubscribe(a)
	h.Unsubscribe(a)
	h.Broadcast(news("t"), nil)
	check(boxA)
	check(boxB, frame)
	check(boxOther)
	if n := h.Members("t"); n != 1 {
		t.Errorf("%d members, want 1", n)
	}
	h.Unsubscribe(b)
	if err := h.Broadcast(news("t"), nil); err != nil || h.Members("t") != 0 {
		t.Errorf("an empty topic: %v, %d members", err, h.Members("t"))
	}
}

// TestHubCrowd has members come and go at random and holds the hub to a map.
func TestHubCrowd(t *testing.T) {
	h := channels.NewHub()
	boxes := map[*channels.Subscription]*outbox{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 4000 {
		grow := round/1000%2 == 0
		if len(boxes) == 0 || rnd.IntN(10) < 5 == grow || rnd.IntN(10) < 2 {
			s, box := member("t")
			h.Subscribe(s)
			boxes[s] = box
		} else {
			for s := range boxes { // any
				h.Unsubscribe(s)
				delete(boxes, s)
				break
			}
		}
		if round%100 != 0 {
			continue
		}
		h.Broadcast(news("t"), nil)
		for _, box := range boxes {
			if got := box.take(); len(got) != 1 {
				t.Fatalf("round %d: a member got %d copies", round, len(got))
			}
		}
		if h.Members("t") != len(boxes) {
			t.Fatalf("round %d: %d members, want %d", round, h.Members("t"), len(boxes))
		}
	}
}

func TestHubKeepsTheOrderOfOneCaller(t *testing.T) {
	h := channels.NewHub()
	var boxes []*outbox
	for range 10 {
		s, box := member("t")
		h.Subscribe(s)
		boxes = append(boxes, box)
	}
	var wg sync.WaitGroup
	for caller := range 4 {
		wg.Go(func() {
			for i := range 100 {
				h.Broadcast(&channels.Outgoing{Kind: channels.Broadcast, Topic: "t", Name: fmt.Sprint(caller), Payload: fmt.Appendf(nil, "%d", i)}, nil)
				s, _ := member("t")
				h.Subscribe(s)
				h.Unsubscribe(s)
			}
		})
	}
	wg.Wait()
	for _, box := range boxes {
		next := map[string]int{}
		for _, f := range box.take() {
			m, err := channels.V2.Decode([]byte(f), false)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(next[m.Event]) != string(m.Payload) {
				t.Fatalf("caller %s: got %s, want %d", m.Event, m.Payload, next[m.Event])
			}
			next[m.Event]++
		}
		if next["0"]+next["1"]+next["2"]+next["3"] != 400 {
			t.Fatalf("got %v", next)
		}
	}
}

// silent is a codec that cannot encode.
type silent struct{ channels.Codec }

var errSilent = errors.New("cannot")

func (silent) Encode(*channels.Outgoing) (channels.Frame, error) { return channels.Frame{}, errSilent }

// shouting is a second codec.
type shouting struct{ channels.Codec }

func (s shouting) Encode(o *channels.Outgoing) (channels.Frame, error) {
	loud := *o
	loud.Name += "!"
	return s.Codec.Encode(&loud)
}

func TestHubEncodesPerCodec(t *testing.T) {
	h := channels.NewHub()
	plain, plainBox := member("t")
	loud, loudBox := member("t")
	loud.Codec = shouting{channels.V2}
	mute, muteBox := member("t")
	mute.Codec = silent{channels.V2}
	for _, s := range []*channels.Subscription{mute, plain, loud} {
		h.Subscribe(s)
	}
	if err := h.Broadcast(news("t"), nil); !errors.Is(err, errSilent) {
		t.Errorf("error: %v", err)
	}
	if got := plainBox.take(); !slices.Equal(got, []string{`[null,null,"t","news",{}]`}) {
		t.Errorf("got %q", got)
	}
	if got := loudBox.take(); !slices.Equal(got, []string{`[null,null,"t","news!",{}]`}) {
		t.Errorf("got %q", got)
	}
	if got := muteBox.take(); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
