package rtd

import "strconv"

// Presence says who is in a topic, which is its value; [Socket.Presence] is that of
// the topic joined. What happens here happens at once. It fails with ErrDenied as
// [Publish] does.
//
//	s.Presence().Track(user, []byte(`{"device":"phone"}`))
//	state, err := s.Presence().List()
//	…
//	s.Push("presence_state", state)
type Presence string

// Presence is who is in the topic joined.
func (s *Socket) Presence() Presence { return Presence(s.topic) }

// Track makes this process present under a key, such as a user's id, with meta
// data: a JSON object; nil stands for {}. Members of the topic get presence_diff.
// The host untracks it when the process ends; one that was restarted tracks itself
// again, in Join for example. ref is what meta gets as phx_ref.
func (p Presence) Track(key string, meta []byte) (ref string, err error) {
	return doText(record{kind: opTrack, name: key, payload: meta, detail: string(p)})
}

// Update replaces the meta data of a key that this process has tracked.
func (p Presence) Update(key string, meta []byte) (ref string, err error) {
	return doText(record{kind: opUpdate, name: key, payload: meta, detail: string(p)})
}

// Untrack takes back a Track.
func (p Presence) Untrack(key string) error {
	return do(record{kind: opUntrack, name: key, detail: string(p)})
}

// List returns who is present, as presence_state has to have it: the metas of each
// key. What this process has tracked is among them.
func (p Presence) List() ([]byte, error) {
	answer, err := operate(record{kind: opPresences, name: string(p)})
	return clone(answer), err
}

// Count is how many keys are present, and metas: who is there twice counts once among the
// keys. It is cheap, however many there are.
func (p Presence) Count() (keys, metas int, err error) {
	answer, err := operate(record{kind: opPresenceCount, name: string(p)})
	if err != nil {
		return 0, 0, err
	}
	first, rest, _ := cutField(answer)
	second, _, _ := cutField(rest)
	if keys, err = strconv.Atoi(string(first)); err == nil {
		metas, err = strconv.Atoi(string(second))
	}
	return keys, metas, err
}
