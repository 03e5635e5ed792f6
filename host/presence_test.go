package host_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// observer knows who is present as the official client does: from a state and
// the diffs after it.
type observer struct {
	*client
	metas map[string]map[string]bool // phx_refs by key
}

type metas map[string]struct {
	Metas []struct {
		Ref string `json:"phx_ref"`
	}
}

// take applies what has come so far.
func (o *observer) take() {
	for o.has("presence_state") || o.has("presence_diff") {
		m, err := o.next(func(m message) bool { return strings.HasPrefix(m.event, "presence_") })
		if err != nil {
			return
		}
		joins, leaves := metas{}, metas{}
		if m.event == "presence_state" {
			o.metas = map[string]map[string]bool{}
			json.Unmarshal(m.payload, &joins)
		} else {
			var diff struct{ Joins, Leaves metas }
			json.Unmarshal(m.payload, &diff)
			joins, leaves = diff.Joins, diff.Leaves
		}
		for key, list := range joins {
			if o.metas[key] == nil {
				o.metas[key] = map[string]bool{}
			}
			for _, meta := range list.Metas {
				o.metas[key][meta.Ref] = true
			}
		}
		for key, list := range leaves {
			for _, meta := range list.Metas {
				delete(o.metas[key], meta.Ref)
			}
			if len(o.metas[key]) == 0 {
				delete(o.metas, key)
			}
		}
	}
}

func (o *observer) keys() []string {
	o.take()
	return slices.Sorted(maps.Keys(o.metas))
}

// Clients join, crash, leave and die at random. Afterwards all who watched know
// who is there, and nobody else is. RTD_TEST_CHURN=1000 makes them so many, for 20 s.
func TestPresenceUnderChurn(t *testing.T) {
	s := start(t, setup{
		plugins: map[string][]byte{"chat": chatGuest(t)},
		config:  "[api]\nkeys = [\"" + apiKey + "\"]\n" + patientChat + "max_restarts = 1000\n",
	})
	watch := func(name string) *observer {
		o := &observer{client: s.connect(t)}
		o.mustJoin(t, "room:1", fmt.Sprintf(`{"token":"demo","user":%q}`, name))
		return o
	}
	first := watch("first")
	clients, period, pause := scaled(60, 20), scaled(2*time.Second, 4*time.Second), 50*time.Millisecond
	if n, err := strconv.Atoi(os.Getenv("RTD_TEST_CHURN")); err == nil {
		clients, period, pause = n, 20*time.Second, 10*time.Second
	}
	end := time.Now().Add(period)
	var churn sync.WaitGroup
	var failed firstError
	for n := range clients {
		churn.Go(func() {
			for time.Now().Before(end) && failed.get() == nil {
				c, err := dial(s.url+"/socket/websocket?vsn=2.0.0", nil)
				if err != nil {
					failed.set(err)
					return
				}
				r, err := c.join("room:1", fmt.Sprintf(`{"token":"demo","user":"user %d"}`, n/2)) // two for a key
				if err != nil || r.Status != "ok" {
					failed.set(fmt.Errorf("join: %v, %v", r, err))
				}
				switch rand.IntN(3) {
				case 0:
					c.push("room:1", "crash", "{}") // restarted in place, and present again
				case 1:
					c.push("room:1", "phx_leave", "{}")
				}
				time.Sleep(rand.N(pause))
				c.ws.CloseNow() // without a word
				c.close()
			}
		})
	}
	late := watch("late")
	churn.Wait()
	must(t, failed.get())
	want := []string{"first", "late"}
	for name, o := range map[string]*observer{"first": first, "late": late} {
		eventually(t, name+" knows who is left", func() bool { return slices.Equal(o.keys(), want) })
	}
	if _, body := s.ask(t, "GET", "/api/presence?topic=room:1", apiKey, ""); strings.Count(body, "phx_ref\":") != 2 {
		t.Errorf("present are %s", body)
	}
}
