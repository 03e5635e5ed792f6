package channels

import "time"

// Joins that come faster than guests decide them wait for their turn, in order: those of a [Channel] as processes, those of a
// [SharedChannel] in its mailbox. phoenix.js waits ten seconds, then leaves and joins again, and again:
//
//	phx_join 1 ── waits … ──────────────────────────► its turn, which is given to 2
//	          phx_leave 1, phx_join 2 ── held ───────┘ error overtaken, ok, and what the guest says to 2
//
// A guest that decided join 1 would work for nobody, and 2 would have to wait as long once more, until the client had given it up,
// too: nobody would ever get in.

// overtakenAfter is for how long a join has waited, in seconds, that its client may have given up. Before, all that a client sends is
// done as it comes: who leaves at once has been there.
const overtakenAfter = 5

// seconds is the time of a join.
func seconds() uint32 { return uint32(time.Now().Unix()) }

// catchUp is called when it is a join's turn. If it has waited for long and the client has joined again meanwhile, the latest join takes
// its place: those before it are answered "overtaken", and their leaves ok. If the client has left behind its last join, none is left: ok is
// false, and the member is to end without having been. Callers may hold the handler's lock.
func (m *member) catchUp() (ok bool) {
	if seconds()-m.join.came < overtakenAfter {
		return true
	}
	s := m.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	last := m.lastWish()
	if s.closed || m.state != joining || last < 0 {
		return true
	}
	s.overtaken(m.joinReply(refusal(reasonOvertaken)))
	for i, h := range (*m.held)[:last+1] {
		s.pending.Add(-h.size)
		switch {
		case h.Event == eventLeave:
			s.reply(h.JoinRef, &h, statusOK, nil)
		case h.Event != eventJoin:
			s.endpoint.counts.stale.Add(1) // meant for a join that will not be
		case i == last:
			m.join, ok = newJoinText(&h), true
		default:
			s.overtaken(&Outgoing{Kind: Reply, JoinRef: h.JoinRef, Ref: h.Ref, Topic: h.Topic, Name: statusError, Payload: reasonOvertaken})
		}
	}
	*m.held = (*m.held)[last+1:]
	if !ok {
		m.answered = true
		if m.old != nil {
			s.send(s.encode(m.old.closing()))
			m.old = nil
		}
	}
	return ok
}

// lastWish returns the index of the last join or leave that is held, or -1. Callers hold the socket's mu.
func (at *seat) lastWish() int {
	for i := at.holds() - 1; i >= 0; i-- {
		if e := (*at.held)[i].Event; e == eventJoin || e == eventLeave {
			return i
		}
	}
	return -1
}

// overtaken answers a join that no guest will decide. Callers hold mu.
func (s *Socket) overtaken(o *Outgoing) {
	s.endpoint.counts.overtaken.Add(1)
	s.send(s.encode(o))
}
