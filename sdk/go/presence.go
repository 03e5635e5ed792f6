package rtd

import "strconv"

// Presence says who is in a topic, which is its value; [Socket.Presence] is that of
// the topic joined. What happens here happens at once. It fails with ErrDenied as
// [Publish] does.
//
//	s.Presence().Track(user, []byte(`{"device":"phone"}`))
//	s.PushPresence()
type Presence string

// Presence is who is in the topic joined.
func (s *Socket) Presence() Presence { return Presence(s.topic) }

// PushPresence tells this client who is in the topic joined, by presence_state; the
// presence_diff that follow keep it up to date. Call it in Join, behind the Track of who
// has joined. The host makes the list when the event has been handled: however
// many there are, they do not enter the plugin.
func (s *Socket) PushPresence() { effect(record{kind: effectPresent, detail: s.member}) }

// PushTo is [Socket.PushPresence] of another topic than the one that s has joined. The
// client gets it in the one joined, and no diffs.
func (p Presence) PushTo(s *Socket) error {
	return attempt(record{kind: effectPresent, name: string(p), detail: s.member}, string(p))
}

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

// List returns who is present, for a plugin that wants to look: the metas of each key, in
// JSON as presence_state has it. What this process has tracked is among them. Clients are
// told by [Socket.PushPresence].
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
