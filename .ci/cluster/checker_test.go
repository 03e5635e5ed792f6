package cluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"rtd/channels/history"
	"rtd/host/hosttest"
)

// member is a client in a topic, which says numbers and writes down what it hears.
type member struct {
	*hosttest.Client
	name, topic, node string
	quiet             chan struct{} // closed when it has ceased to talk; nil before it has begun

	mu      sync.Mutex
	said    int                        // up to which its server has answered
	unsure  map[int]bool               // those of them that were never answered, as its server ended
	heard   map[string][]int           // by who said it
	doubles []string                   // what came twice, or before what was said earlier
	present map[string]map[string]bool // refs by key
	left    map[string]int             // times that the last ref of a key has left
	at      string                     // the position of what it has heard last, on a topic with history
	gaps    []string                   // that it was told of
	resumed int                        // times that it was told that it has all
}

func enter(t testing.TB, node, url, name, topic string) *member {
	t.Helper()
	m := &member{name: name, topic: topic, node: node, unsure: map[int]bool{}, heard: map[string][]int{}, left: map[string]int{}}
	m.connect(t, url)
	return m
}

// connect connects it, for the first time, or again as a client does whose connection has ended: with the position that it knows.
func (m *member) connect(t testing.TB, url string) {
	t.Helper()
	if m.quiet != nil {
		<-m.quiet
	}
	m.Client = hosttest.Connect(t, url)
	m.mu.Lock()
	m.present = nil
	at := m.at
	m.mu.Unlock()
	m.Hear(m.take)
	m.MustJoin(t, m.topic, fmt.Sprintf(`{"token":"demo","user":%q,"since":%q}`, m.name, at))
}

// say broadcasts the next number. Only the goroutine of its sender calls it.
func (m *member) say() error {
	m.mu.Lock()
	next := m.said + 1
	m.mu.Unlock()
	r, err := m.Call(m.topic, "new_message", fmt.Sprintf(`{"body":"%d"}`, next))
	if err != nil || r.Status != "ok" {
		return fmt.Errorf("%s says %d: %v: %w", m.name, next, r, err)
	}
	m.mu.Lock()
	m.said = next
	m.mu.Unlock()
	return nil
}

// doubt is after the end of its connection: whether the next number was said, nobody knows.
func (m *member) doubt() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said++
	m.unsure[m.said] = true
}

func (m *member) last() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said
}

func (m *member) take(r hosttest.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := history.Parse(r.Ref); ok {
		m.at = r.Ref
	}
	switch r.Event {
	case "position", "recovered":
		var p struct {
			Position, Reason string
			Complete         bool
		}
		if err := json.Unmarshal(r.Payload, &p); err != nil {
			m.doubles = append(m.doubles, err.Error())
			return
		}
		m.at = p.Position
		switch {
		case r.Event == "position":
		case p.Complete:
			m.resumed++
		default:
			m.gaps = append(m.gaps, p.Reason)
		}
	case "new_message":
		var p struct{ Body, User string }
		n := 0
		if err := json.Unmarshal(r.Payload, &p); err == nil {
			n, _ = strconv.Atoi(p.Body)
		}
		list := m.heard[p.User]
		if len(list) > 0 && n <= list[len(list)-1] {
			m.doubles = append(m.doubles, fmt.Sprintf("%s of %s after %d", p.Body, p.User, list[len(list)-1]))
		}
		m.heard[p.User] = append(list, n)
	case "presence_state":
		m.present = refs(r.Payload)
	case "presence_diff":
		var d struct{ Joins, Leaves json.RawMessage }
		if json.Unmarshal(r.Payload, &d) != nil || m.present == nil {
			return
		}
		for key, list := range refs(d.Joins) {
			if m.present[key] == nil {
				m.present[key] = map[string]bool{}
			}
			maps.Copy(m.present[key], list)
		}
		for key, list := range refs(d.Leaves) {
			for ref := range list {
				delete(m.present[key], ref)
			}
			if len(m.present[key]) == 0 {
				delete(m.present, key)
				m.left[key]++
			}
		}
	}
}

// refs reads a state of presence.
func refs(data []byte) map[string]map[string]bool {
	var state map[string]struct {
		Metas []struct {
			Ref string `json:"phx_ref"`
		}
	}
	_ = json.Unmarshal(data, &state) // nothing then, which is a fault that shows
	all := map[string]map[string]bool{}
	for key, entry := range state {
		all[key] = map[string]bool{}
		for _, meta := range entry.Metas {
			all[key][meta.Ref] = true
		}
	}
	return all
}

// here names those who are present, each as often as it is.
func (m *member) here() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for key, entry := range m.present {
		for range entry {
			list = append(list, key)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// has reports whether it has heard a number of somebody.
func (m *member) has(who string, n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := slices.BinarySearch(m.heard[who], n)
	return found
}

// missing counts the numbers of somebody that it has not heard, after from and up to to, and that were answered.
func (m *member) missing(who *member, from, to int) (count int) {
	for n := from + 1; n <= to; n++ {
		if !m.has(who.name, n) && !who.isUnsure(n) {
			count++
		}
	}
	return count
}

func (m *member) isUnsure(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.unsure[n]
}

// told counts how often it was told that it has missed something, and that it has not.
func (m *member) told() (gaps, resumed int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.gaps), m.resumed
}

// departures counts how often somebody has left for it.
func (m *member) departures(who string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left[who]
}
