package cluster_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/host/cluster"
)

// Other versions of rtd read what stands here. A change of any of it is another version of the wire, and one that a cluster cannot roll to. What is added
// is added at the end: a kind of message, a member of a beat.

// shown is a presence of a node, of which its peers need not know anything.
type shown struct{}

func (shown) TakeChanges() []byte { return nil }
func (shown) Snapshot() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield([]byte("presences")) }
}
func (shown) Merge(string, []byte) error { return nil }
func (shown) Down(string)                {}
func (shown) Up(string)                  {}
func (shown) Gone(string)                {}

// pair is a node, a, with a test as its peer, b.
type pair struct {
	*node
	w     *wire
	next  uint64 // frame of b
	frame uint64 // of a
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w := &wire{frames: map[string][][]byte{}, to: map[string]chan []byte{}}
	n := &node{hub: &hub{Hub: channels.NewHub(), members: map[string]*channels.Subscription{}}, name: "a", log: &lines{}}
	n.Hub.KeepHistory(1<<20, func(topic string) (channels.Keep, bool) {
		return channels.Keep{Bounds: history.Bounds{Messages: 10}, Most: history.Most{Messages: 10}}, strings.HasPrefix(topic, "kept:")
	})
	var err error
	n.Node, err = cluster.New(cluster.Options{
		Name: "a", Version: "1", Carrier: w, Hub: n.Hub, Presence: shown{}, Life: 1, Log: slog.New(slog.NewTextHandler(n.log, nil)),
		Answers: map[string]cluster.Answer{"echo": func(_ context.Context, _ string, body []byte) ([]byte, error) { return body, nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Start()
	synctest.Wait()
	return &pair{node: n, w: w}
}

func (p *pair) hear(subject string, data []byte) {
	p.w.mu.Lock()
	c := p.w.channel(subject)
	p.w.mu.Unlock()
	c <- data
	synctest.Wait()
}

// message is one as b writes it.
func message(kind byte, body string) string {
	return string(binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(body)))) + body
}

// says has b say messages in a frame.
func (p *pair) says(messages ...string) {
	b := binary.LittleEndian.AppendUint64([]byte("\x01\x01\x01b\x02\x01\x01"), p.next)
	p.next++
	p.hear("to.a", append(b, strings.Join(messages, "")...))
}

// took returns what a has published for a subject since it was asked last: messages one by one, however they are divided among frames, and others as they are.
func (p *pair) took(t *testing.T, subject string) (list []string) {
	t.Helper()
	synctest.Wait()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, f := range p.w.frames[subject] {
		header := binary.LittleEndian.AppendUint64([]byte("\x01\x01\x01a\x01\x02\x01"), p.frame)
		messages, data := bytes.CutPrefix(f, header)
		if !data {
			list = append(list, fmt.Sprintf("%q", f))
			continue
		}
		for p.frame++; len(messages) > 0; {
			size := 5 + binary.LittleEndian.Uint32(messages[1:])
			list = append(list, fmt.Sprintf("%q", messages[:size]))
			messages = messages[size:]
		}
	}
	delete(p.w.frames, subject)
	return list
}

const beatOfB = `{"wire":1,"node":"b","life":2,"version":"9","up":5,"load":{"connections":1,"topics":2,"memory":3,"mood":"new"},"weather":[1],"peers":{"a":{"life":1,"out":1,"sent":0,"in":0,"next":0,"echo":7,"held":1,"synced":false,"colour":4}}}`

// meet has both know each other, and a all that b has.
func (p *pair) meet() {
	p.hear("beat", []byte(beatOfB))
	p.says(message(5, ""))
}

func TestWire(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		defer p.Close()
		const mine, theirs = "kept:1", "kept:0"
		p.member(theirs, true)
		synctest.Wait()
		p.say(theirs, "e", `{"n":1}`)
		page, _ := p.History(theirs, 0, 1)
		epochs := []string{page.Position.Epoch}
		frames := func(what string, want ...string) {
			t.Helper()
			got := p.took(t, "to.b")
			for i := range got {
				for _, epoch := range epochs {
					got[i] = strings.ReplaceAll(got[i], epoch, "EPOCHEPOCH")
				}
			}
			slices.Sort(got) // several goroutines write them
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		p.meet()
		want(t, "owners", fmt.Sprint(p.OwnerName(mine), p.OwnerName(theirs)), "b")
		frames("begun, presences, synced; then the topic's log",
			`"\x01\x06\x00\x00\x00kept:0"`,
			`"\x04\t\x00\x00\x00presences"`,
			`"\r\x01\x00\x00\x00\x01"`,
			`"\x05\x00\x00\x00\x00"`,
			`"\n'\x00\x00\x00\x06kept:0\nEPOCHEPOCH\x01\x01\x00\x80\x80\xbf\xb3\xa7\xc0\xae\x03\x01e\a{\"n\":1}"`,
			`"\x06 \x00\x00\x00\x01\fhistory.read\nEPOCHEPOCH\x01kept:0"`)
		p.says(message(1, "room"), message(1, mine))
		p.member("room", true)
		p.member("room", false)
		frames("begun, ceased",
			`"\x01\x04\x00\x00\x00room"`,
			`"\x02\x04\x00\x00\x00room"`)
		p.say("room", "said", `{"n":1}`)
		frames("broadcast",
			`"\x03\x12\x00\x00\x00\x00\x04room\x04said{\"n\":1}"`)
		p.Node.Disconnect("user:1")
		frames("expel",
			`"\v\x06\x00\x00\x00user:1"`)
		p.say(theirs, "e", `{"n":2}`)
		frames("order",
			`"\b\x1a\x00\x00\x00\x00\x00\x03a@1\x00\x00\x00\x00\x06kept:0\x01e{\"n\":2}"`)
		p.member(mine, true)
		frames("begun, question about the topic",
			`"\x01\x06\x00\x00\x00kept:1"`,
			`"\x06\x17\x00\x00\x00\x02\x0fhistory.releasekept:1"`)
		p.says(message(7, "\x02\x00\x00")) // it is a's
		p.say(mine, "e", `{"n":3}`)
		page, _ = p.History(mine, 0, 1)
		epochs = append(epochs, page.Position.Epoch)
		frames("ordered",
			`"\t+\x00\x00\x00\x00\x00\x03a@1\x00\nEPOCHEPOCH\x01\x80\x80\xbf\xb3\xa7\xc0\xae\x03\x06kept:1\x01e{\"n\":3}"`)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = p.Ask(ctx, "b", "echo", []byte("hi")) }() // nobody answers
		frames("question",
			`"\x06\b\x00\x00\x00\x03\x04echohi"`)
		cancel()
		frames("cancel",
			`"\f\x01\x00\x00\x00\x03"`)
		p.says(message(6, "\x09\x04echohi"))
		p.says(message(6, "\x0a\x05danceho"))
		frames("answers",
			`"\a\x04\x00\x00\x00\t\x00hi"`,
			`"\a\x02\x00\x00\x00\n\x02"`)
		p.next += 2
		p.says(message(5, ""))
		frames("state that asks again",
			`"\x01\x02\x01a\x01\x02\x01\x05\x00\x00\x00\x00\x00\x00\x00\x01"`)
		p.took(t, "beat")
		time.Sleep(500 * time.Millisecond)
		sent := regexp.MustCompile(`"sent\\":\d+`) // frames, of which there are as many as it happened
		want(t, "beats", sent.ReplaceAllString(fmt.Sprint(p.took(t, "beat")), `"sent\":N`), `["{\"wire\":1,\"node\":\"a\",\"life\":1,\"version\":\"1\",\"up\":500000000,\"load\":{\"connections\":0,\"topics\":0,\"memory\":0},\"peers\":{\"b\":{\"life\":2,\"out\":1,\"sent\":N,\"in\":1,\"next\":5,\"echo\":5,\"held\":500000000,\"synced\":true}}}"]`)
	})
}

// What a later version may add is skipped, and the rest is taken.
func TestWireOfLaterVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		defer p.Close()
		p.meet() // with members of the beat that this version does not know
		want(t, "states", p.states(), "b there")
		p.member("room", true)
		p.says(message(99, "whatever"), message(3, "\x00\x04room\x04said{\"n\":1}"), message(0, ""), message(255, "\x00"), message(3, "\x82\x04room\x04said{\"n\":2}"))
		want(t, "got", p.take(), `[room said {"n":1} room said {"n":2}]`)
		want(t, "malformed", p.Stats().Malformed, 0)

		frame := bytes.NewBufferString("\x02\x01\x01b\x02\x01\x01\x02\x00\x00\x00\x00\x00\x00\x00" + message(3, "\x00\x04room\x04said{}"))
		p.hear("to.a", frame.Bytes())                                                           // another version of the frame
		p.hear("to.a", []byte("\x01\x09\x01b\x02\x01\x01\x02\x00\x00\x00\x00\x00\x00\x00what")) // another kind
		p.hear("beat", []byte(`{"wire":2,"node":"b","life":3,"version":"9"}`))
		p.hear("beat", []byte(`{"wire":2,"node":"c","life":3,"version":"9"}`))
		want(t, "states", p.states(), "b there")
		p.says(message(3, "\x00\x04room\x04said{\"n\":3}"))
		want(t, "got", p.take(), `[room said {"n":3}]`)
		time.Sleep(time.Millisecond)
	})
}
