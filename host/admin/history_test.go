package admin_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"rtd/host/admin"
)

// What was said in a topic is read, and purged by one who is noted; what makes no sense is refused in words.
func TestHistory(t *testing.T) {
	p := &plant{}
	s, _, url := serve(t, p, admin.NewLog())
	defer shutdown(t, s)
	c := connect(t, admin.Target{URL: url, Key: key, By: "ada"})
	h, err := c.History(t.Context(), "room:1", 1, 7)
	if want := (admin.History{Position: "e:2", Oldest: 1, Messages: []admin.PastMessage{}}); err != nil || !reflect.DeepEqual(h, want) || p.last() != "history room:1 1 7" {
		t.Errorf("%q: %+v, %v", p.last(), h, err)
	}
	if _, err := c.History(t.Context(), "none", 0, 1); err == nil || err.Error() != "the topic has no history" {
		t.Errorf("of a topic without: %v", err)
	}
	gone, err := c.PurgeHistory(t.Context(), "room:1", 2)
	if want := (admin.Purged{Messages: 1, Position: "e:2", Oldest: 2}); err != nil || gone != want || p.last() != "purge room:1 2 by ada@127.0.0.1" {
		t.Errorf("%q: %+v, %v", p.last(), gone, err)
	}
	for _, limit := range []int{-1, 0, admin.MaxHistory + 1} {
		if _, err := c.History(t.Context(), "room:1", 0, limit); err == nil || !strings.Contains(err.Error(), "want 1 to 1000") {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	for _, c := range []struct{ method, query string }{{"GET", "after=-1"}, {"DELETE", "before=e:2"}} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, url+"/admin/history?topic=room:1&"+c.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %s", c.method, c.query, answer.Status)
		}
	}
}
