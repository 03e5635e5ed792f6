package presence_test

import (
	"fmt"
	"testing"
	"time"

	"rtd/channels/presence"
)

func nowhere(string) bool { return false }

func everyTopic(string) bool { return true }

func inTopic(topic string) func(any, string) bool {
	return func(_ any, of string) bool { return of == topic }
}

// What an owner may not have any more leaves, and comes back as it was, with another ref.
func TestSuspend(t *testing.T) {
	inBubble(t, presence.Options{Grace: time.Second}, func(t *testing.T, tr *presence.Tracker, l *log) {
		ann := track(t, tr, 1, "room", "ann", `{"n":1}`)
		ben := track(t, tr, 2, "room", "ben", `{}`)
		hall := track(t, tr, 1, "hall", "ann", `{"n":2}`)
		settle()
		l.take("room")
		for topic, there := range map[string]bool{"room": true, "hall": true, "attic": false} {
			asked := map[string]bool{}
			tr.Suspend(func(t string) bool { return t == topic }, func(_ any, of string) bool {
				asked[of] = true
				return false
			}, nowhere)
			if asked[topic] != there || len(asked) > 1 {
				t.Errorf("about %s it was asked in %v", topic, asked)
			}
		}
		tr.Suspend(everyTopic, func(owner any, topic string) bool { return owner == 1 && topic == "room" }, nowhere)
		wantList(t, tr, "room", fmt.Sprintf(`{"ben":{"metas":[{"phx_ref":"%s"}]}}`, ben))
		wantList(t, tr, "hall", fmt.Sprintf(`{"ann":{"metas":[{"n":2,"phx_ref":"%s"}]}}`, hall))
		settle()
		l.want(t, "room", fmt.Sprintf(`{"joins":{},"leaves":{"ann":{"metas":[{"n":1,"phx_ref":"%s"}]}}}`, ann))
		l.take("room")

		tr.Resume(inTopic("hall"))
		tr.Resume(inTopic("room"))
		tr.Resume(inTopic("room"))
		settle()
		if keys, metas := tr.Count("room"); keys != 2 || metas != 2 {
			t.Errorf("back are %d keys with %d metas", keys, metas)
		}
		if again, _ := tr.Get("room", "ann"); string(again) == fmt.Sprintf(`{"metas":[{"n":1,"phx_ref":"%s"}]}`, ann) || len(again) == 0 {
			t.Errorf("it is back as %s", again)
		}
	})
}

// What is suspended ends as what is not: by Untrack, with its owner, or if a restart does not track it again.
func TestSuspendedEnds(t *testing.T) {
	for name, end := range map[string]func(tr *presence.Tracker){
		"untrack": func(tr *presence.Tracker) {
			if !tr.Untrack(1, "room", "ann") || tr.Untrack(1, "room", "ann") {
				t.Error("untrack does not say what it has done")
			}
		},
		"leave":  func(tr *presence.Tracker) { tr.Leave(1) },
		"settle": func(tr *presence.Tracker) { tr.Hold(1); tr.Settle(1) },
	} {
		inBubble(t, presence.Options{Grace: time.Second}, func(t *testing.T, tr *presence.Tracker, l *log) {
			track(t, tr, 1, "room", "ann", `{}`)
			tr.Suspend(everyTopic, inTopic("room"), nowhere)
			end(tr)
			tr.Resume(inTopic("room"))
			if keys, _ := tr.Count("room"); keys != 0 {
				t.Errorf("%s: it is back", name)
			}
			settle()
			if st := tr.Stats(); st.Owners != 0 || st.Entries != 0 {
				t.Errorf("%s: left are %+v", name, st)
			}
		})
	}
}

// Those who linger have nobody who could be asked: they leave with the topic.
func TestLingeringLeavesWithTheTopic(t *testing.T) {
	inBubble(t, presence.Options{Grace: time.Minute}, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, 1, "room", "ann", `{}`)
		track(t, tr, 2, "hall", "ben", `{}`)
		tr.Leave(1)
		tr.Leave(2)
		settle()
		tr.Suspend(everyTopic, func(any, string) bool { return false }, func(topic string) bool { return topic == "room" })
		wantList(t, tr, "room", `{}`)
		if keys, _ := tr.Count("hall"); keys != 1 {
			t.Error("who lingers elsewhere has left")
		}
		time.Sleep(2 * time.Minute)
		settle()
		if st := tr.Stats(); st.Entries != 0 || st.Lingering != 0 {
			t.Errorf("left are %+v", st)
		}
	})
}

// BenchmarkSuspend has one topic of many change hands, with a hundred thousand presences
// elsewhere.
func BenchmarkSuspend(b *testing.B) {
	tr := presence.New(presence.Options{})
	defer tr.Close()
	for n := range 100_000 {
		if _, err := tr.Track(n, fmt.Sprint("room:", n/100), fmt.Sprint(n), []byte(`{}`)); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		tr.Suspend(func(topic string) bool { return topic == "room:7" }, func(any, string) bool { return false }, nowhere)
	}
}
