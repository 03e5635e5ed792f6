package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// claim is what a node says about its name, to all who think that they have it. An objection is for one of them.
type claim struct {
	ID    string        `json:"id"`
	Works time.Duration `json:"works,omitempty"` // how long it has worked under the name, 0: it would like to
	To    string        `json:"to,omitempty"`    // objection: the name is not yours
	At    string        `json:"at,omitempty"`    // where, for people
}

func (m *Mesh) nameSubject() string { return m.root + "name." + m.options.Node }

// claim says that the name is this node's, or would be.
func (m *Mesh) claim() { m.say("") }

// works is how long this node has worked under its name, 0 if it has not.
func (m *Mesh) works() time.Duration {
	if since := m.settled.Load(); since != nil {
		return max(time.Since(*since), 1)
	}
	return 0
}

func (m *Mesh) say(to string) {
	data, err := json.Marshal(claim{ID: m.id, Works: m.works(), To: to, At: m.where()})
	if err != nil {
		return // it cannot be: there are only texts in it
	}
	_ = m.conn.Publish(m.nameSubject(), data) // it is said again
}

// where is this node, for people.
func (m *Mesh) where() string {
	if m.options.Advertise != "" {
		return m.options.Advertise
	}
	return m.Address()
}

// heard takes what another node says about this node's name.
func (m *Mesh) heard(msg *nats.Msg) {
	var c claim
	if json.Unmarshal(msg.Data, &c) != nil || c.ID == m.id || c.ID == "" {
		return
	}
	switch {
	case c.To == m.id:
		m.taken.Store(&c.At)
		m.settled.Store(nil)
		m.muted.Store(true)
		m.look()
	case c.To == "" && m.keeps(c):
		m.say(c.ID)
	}
}

// alikeLong is how close two nodes have to be in time for their ids to decide. Should each think that it was first, as what they say took longer, both give way,
// and one has the name when they try again.
const alikeLong = 250 * time.Millisecond

// keeps reports whether the name stays with this node: who works under it goes before who would like to, and then who has for longer.
func (m *Mesh) keeps(c claim) bool {
	works := m.works()
	switch {
	case (works > 0) != (c.Works > 0):
		return works > 0
	case (works - c.Works).Abs() > alikeLong:
		return works > c.Works
	}
	return m.id < c.ID
}

// settle waits until this node can take its name to be its own, before it says anything else: until it has been quiet for a while after the last
// route was made.
func (m *Mesh) settle(ctx context.Context) error {
	if m.settled.Load() != nil {
		m.claim()
		return nil
	}
	again := m.muted.Load() // the name was taken
	m.taken.Store(nil)
	wait := hearing
	if again {
		wait = longHearing
	}
	known, begun := m.known(), time.Now()
	quiet := begun
	m.claim()
	for ctx.Err() == nil {
		if at := m.taken.Load(); at != nil {
			return fmt.Errorf("%w: the node at %s is called %q, too; give this one another name, or end that one", ErrTaken, *at, m.options.Node)
		}
		now := m.known()
		if now != known {
			known, quiet = now, time.Now()
			m.claim()
		}
		alone := m.hub != nil && known == "" && !again
		if alone && (m.hub.seeds == 0 || time.Since(begun) >= seedPatience) || !alone && (time.Since(quiet) >= wait || time.Since(begun) >= maxHearing) {
			break
		}
		rest(ctx, 5*time.Millisecond, m.kick)
	}
	now := time.Now()
	m.settled.Store(&now)
	m.muted.Store(false)
	return nil
}

// known names the nodes with a route to this one; with an existing server nobody knows.
func (m *Mesh) known() string {
	if m.hub == nil {
		return ""
	}
	var list []string
	for _, r := range m.hub.routes() {
		list = append(list, r.id)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
