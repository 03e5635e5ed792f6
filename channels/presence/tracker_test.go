package presence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/channels/presence"
)

// inBubble runs a test with a tracker in fake time. What the tracker had to say
// is said after settle.
func inBubble(t *testing.T, o presence.Options, test func(t *testing.T, tr *presence.Tracker, l *log)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &log{}
		if o.Broadcast == nil {
			o.Broadcast = l.broadcast
		}
		tr := presence.New(o)
		defer tr.Close()
		test(t, tr, l)
	})
}

// settle waits until all diffs have gone out and intervals are over.
func settle() { time.Sleep(100 * time.Millisecond); synctest.Wait() }

func track(t *testing.T, tr *presence.Tracker, owner any, topic, key, meta string) string {
	t.Helper()
	r, err := tr.Track(owner, topic, key, []byte(meta))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantList(t *testing.T, tr *presence.Tracker, topic, list string) {
	t.Helper()
	if got := string(tr.List(topic)); got != list {
		t.Errorf("list of %s: %s, not %s", topic, got, list)
	}
}

func TestTrackUpdateUntrack(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		wantList(t, tr, "room", `{}`)
		a := track(t, tr, 1, "room", "ann", ` {"n": 12345678901234567890, "s":"é"} `)
		joined := fmt.Sprintf(`"ann":{"metas":[{"n": 12345678901234567890, "s":"é","phx_ref":"%s"}]}`, a)
		wantList(t, tr, "room", `{`+joined+`}`)
		settle()
		l.want(t, "room", `{"joins":{`+joined+`},"leaves":{}}`)

		b, err := tr.Update(1, "room", "ann", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		updated := fmt.Sprintf(`"ann":{"metas":[{"phx_ref":"%s","phx_ref_prev":"%s"}]}`, b, a)
		wantList(t, tr, "room", `{`+updated+`}`)
		settle()
		l.want(t, "room", `{"joins":{`+updated+`},"leaves":{`+joined+`}}`)

		tr.Untrack(1, "room", "ann")
		tr.Untrack(1, "room", "ann")
		wantList(t, tr, "room", `{}`)
		settle()
		l.want(t, "room", `{"joins":{},"leaves":{`+updated+`}}`)
		if n := tr.Stats(); n != (presence.Stats{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestListGetCountTopics(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		refs := map[string]bool{}
		add := func(owner int, topic, key string) string {
			r := track(t, tr, owner, topic, key, `{}`)
			if refs[r] || len(r) > 20 {
				t.Errorf("ref %q is long or not unique", r)
			}
			refs[r] = true
			return r
		}
		b := add(1, "room", "bob")
		a1 := add(1, "room", "ann")
		a2 := add(2, "room", "ann")
		p := add(2, "room", "__proto__")
		add(1, "lobby", "bob")

		ann := fmt.Sprintf(`{"metas":[{"phx_ref":"%s"},{"phx_ref":"%s"}]}`, a1, a2)
		list := fmt.Sprintf(`{"bob":{"metas":[{"phx_ref":"%s"}]},"ann":%s,"__proto__":{"metas":[{"phx_ref":"%s"}]}}`, b, ann, p)
		wantList(t, tr, "room", list)
		wantList(t, tr, "room", list) // the kept one
		if got, ok := tr.Get("room", "ann"); !ok || string(got) != ann {
			t.Errorf("get: %s, %v", got, ok)
		}
		if got, ok := tr.Get("room", "eve"); ok {
			t.Errorf("get of nobody: %s", got)
		}
		if keys, metas := tr.Count("room"); keys != 3 || metas != 4 {
			t.Errorf("count %d, %d", keys, metas)
		}
		if got := tr.Topics(); !slices.Equal(got, []string{"lobby", "room"}) {
			t.Errorf("topics %q", got)
		}
		tr.Untrack(1, "room", "ann")
		tr.Untrack(1, "room", "bob")
		wantList(t, tr, "room", fmt.Sprintf(`{"ann":{"metas":[{"phx_ref":"%s"}]},"__proto__":{"metas":[{"phx_ref":"%s"}]}}`, a2, p))
		if keys, metas := tr.Count("room"); keys != 2 || metas != 2 {
			t.Errorf("count %d, %d", keys, metas)
		}
		// An updated meta is the last of its key, as clients have it.
		a3 := track(t, tr, 3, "room", "ann", `{}`)
		a4, _ := tr.Update(2, "room", "ann", []byte(`{}`))
		if got, _ := tr.Get("room", "ann"); string(got) != fmt.Sprintf(`{"metas":[{"phx_ref":"%s"},{"phx_ref":"%s","phx_ref_prev":"%s"}]}`, a3, a4, a2) {
			t.Errorf("metas %s", got)
		}
	})
}

// TestListOfMany compares lists with a slice, while people come, change and leave at
// random.
func TestListOfMany(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		type one struct {
			owner     int
			key, text string
		}
		var all []one
		for i := range 3000 {
			switch {
			case len(all) == 0 || i < 500 || i%7 < 3:
				key := fmt.Sprintf(`"%d"`, i)
				all = append(all, one{i, key, fmt.Sprintf(`"\"%d\"":{"metas":[{"phx_ref":"%s"}]}`, i, track(t, tr, i, "room", key, `{}`))})
			case i%7 == 3:
				x := &all[i*31%len(all)]
				ref, _ := tr.Update(x.owner, "room", x.key, []byte(`{"away":true}`))
				x.text = fmt.Sprintf(`"\"%d\"":{"metas":[{"away":true,"phx_ref":"%s",`, x.owner, ref)
			default:
				at := i * 31 % len(all)
				tr.Leave(all[at].owner)
				all = slices.Delete(all, at, at+1)
			}
			if i > 2900 { // fewer than a page
				for len(all) > 10 {
					tr.Leave(all[0].owner)
					all = all[1:]
				}
			}
			if i%50 > 0 && i < 2900 {
				continue
			}
			list := string(tr.List("room"))
			if keys, _ := tr.Count("room"); keys != len(all) || !json.Valid([]byte(list)) {
				t.Fatalf("step %d: %d keys of %d in %s", i, keys, len(all), list)
			}
			for _, x := range all {
				before, after, ok := strings.Cut(list, x.text)
				if !ok || strings.Contains(before, `{"metas"`) && strings.Count(before, `{"metas"`) != 1 {
					t.Fatalf("step %d: %s is not next in %.300s", i, x.text, list)
				}
				list = after
			}
		}
	})
}

var errHalf = errors.New("half of a surrogate pair")

func TestRefused(t *testing.T) {
	o := presence.Options{OwnerEntries: 3, TopicEntries: 2, MaxMeta: 20, MaxKey: 8, Check: func(meta []byte) error {
		if bytes.Contains(meta, []byte(`\ud800`)) {
			return errHalf
		}
		return nil
	}}
	inBubble(t, o, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, 1, "room", "ann", `{}`)
		for _, c := range []struct {
			topic, key, meta string
			err              error
		}{
			{"room", "ann", `{}`, presence.ErrTracked},
			{"room", "bob", ``, presence.ErrMeta},
			{"room", "bob", `[]`, presence.ErrMeta},
			{"room", "bob", `"{}"`, presence.ErrMeta},
			{"room", "bob", `{"a":}`, presence.ErrMeta},
			{"room", "bob", `{}{}`, presence.ErrMeta},
			{"room", "bob", "{\"a\":\"\xff\"}", presence.ErrMeta},
			{"room", "bob", `{"a":"\ud800"}`, presence.ErrMeta},
			{"room", "bob", `{"a":"\ud800"}`, errHalf},
			{"room", "bob", `{"a":"0123456789012345"}`, presence.ErrTooLarge},
			{"room", "bob456789", `{}`, presence.ErrTooLarge},
			{"room", "b\xff", `{}`, presence.ErrKey},
			{"r\xff", "bob", `{}`, presence.ErrKey},
		} {
			if r, err := tr.Track(1, c.topic, c.key, []byte(c.meta)); r != "" || !errors.Is(err, c.err) {
				t.Errorf("track %q %q %s: %q, %v", c.topic, c.key, c.meta, r, err)
			}
		}
		if _, err := tr.Update(1, "room", "bob", []byte(`{}`)); !errors.Is(err, presence.ErrNotTracked) {
			t.Errorf("update of nothing: %v", err)
		}
		if _, err := tr.Update(2, "room", "ann", []byte(`{}`)); !errors.Is(err, presence.ErrNotTracked) {
			t.Errorf("update of another's: %v", err)
		}
		if _, err := tr.Update(1, "room", "ann", []byte(`1`)); !errors.Is(err, presence.ErrMeta) {
			t.Errorf("update to no object: %v", err)
		}

		track(t, tr, 2, "room", "bob", `{}`)
		if _, err := tr.Track(3, "room", "eve", []byte(`{}`)); !errors.Is(err, presence.ErrTopicFull) {
			t.Errorf("third in the topic: %v", err)
		}
		track(t, tr, 1, "lobby", "ann", `{}`)
		track(t, tr, 1, "hall", "ann", `{}`)
		if _, err := tr.Track(1, "yard", "ann", []byte(`{}`)); !errors.Is(err, presence.ErrOwnerFull) {
			t.Errorf("fourth of the owner: %v", err)
		}
		tr.Untrack(1, "hall", "ann")
		track(t, tr, 1, "yard", "ann", `{}`)
		settle()
		if n := tr.Stats(); n.Owners != 2 || n.Entries != 4 || n.Topics != 3 {
			t.Errorf("%+v", n)
		}
	})
}

func TestRefsInAMetaAreReplaced(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		for i, c := range []struct{ meta, kept string }{
			{`{"phx_ref":"x"}`, ``},
			{`{"phx_ref":"x","phx_ref_prev":"y","a":1}`, `"a":1,`},
			{`{ "a": {"phx_ref": [1,2]} , "phx_ref" : {"b":"}"} ,"c":"\"}" }`, `"a": {"phx_ref": [1,2]},"c":"\"}",`},
			{`{"a":1,"phx_\u0072ef":2}`, `"a":1,`},
			{`{"a":1e999,"b\/":"\ud83d\ude00"}`, `"a":1e999,"b\/":"\ud83d\ude00",`},
		} {
			key := fmt.Sprint(i)
			r := track(t, tr, 1, "room", key, c.meta)
			if got, _ := tr.Get("room", key); string(got) != `{"metas":[{`+c.kept+`"phx_ref":"`+r+`"}]}` {
				t.Errorf("%s became %s", c.meta, got)
			}
		}
	})
}

func TestLeave(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		for i := range 30 {
			track(t, tr, "dies", fmt.Sprint("room:", i%3), fmt.Sprint("user", i), `{}`)
		}
		stays := track(t, tr, "stays", "room:0", "user0", `{}`)
		settle()
		l.take("room:0")
		tr.Leave("dies")
		tr.Leave("nobody")
		wantList(t, tr, "room:0", `{"user0":{"metas":[{"phx_ref":"`+stays+`"}]}}`)
		wantList(t, tr, "room:1", `{}`)
		settle()
		left := 0
		for _, d := range l.take("room:0") {
			for _, p := range decode[diffPayload](t, []byte(d)).Leaves {
				left += len(p.Metas)
			}
		}
		if left != 10 {
			t.Errorf("%d entries left room:0, not 10", left)
		}
		if n := tr.Stats(); n.Owners != 1 || n.Entries != 1 || n.Topics != 1 {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestHold(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		again := track(t, tr, 1, "room", "again", `{}`)
		updated := track(t, tr, 1, "room", "updated", `{}`)
		forgotten := track(t, tr, 1, "room", "forgotten", `{}`)
		settle()
		l.take("room")

		tr.Hold(1)
		tr.Hold(1) // its second life has crashed as well
		settle()
		l.want(t, "room")
		again2 := track(t, tr, 1, "room", "again", `{}`)
		updated2, err := tr.Update(1, "room", "updated", []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Track(1, "room", "again", []byte(`{}`)); !errors.Is(err, presence.ErrTracked) {
			t.Errorf("tracked twice in one life: %v", err)
		}
		track(t, tr, 1, "room", "new", `{}`)
		tr.Settle(1)
		tr.Settle(1)
		settle()

		c := newClient(t, []byte(fmt.Sprintf(`{"again":{"metas":[{"phx_ref":%q}]},"updated":{"metas":[{"phx_ref":%q}]},"forgotten":{"metas":[{"phx_ref":%q}]}}`, again, updated, forgotten)))
		for _, d := range l.take("room") {
			c.apply(t, []byte(d))
		}
		if !c.agrees(t, tr.List("room")) || len(c.present) != 3 || !c.present["again"][again2] || !c.present["updated"][updated2] || c.present["forgotten"] != nil {
			t.Errorf("clients have %v, the list is %s", c.present, tr.List("room"))
		}
		if got, _ := tr.Get("room", "again"); !strings.Contains(string(got), `"phx_ref_prev":"`+again+`"`) {
			t.Errorf("tracked again: %s", got)
		}

		tr.Hold(1)
		tr.Leave(1) // it was not restarted after all
		settle()
		if n := tr.Stats(); n != (presence.Stats{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

func TestClose(t *testing.T) {
	inBubble(t, presence.Options{Grace: time.Hour}, func(t *testing.T, tr *presence.Tracker, l *log) {
		track(t, tr, 1, "room", "ann", `{}`)
		track(t, tr, 2, "room", "bob", `{}`)
		tr.Leave(2)
		list := string(tr.List("room"))
		tr.Close()
		tr.Close()
		l.take("room")
		if _, err := tr.Track(1, "room", "eve", []byte(`{}`)); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("track: %v", err)
		}
		if _, err := tr.Update(1, "room", "ann", []byte(`{}`)); !errors.Is(err, presence.ErrClosed) {
			t.Errorf("update: %v", err)
		}
		tr.Hold(1)
		tr.Settle(1)
		tr.Untrack(1, "room", "ann")
		tr.Leave(1)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		l.want(t, "room")
		wantList(t, tr, "room", list)
	})
}

// FuzzMeta tracks any meta: it is refused, or clients get a valid list in which
// it has its own members and the ref.
func FuzzMeta(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"phx_ref":{}}`, ` { "phx_\u0072ef" : "}" , "b":[{}] } `, `[]`, `{"a":1,}`, "{\"\xff\":1}"} {
		f.Add([]byte(s), "ann")
	}
	f.Fuzz(func(t *testing.T, meta []byte, key string) {
		given := bytes.Clone(meta)
		tr := presence.New(presence.Options{Interval: -1})
		defer tr.Close()
		r, err := tr.Track(1, "room", key, meta)
		clear(meta) // the tracker must have a copy
		if err != nil {
			return
		}
		list := decode[map[string]struct{ Metas []map[string]json.RawMessage }](t, tr.List("room"))
		want := decode[map[string]json.RawMessage](t, given)
		delete(want, "phx_ref_prev")
		want["phx_ref"] = []byte(`"` + r + `"`)
		metas := list[key].Metas
		if len(list) != 1 || len(metas) != 1 || len(metas[0]) != len(want) {
			t.Fatalf("%q became %s", given, tr.List("room"))
		}
		for name, value := range want {
			if !bytes.Equal(metas[0][name], value) {
				t.Fatalf("%q became %s", given, tr.List("room"))
			}
		}
	})
}

// What an owner keeps stays with its refs, whether somebody tracks it again or not.
func TestKeep(t *testing.T) {
	inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, l *log) {
		same := track(t, tr, 1, "room", "same", `{"a":1}`)
		bare := track(t, tr, 1, "room", "bare", `{}`)
		other := track(t, tr, 1, "room", "other", `{"a":1}`)
		longer := track(t, tr, 1, "room", "longer", `{"a":1,"b":2}`)
		silent := track(t, tr, 1, "room", "silent", `{}`)
		settle()
		l.take("room")

		tr.Keep(1)
		if again := track(t, tr, 1, "room", "same", ` {"a":1} `); again != same {
			t.Errorf("the same meta has ref %s, had %s", again, same)
		}
		if again := track(t, tr, 1, "room", "bare", `{}`); again != bare {
			t.Errorf("an empty meta has ref %s, had %s", again, bare)
		}
		tr.Settle(1) // it is for what is held
		settle()
		l.want(t, "room")
		if _, err := tr.Track(1, "room", "same", []byte(`{"a":1}`)); !errors.Is(err, presence.ErrTracked) {
			t.Errorf("tracked twice in one life: %v", err)
		}
		other2 := track(t, tr, 1, "room", "other", `{"a":2}`)
		longer2 := track(t, tr, 1, "room", "longer", `{"a":1}`)
		if other2 == other || longer2 == longer {
			t.Error("another meta has the same ref")
		}
		for key, want := range map[string]string{
			"same":   `{"a":1,"phx_ref":"` + same + `"}`,
			"other":  `{"a":2,"phx_ref":"` + other2 + `","phx_ref_prev":"` + other + `"}`,
			"longer": `{"a":1,"phx_ref":"` + longer2 + `","phx_ref_prev":"` + longer + `"}`,
			"silent": `{"phx_ref":"` + silent + `"}`,
		} {
			if got, _ := tr.Get("room", key); string(got) != `{"metas":[`+want+`]}` {
				t.Errorf("%s is %s, want %s", key, got, want)
			}
		}

		t.Log("and once more, in the life after that")
		tr.Keep(1)
		if again := track(t, tr, 1, "room", "other", `{"a":2}`); again != other2 {
			t.Errorf("the same meta has ref %s, had %s", again, other2)
		}
		tr.Leave(1)
		settle()
		if n := tr.Stats(); n != (presence.Stats{}) {
			t.Errorf("left over: %+v", n)
		}
	})
}

// TestRefsOfAnEarlierTracker has a second tracker begin at the same time as a first one, and in
// the same way: a client that has kept refs of the first can tell.
func TestRefsOfAnEarlierTracker(t *testing.T) {
	var earlier []string
	for range 2 {
		inBubble(t, presence.Options{}, func(t *testing.T, tr *presence.Tracker, _ *log) {
			for _, key := range []string{"ada", "bob"} {
				ref, err := tr.Track("owner", "room:a", key, []byte(`{}`))
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(earlier, ref) {
					t.Errorf("%s has the ref %s, which there was before", key, ref)
				}
				earlier = append(earlier, ref)
			}
		})
	}
}
