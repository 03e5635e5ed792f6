package channels

import "rtd/sandbox/abi"

// Opening returns the event with which the guest of the present life has begun: the join,
// marked if it is a replay. It is for crash reports, and may be
// called while the guest handles an event.
func (c *Channel) Opening() (e abi.Event, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = *c.sole.joinEvent()
	if c.restarts > 0 {
		e.Flags |= abi.Replay
	}
	return e, true
}

// Opening returns the event with which a guest would begin now: the list of members. It is
// for crash reports, and may be called while the guest handles an event. ok is false for
// more than a thousand members.
func (c *SharedChannel) Opening() (e abi.Event, ok bool) {
	const crowd = 1000
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.members) == 0 || len(c.members) > crowd {
		return abi.Event{}, false
	}
	e = abi.Event{Kind: abi.EventMembers, Name: c.topic}
	e.Payload, e.Extra = c.membersFields()
	return e, true
}
