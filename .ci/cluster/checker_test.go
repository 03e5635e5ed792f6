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

	"rtd/host/clustertest"
	"rtd/host/hosttest"
)

// member is a client in a topic, which says numbers and writes down what it hears.
type member struct {
	*hosttest.Client
	name, topic, node string

	mu      sync.Mutex
	said    int                        // up to which its server has answered
	heard   map[string][]int           // by who said it
	doubles []string                   // what came twice, or before what was said earlier
	present map[string]map[string]bool // refs by key
	left    map[string]int             // times that the last ref of a key has left
}

func enter(t testing.TB, n *clustertest.Node, name, topic string) *member {
	t.Helper()
	m := &member{name: name, topic: topic, node: n.Name, heard: map[string][]int{}, left: map[string]int{}}
	m.Client = hosttest.Connect(t, n.Socket())
	m.Hear(m.take)
	m.MustJoin(t, topic, fmt.Sprintf(`{"token":"demo","user":%q}`, name))
	return m
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

func (m *member) last() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.said
}

func (m *member) take(r hosttest.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch r.Event {
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

// missing counts the numbers of somebody that it has not heard, after from and up to to.
func (m *member) missing(who string, from, to int) (count int) {
	for n := from + 1; n <= to; n++ {
		if !m.has(who, n) {
			count++
		}
	}
	return count
}

// departures counts how often somebody has left for it.
func (m *member) departures(who string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left[who]
}
