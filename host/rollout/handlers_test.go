package rollout_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"rtd/channels"
	"rtd/host/app"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/supervisor"
)

// suiteClient speaks to the plugin of sdk/suite in the topic suite:1.
type suiteClient struct {
	t      *testing.T
	w      *world
	box    frames
	socket *channels.Socket
	ref    int
}

func newSuite(t *testing.T, wasm []byte) *suiteClient {
	t.Helper()
	s := &suiteClient{t: t, w: newWorld(t)}
	must(t, s.w.set.Mount([]rollout.Mount{{Name: "socket", Connect: "suite"}}))
	s.w.deploy("base", nil, wantsExport)
	s.deploy(wasm)
	s.socket = s.w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &s.box})
	t.Cleanup(s.socket.Close)
	s.asks(`{}`, "phx_join", `{}`)
	return s
}

// next is a version of the plugin suite.
func (s *suiteClient) next(wasm []byte) (rollout.Next, error) {
	o := release.Settings{
		Intensity: supervisor.Intensity{Max: 3, Within: time.Second}, Mailbox: 100, Processes: 1000, References: 1000, Pending: 1 << 20,
	}
	o.Limits.Deadline = patience
	o.Depends, o.Allows = []string{"base"}, []string{"connect"}
	return rollout.Next{WASM: wasm, Settings: o}, nil
}

// deploy waits until all processes have moved, and returns how many stay in their version.
func (s *suiteClient) deploy(wasm []byte) (stay int) {
	s.t.Helper()
	out, err := s.w.set.Change(s.t.Context(), rollout.Change{Plugin: "suite", Begin: func() (rollout.Next, error) { return s.next(wasm) }})
	must(s.t, err)
	if out.Moving == nil {
		return 0
	}
	return s.settled(out.Moving).Stayed
}

func (s *suiteClient) settled(m *app.Moving) app.Moved {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	moved := m.Wait(ctx)
	if moved.Left > 0 {
		s.t.Fatalf("not all have moved: %+v", moved)
	}
	return moved
}

// asks sends a message and waits for the reply ok with this response.
func (s *suiteClient) asks(want, event, payload string) {
	s.t.Helper()
	if got := s.ask(event, payload); got != want {
		s.t.Errorf("%s %s: %s, want %s", event, payload, got, want)
	}
}

// lists waits until the manager has these handlers.
func (s *suiteClient) lists(ids string) {
	s.t.Helper()
	eventually(s.t, "handlers "+ids, func() bool { return s.ask("events_list", "{}") == `{"ids":[`+ids+`]}` })
}

func (s *suiteClient) ask(event, payload string) (response string) {
	s.t.Helper()
	s.ref++
	must(s.t, s.socket.Receive(fmt.Appendf(nil, `["1","%d","suite:1",%q,%s]`, s.ref, event, payload), false))
	prefix := fmt.Sprintf(`["1","%d","suite:1","phx_reply",{"status":"ok","response":`, s.ref)
	failed := fmt.Sprintf(`["1","%d","suite:1","phx_reply",{"status":"error"`, s.ref)
	eventually(s.t, "reply to "+event, func() bool {
		for _, f := range s.box.all() {
			f = strings.ReplaceAll(f, " ", "")
			if strings.HasPrefix(f, prefix) {
				response = strings.TrimSuffix(strings.TrimPrefix(f, prefix), "}]")
				return true
			}
			if strings.HasPrefix(f, failed) {
				response = f
				return true
			}
		}
		return false
	})
	return response
}

// quiet checks that nothing was lost, and that nothing has crashed.
func (s *suiteClient) quiet() {
	s.t.Helper()
	for _, word := range []string{"crashed", "state not taken over"} {
		if log := s.w.log.String(); strings.Contains(log, word) {
			s.t.Errorf("%q in the log:\n%s", word, log)
		}
	}
}

// TestEventHandlersMove: handlers without a state of their own begin anew in the next version, in
// their place and with their arguments. Those with one take it along. None keeps a version.
func TestEventHandlersMove(t *testing.T) {
	for _, language := range []string{"c", "rust", "as", "go"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			wasm := suiteGuest(t, language)
			s := newSuite(t, withVersion(wasm, 1))
			s.asks(`{}`, "events_add", `{"id":"books","module":"archive"}`)
			s.asks(`{}`, "events_add", `{"id":"third","restart":"yes"}`)
			s.asks(`{}`, "sync_notify", `{"text":"a"}`)
			tried, err := s.w.set.Rehearse(t.Context(), "suite", func() (rollout.Next, error) { return s.next(withVersion(wasm, 2)) })
			must(t, err)
			if m := s.settled(tried); m.Stayed != 0 || m.Lost != 0 {
				t.Errorf("rehearsed: %+v", m)
			}
			s.asks(`{"answer":"a"}`, "events_call", `{"id":"keeper"}`)
			for n := range 2 {
				if stay := s.deploy(withVersion(wasm, 2+n)); stay != 0 {
					t.Errorf("%d stay", stay)
				}
			}
			eventually(t, "the end of the old versions", func() bool { return len(s.w.stats("suite").Others) == 0 })
			s.asks(`{"ids":["keeper","flimsy","books","third"]}`, "events_list", `{}`)
			s.asks(`{}`, "sync_notify", `{"text":"b"}`)
			for id, heard := range map[string]string{"keeper": "b", "flimsy": "b", "third": "b", "books": "a,b"} {
				s.asks(`{"answer":"`+heard+`"}`, "events_call", `{"id":"`+id+`"}`)
			}
			s.quiet()

			// By their arguments they know themselves; who is to be restarted is.
			s.asks(`{}`, "sync_notify", `{"text":"leave books"}`)
			s.lists(`"keeper","flimsy","third"`)
			s.asks(`{}`, "sync_notify", `{"text":"crash third"}`)
			s.asks(`{}`, "sync_notify", `{"text":"crash flimsy"}`)
			s.lists(`"keeper","third"`)
		})
	}
}

// TestEventHandlersOfEarlierGuests moves from a guest that an earlier SDK has made to one of today,
// and back. The handlers of the first stay in its version; those of the second move back with init.
func TestEventHandlersOfEarlierGuests(t *testing.T) {
	for _, language := range []string{"c", "rust", "as", "go"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			old, wasm := earlierGuest(t, language), suiteGuest(t, language)
			s := newSuite(t, withVersion(old, 1))
			s.asks(`{}`, "sync_notify", `{"text":"a"}`)
			if stay := s.deploy(withVersion(wasm, 2)); stay != 2 {
				t.Errorf("%d stay, want keeper and flimsy", stay)
			}
			s.asks(`{"ids":["keeper","flimsy"]}`, "events_list", `{}`)
			s.asks(`{}`, "events_add", `{"id":"third"}`)
			s.asks(`{}`, "sync_notify", `{"text":"b"}`)
			s.asks(`{"answer":"a,b"}`, "events_call", `{"id":"keeper"}`)
			s.asks(`{"answer":"b"}`, "events_call", `{"id":"third"}`)
			if stay := s.deploy(withVersion(old, 3)); stay != 2 {
				t.Errorf("%d stay on the way back, want keeper and flimsy", stay)
			}
			s.asks(`{"ids":["keeper","flimsy","third"]}`, "events_list", `{}`)
			s.asks(`{}`, "sync_notify", `{"text":"c"}`)
			s.asks(`{"answer":"a,b,c"}`, "events_call", `{"id":"keeper"}`)
			s.asks(`{"answer":"c"}`, "events_call", `{"id":"third"}`)
			s.quiet()
		})
	}
}

// TestEventHandlersWithoutCode moves to a version that has no module for a handler: the handler is
// removed, with one line, and all others stay.
func TestEventHandlersWithoutCode(t *testing.T) {
	for _, language := range []string{"c", "rust", "as", "go"} {
		for _, gone := range []string{"listener", "archive"} {
			t.Run(language+" "+gone, func(t *testing.T) {
				t.Parallel()
				wasm := suiteGuest(t, language)
				s := newSuite(t, withVersion(wasm, 1))
				s.asks(`{}`, "events_add", `{"id":"books","module":"archive"}`)
				s.asks(`{}`, "sync_notify", `{"text":"a"}`)
				s.deploy(withVersion(renamed(wasm, gone), 2))
				left, removed := `"books"`, []string{"keeper", "flimsy"}
				if gone == "archive" {
					left, removed = `"keeper","flimsy"`, []string{"books"}
				}
				s.lists(left)
				s.asks(`{}`, "sync_notify", `{"text":"b"}`)
				if gone == "listener" {
					s.asks(`{"answer":"a,b"}`, "events_call", `{"id":"books"}`)
				}
				eventually(t, "the end of the old version", func() bool { return len(s.w.stats("suite").Others) == 0 })
				log := s.w.log.String()
				for _, id := range removed {
					if n := strings.Count(log, "event handler "+id+" is removed: "); n != 1 {
						t.Errorf("%d lines say that %s is removed:\n%s", n, id, log)
					}
				}
				if strings.Contains(log, "crashed") {
					t.Errorf("something crashed:\n%s", log)
				}
			})
		}
	}
}

// renamed is a module whose process module of this name has another one.
func renamed(wasm []byte, name string) []byte {
	other := name[:len(name)-1] + "x"
	wide := func(s string) (b []byte) { // AssemblyScript's strings
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return b
	}
	wasm = bytes.ReplaceAll(wasm, []byte(name), []byte(other))
	return bytes.ReplaceAll(wasm, wide(name), wide(other))
}

func earlierGuest(t *testing.T, language string) []byte {
	t.Helper()
	f, err := os.Open("../../sdk/suite/testdata/earlier/1/" + language + ".wasm.gz")
	must(t, err)
	defer f.Close()
	packed, err := gzip.NewReader(f)
	must(t, err)
	wasm, err := io.ReadAll(packed)
	must(t, err)
	return wasm
}
