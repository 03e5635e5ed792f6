package auth

import (
	"errors"
	"time"
)

// Why Refresh refuses a token that is valid.
var (
	// ErrOtherSubject: the new token has another subject, or one of the two has none.
	ErrOtherSubject = errors.New("token is of another subject")

	// ErrNotLater: the new token does not expire later than the one in force.
	ErrNotLater = errors.New("token does not expire later")

	// ErrEnded: the session has ended.
	ErrEnded = errors.New("session has ended")
)

// Policy says what happens around the expiry of a token in use. Zero means the
// default, negative off.
type Policy struct {
	// Notice is how long before the expiry the client is told, so that it can send a new
	// token. For tokens that are about to expire it is at most half of the time left, so
	// that a client with short tokens does not refresh in a loop. Default 60 seconds.
	Notice time.Duration

	// Grace is for how long after the expiry a new token is still taken. Default 30
	// seconds; off: the session ends when the token expires.
	Grace time.Duration

	// Leeway is the one of [Config]: for so long after its expiry a token still lets a
	// client connect. No session ends before that, so that no client is let in and sent
	// away at once. Default: none.
	Leeway time.Duration
}

// SessionEvent is a session's request to its connection.
type SessionEvent int

const (
	// NoEvent: nothing.
	NoEvent SessionEvent = iota

	// Expiring: tell the client when its token expires.
	Expiring

	// Expired: tell the client that its token has expired and when the grace ends.
	Expired

	// Ended: close the connection. There are no more events.
	Ended
)

// String returns the event's name.
func (e SessionEvent) String() string {
	names := [...]string{"none", "expiring", "expired", "ended"}
	if e < 0 || int(e) >= len(names) {
		return "unknown"
	}
	return names[e]
}

// Session is a token in use by a connection. It has neither a goroutine nor a timer: the
// owner of the connections calls [Session.Tick] for all of them, once a second, and does
// as it says. It is a small value without the claims' JSON.
//
// Methods may not be called at the same time. The zero Session never expires and
// cannot be refreshed.
type Session struct {
	subject string
	issuer  string
	expires time.Time // zero: never

	policy Policy
	next   SessionEvent // that is due at deadline
	due    time.Time    // zero: never
}

// NewSession returns the session of a connection that has been accepted with claims.
func NewSession(claims Claims, policy Policy, now time.Time) Session {
	if policy.Notice == 0 {
		policy.Notice = time.Minute
	}
	if policy.Grace == 0 {
		policy.Grace = 30 * time.Second
	}
	s := Session{policy: policy}
	s.use(claims, now)
	return s
}

// use puts a token in force and plans the first event.
func (s *Session) use(claims Claims, now time.Time) {
	s.subject, s.issuer, s.expires = claims.Subject, claims.Issuer, claims.Expires
	switch {
	case s.expires.IsZero():
		s.next, s.due = NoEvent, time.Time{}
	case s.policy.Notice > 0 && now.Before(s.expires):
		s.next, s.due = Expiring, s.expires.Add(-min(s.policy.Notice, s.expires.Sub(now)/2))
	default:
		s.next, s.due = s.atExpiry(), s.expires
	}
}

func (s *Session) atExpiry() SessionEvent {
	if s.lasts() > 0 {
		return Expired
	}
	return Ended
}

// lasts returns how long after the expiry the session goes on.
func (s *Session) lasts() time.Duration { return max(s.policy.Grace, s.policy.Leeway, 0) }

// Expires returns when the token in force expires; zero: never.
func (s *Session) Expires() time.Time { return s.expires }

// Ends returns when the session ends without a new token; zero: never.
func (s *Session) Ends() time.Time {
	if s.expires.IsZero() {
		return time.Time{}
	}
	return s.expires.Add(s.lasts())
}

// NextDeadline returns when Tick has its next event; zero: never, unless Refresh is
// called.
func (s *Session) NextDeadline() time.Time { return s.due }

// Tick returns what is to be done at now. It tells each event once, and of several that
// have become due since the last call only the last one: who slept through the notice need
// not hear of it. It costs one comparison when nothing is due.
func (s *Session) Tick(now time.Time) SessionEvent {
	event := NoEvent
	for !s.due.IsZero() && !now.Before(s.due) {
		event = s.next
		switch event {
		case Expiring:
			s.next, s.due = s.atExpiry(), s.expires
		case Expired:
			s.next, s.due = Ended, s.Ends()
		case Ended:
			s.due = time.Time{}
		}
	}
	return event
}

// Refresh puts a new token in the place of the one in force, after which events start
// anew. claims are what Verify has returned for it. Errors are [ErrEnded],
// [ErrOtherSubject] and [ErrNotLater]; the token in force stays then.
func (s *Session) Refresh(claims Claims, now time.Time) error {
	switch {
	case s.ended(now):
		return ErrEnded
	case claims.Subject == "" || claims.Subject != s.subject || claims.Issuer != s.issuer:
		return ErrOtherSubject
	case s.expires.IsZero() || !claims.Expires.IsZero() && !claims.Expires.After(s.expires):
		return ErrNotLater
	}
	s.use(claims, now)
	return nil
}

// ended also holds when the end is due and no Tick has told it yet.
func (s *Session) ended(now time.Time) bool {
	ends := s.Ends()
	return s.next == Ended && s.due.IsZero() || !ends.IsZero() && !now.Before(ends)
}
