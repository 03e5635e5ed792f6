package auth_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/auth"
)

func ada(expires time.Time) auth.Claims {
	return auth.Claims{JSON: []byte(`{}`), Subject: "ada", Issuer: "me", Expires: expires}
}

// told sweeps once a second for a while, as the host does, and returns what the session says by second.
func told(s *auth.Session, seconds int) map[int]auth.SessionEvent {
	events := map[int]auth.SessionEvent{}
	for i := range seconds {
		if event := s.Tick(time.Now()); event != auth.NoEvent {
			events[i] = event
		}
		time.Sleep(time.Second)
	}
	return events
}

func wantTold(t *testing.T, got, want map[int]auth.SessionEvent) {
	t.Helper()
	for second, event := range got {
		if want[second] != event {
			t.Errorf("%v after %d s, want %v", event, second, want[second])
		}
	}
	for second, event := range want {
		if got[second] == auth.NoEvent {
			t.Errorf("nothing after %d s, want %v", second, event)
		}
	}
}

func TestSessionWithoutRefresh(t *testing.T) {
	for name, test := range map[string]struct {
		policy auth.Policy
		life   time.Duration
		want   map[int]auth.SessionEvent
	}{
		"defaults":        {auth.Policy{}, 300 * time.Second, map[int]auth.SessionEvent{240: auth.Expiring, 300: auth.Expired, 330: auth.Ended}},
		"own":             {auth.Policy{Notice: 5 * time.Second, Grace: 2 * time.Second}, 20 * time.Second, map[int]auth.SessionEvent{15: auth.Expiring, 20: auth.Expired, 22: auth.Ended}},
		"short token":     {auth.Policy{}, 20 * time.Second, map[int]auth.SessionEvent{10: auth.Expiring, 20: auth.Expired, 50: auth.Ended}},
		"no notice":       {auth.Policy{Notice: -1}, 20 * time.Second, map[int]auth.SessionEvent{20: auth.Expired, 50: auth.Ended}},
		"no grace":        {auth.Policy{Grace: -1}, 20 * time.Second, map[int]auth.SessionEvent{10: auth.Expiring, 20: auth.Ended}},
		"neither":         {auth.Policy{Notice: -1, Grace: -1}, 20 * time.Second, map[int]auth.SessionEvent{20: auth.Ended}},
		"grace < leeway":  {auth.Policy{Grace: 2 * time.Second, Leeway: 10 * time.Second}, -5 * time.Second, map[int]auth.SessionEvent{0: auth.Expired, 5: auth.Ended}},
		"leeway alone":    {auth.Policy{Notice: -1, Grace: -1, Leeway: 10 * time.Second}, 20 * time.Second, map[int]auth.SessionEvent{20: auth.Expired, 30: auth.Ended}},
		"already expired": {auth.Policy{}, -5 * time.Second, map[int]auth.SessionEvent{0: auth.Expired, 25: auth.Ended}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := auth.NewSession(ada(time.Now().Add(test.life)), test.policy, time.Now())
				wantTold(t, told(&s, 400), test.want)
				if !s.NextDeadline().IsZero() {
					t.Errorf("deadline %v after the end", s.NextDeadline())
				}
			})
		})
	}
}

func TestSessionDeadlinesAreTheTicksThatMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := auth.NewSession(ada(time.Now().Add(5*time.Minute)), auth.Policy{}, time.Now())
		var events []auth.SessionEvent
		for !s.NextDeadline().IsZero() {
			time.Sleep(time.Until(s.NextDeadline()) - 1)
			if event := s.Tick(time.Now()); event != auth.NoEvent {
				t.Errorf("%v before its deadline", event)
			}
			time.Sleep(1)
			events = append(events, s.Tick(time.Now()))
		}
		if got := fmt.Sprint(events); got != "[expiring expired ended]" {
			t.Errorf("events %s", got)
		}
	})
}

func TestSessionRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		s := auth.NewSession(ada(begun.Add(2*time.Minute)), auth.Policy{}, begun)
		wantTold(t, told(&s, 90), map[int]auth.SessionEvent{60: auth.Expiring})
		for _, refused := range []struct {
			claims auth.Claims
			want   error
		}{
			{auth.Claims{Subject: "eve", Issuer: "me", Expires: begun.Add(time.Hour)}, auth.ErrOtherSubject},
			{auth.Claims{Subject: "ada", Issuer: "you", Expires: begun.Add(time.Hour)}, auth.ErrOtherSubject},
			{auth.Claims{Issuer: "me", Expires: begun.Add(time.Hour)}, auth.ErrOtherSubject},
			{ada(begun.Add(2 * time.Minute)), auth.ErrNotLater},
			{ada(begun.Add(time.Minute)), auth.ErrNotLater},
		} {
			if err := s.Refresh(refused.claims, time.Now()); err != refused.want {
				t.Errorf("error %v, want %v", err, refused.want)
			}
		}
		if !s.Expires().Equal(begun.Add(2*time.Minute)) || !s.Ends().Equal(begun.Add(150*time.Second)) {
			t.Errorf("a refused token changes the session: it expires %v and ends %v", s.Expires(), s.Ends())
		}

		// In time, then in the grace, then for ever.
		if err := s.Refresh(ada(begun.Add(5*time.Minute)), time.Now()); err != nil {
			t.Error(err)
		}
		wantTold(t, told(&s, 220), map[int]auth.SessionEvent{240 - 90: auth.Expiring, 300 - 90: auth.Expired})
		if err := s.Refresh(ada(begun.Add(10*time.Minute)), time.Now()); err != nil {
			t.Error(err)
		}
		wantTold(t, told(&s, 240), map[int]auth.SessionEvent{540 - 310: auth.Expiring})
		if err := s.Refresh(ada(time.Time{}), time.Now()); err != nil {
			t.Error(err)
		}
		wantTold(t, told(&s, 1000), nil)
		if err := s.Refresh(ada(time.Now().Add(time.Hour)), time.Now()); err != auth.ErrNotLater {
			t.Errorf("error %v for a token that expires after one that does not", err)
		}
	})
}

func TestSessionEndsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := auth.NewSession(ada(time.Now().Add(time.Minute)), auth.Policy{}, time.Now())
		time.Sleep(time.Hour) // asleep; no Tick
		if err := s.Refresh(ada(time.Now().Add(time.Hour)), time.Now()); err != auth.ErrEnded {
			t.Errorf("error %v for a token that comes too late", err)
		}
		wantTold(t, told(&s, 100), map[int]auth.SessionEvent{0: auth.Ended})
		if err := s.Refresh(ada(time.Now().Add(time.Hour)), time.Now()); err != auth.ErrEnded {
			t.Errorf("error %v after the end", err)
		}
		if err := s.Refresh(ada(time.Now()), time.Now().Add(-2*time.Hour)); err != auth.ErrEnded {
			t.Errorf("error %v after the end, when the clock was set back", err)
		}
	})
}

func TestSessionWithoutExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := auth.NewSession(ada(time.Time{}), auth.Policy{}, time.Now())
		var zero auth.Session
		wantTold(t, told(&s, 100), nil)
		wantTold(t, told(&zero, 100), nil)
		if !s.NextDeadline().IsZero() || !s.Ends().IsZero() {
			t.Errorf("deadline %v, end %v", s.NextDeadline(), s.Ends())
		}
		if err := zero.Refresh(auth.Claims{Expires: time.Now().Add(time.Hour)}, time.Now()); err != auth.ErrOtherSubject {
			t.Errorf("error %v for a session of nobody", err)
		}
	})
}

// One sweep over many connections is cheap when nothing is due.
func BenchmarkTick(b *testing.B) {
	now := time.Now()
	s := auth.NewSession(ada(now.Add(time.Hour)), auth.Policy{}, now)
	for b.Loop() {
		s.Tick(now)
	}
}
