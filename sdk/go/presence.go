package rtd

import "strconv"

// Presence says who is present in a topic, which is its value; its own methods make this process
// present. [Socket.Presence] is for the client, in the topic that it has joined. Methods have
// their effect at once, and fail with ErrDenied as [Publish] does.
type Presence string

// SocketPresence is a [Presence] whose methods make a client present, and not the process that
// serves it.
//
//	s.Presence().Track(user, []byte(`{"device":"phone"}`))
//	s.PushPresence()
type SocketPresence struct {
	Presence
	member string
}

// Presence says who is present in the topic joined, and makes this client present there.
//
// In a [TopicChannel] the client is a member. Members may have the same key, which then has
// several metas. A member stays present when the process is restarted or moves to another
// version, and to Track again in Join changes nothing, unless meta is another. The host
// untracks a member that leaves; Track and Update for one that has left fail with
// ErrNoProcess.
func (s *Socket) Presence() SocketPresence { return Presence(s.topic).Of(s) }

// Of makes a client present in any topic, as [Socket.Presence] does in the one joined.
func (p Presence) Of(s *Socket) SocketPresence { return SocketPresence{p, s.member} }

// PushPresence tells this client who is in the topic joined, by presence_state; the
// presence_diff that follow keep it up to date. Call it in Join, after Track. The host makes
// the list when the event has been handled: however long it is, it does not enter the
// plugin.
func (s *Socket) PushPresence() { effect(record{kind: effectPresent, detail: s.member}) }

// PushTo is [Socket.PushPresence] for another topic than the one that s has joined. The
// client gets presence_state in the topic joined, and no presence_diff.
func (p Presence) PushTo(s *Socket) error {
	return attempt(record{kind: effectPresent, name: string(p), detail: s.member}, string(p))
}

// Track makes this process present under a key, such as a user's id, with meta
// data: a JSON object; nil stands for {}. Members of the topic get presence_diff. The host
// untracks the process when it ends; one that is restarted tracks itself again. ref is the
// phx_ref that the meta data gets.
func (p Presence) Track(key string, meta []byte) (ref string, err error) {
	return SocketPresence{Presence: p}.Track(key, meta)
}

// Update replaces the meta data of a key that this process has tracked.
func (p Presence) Update(key string, meta []byte) (ref string, err error) {
	return SocketPresence{Presence: p}.Update(key, meta)
}

// Untrack takes back a Track.
func (p Presence) Untrack(key string) error { return SocketPresence{Presence: p}.Untrack(key) }

// Track is [Presence.Track] for the client.
func (p SocketPresence) Track(key string, meta []byte) (ref string, err error) {
	return doText(record{opTrack, 0, key, meta, string(p.Presence), p.member})
}

// Update replaces the meta data of a key that was tracked for the client.
func (p SocketPresence) Update(key string, meta []byte) (ref string, err error) {
	return doText(record{opUpdate, 0, key, meta, string(p.Presence), p.member})
}

// Untrack takes back a Track for the client.
func (p SocketPresence) Untrack(key string) error {
	return do(record{opUntrack, 0, key, nil, string(p.Presence), p.member})
}

// List returns who is present, for the plugin itself: the metas of each key, in JSON as
// presence_state has it. Keys that this process has just tracked are among them. Clients
// are told by [Socket.PushPresence].
func (p Presence) List() ([]byte, error) {
	answer, err := operate(record{kind: opPresences, name: string(p)})
	return clone(answer), err
}

// Count returns how many keys are present, and how many metas: a key with two metas counts
// once among the keys. It is cheap, however many there are.
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
