package presence_test

import (
	"fmt"
	"testing"
	"time"

	"rtd/channels/presence"
)

const grace = 5 * time.Second

func TestGraceTakenOver(t *testing.T) {
	inBubble(t, presence.Options{Grace: grace}, func(t *testing.T, tr *presence.Tracker, l *log) {
		old := track(t, tr, 1, "room", "ann", `{}`)
		settle()
		l.take("room")
		tr.Leave(1)
		time.Sleep(grace - time.Second)
		l.want(t, "room")
		wantList(t, tr, "room", `{"ann":{"metas":[{"phx_ref":"`+old+`"}]}}`)

		young := track(t, tr, 2, "room", "ann", `{}`)
		meta := fmt.Sprintf(`{"metas":[{"phx_ref":"%s","phx_ref_prev":"%s"}]}`, young, old)
		time.Sleep(2 * grace)
		l.want(t, "room", `{"joins":{"ann":`+meta+`},"leaves":{"ann":{"metas":[{"phx_ref":"`+old+`"}]}}}`)
		wantList(t, tr, "room", `{"ann":`+meta+`}`)
		if n := tr.Stats(); n.Lingering != 0 || n.Owners != 1 {
			t.Errorf("%+v", n)
		}

		// The new owner's entry is its own in every way, and has its own grace.
		tr.Leave(2)
		time.Sleep(grace - time.Second)
		track(t, tr, 3, "room", "ann", `{}`)
		tr.Leave(3)
		time.Sleep(grace - time.Second) // the end of the second one's time is over
		if keys, _ := tr.Count("room"); keys != 1 {
			t.Error("an entry had less than its time of grace")
		}
		time.Sleep(time.Second + time.Millisecond)
		if keys, _ := tr.Count("room"); keys != 0 {
			t.Error("an entry had more than its time of grace")
		}
	})
}

func TestGraceEnds(t *testing.T) {
	inBubble(t, presence.Options{Grace: grace}, func(t *testing.T, tr *presence.Tracker, l *log) {
		for i := range 10 {
			track(t, tr, i, "room", fmt.Sprint("user", i), `{}`)
		}
		for i := range 10 { // one each second
			tr.Leave(i)
			time.Sleep(time.Second / 2)
			if keys, _ := tr.Count("room"); keys != 10-max(0, i-4) {
				t.Errorf("half a second after the end of user%d: %d keys", i, keys)
			}
			time.Sleep(time.Second / 2)
		}
		time.Sleep(grace)
		settle()
		if n := tr.Stats(); n != (presence.Stats{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

// TestGraceIsForKeys: nothing lingers where the key stays anyway, and what is
// ended on purpose does not.
func TestGraceIsForKeys(t *testing.T) {
	inBubble(t, presence.Options{Grace: grace}, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, "tab 1", "room", "ann", `{}`)
		second := track(t, tr, "tab 2", "room", "ann", `{}`)
		tr.Leave("tab 1")
		wantList(t, tr, "room", `{"ann":{"metas":[{"phx_ref":"`+second+`"}]}}`)
		tr.Untrack("tab 2", "room", "ann")
		wantList(t, tr, "room", `{}`)

		track(t, tr, "tab 3", "room", "ann", `{}`)
		tr.Hold("tab 3")
		tr.Settle("tab 3")
		wantList(t, tr, "room", `{}`)

		// Who is held and dies is taken over as what is its own.
		track(t, tr, "tab 4", "room", "ann", `{}`)
		tr.Hold("tab 4")
		tr.Leave("tab 4")
		track(t, tr, "tab 5", "room", "ann", `{}`)
		tr.Settle("tab 5")
		if keys, metas := tr.Count("room"); keys != 1 || metas != 1 {
			t.Errorf("%d keys, %d metas", keys, metas)
		}
	})
}
