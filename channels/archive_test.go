package channels_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
)

// shelf is an archive in memory, which outlives servers.
type shelf struct {
	mu     sync.Mutex
	away   bool // nothing can be stored or read
	topics map[string]*channels.Archived
	opened map[string]int
	purged uint64
}

var errAway = errors.New("away")

func (a *shelf) Open(_ context.Context, topic string, _ channels.Keep) (channels.Archived, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return channels.Archived{}, errAway
	}
	if a.topics == nil {
		a.topics, a.opened = map[string]*channels.Archived{}, map[string]int{}
	}
	if a.topics[topic] == nil {
		a.topics[topic] = &channels.Archived{Epoch: history.NewEpoch()}
	}
	a.opened[topic]++
	return *a.topics[topic], nil
}

func (a *shelf) Store(_ context.Context, list []*channels.Said) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return errAway
	}
	for _, s := range list {
		a.store(s)
	}
	return nil
}

func (a *shelf) store(s *channels.Said) {
	kept := a.topics[s.Topic]
	kept.Last++
	kept.Messages = append(kept.Messages, channels.PastMessage{Offset: kept.Last, At: s.At, Event: s.Event, Payload: s.Payload, Binary: s.Binary})
	s.Stored(kept.Epoch, kept.Last)
}

func (a *shelf) Purge(_ context.Context, _ string, before uint64) error {
	a.purged = before
	return nil
}
func (a *shelf) Trim(string, uint64) {}
func (a *shelf) Review()             {}
func (a *shelf) Close(topic string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened[topic]--
}

func (a *shelf) goes(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func (a *shelf) inUse() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened["room:a"]
}

// archives has the server store what is said in the topics that begin with room:, but for room:ram.
func (s *server) archives(a *shelf) {
	s.Hub.Archive(a)
	s.plugin.current.Load().Archives = true
	s.plugin.current.Load().History = func(topic string) (channels.Keep, bool) {
		return channels.Keep{Durable: topic != "room:ram"}, strings.HasPrefix(topic, "room:")
	}
	s.ReviewHistory()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Hub.RunArchive(ctx)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func (s *server) publishes(n ...int) error {
	var list []channels.Publication
	for _, n := range n {
		list = append(list, channels.Publication{Topic: "room:a", Event: "said", Payload: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	sent, err := s.PublishAll(context.Background(), list)
	if err == nil && sent != len(n) {
		s.t.Errorf("%d of %d were sent", sent, len(n))
	}
	return err
}

// A server goes on at the positions of the one before, and tells what was said there.
func TestArchive(t *testing.T) {
	for _, shared := range []bool{false, true} {
		a, epoch, o := &shelf{}, "", options{shared: shared}
		run(t, o, func(t *testing.T, s *server) {
			s.archives(a)
			b := s.connect().enters("")
			epoch = b.heard(joinedA, positionOf(0))
			if err := s.publishes(1, 2); err != nil {
				t.Error(err)
			}
			b.heard(said1, said2)
		})
		run(t, o, func(t *testing.T, s *server) { // the next server
			s.archives(a)
			b := s.connect().enters(epoch + ":1")
			if got := b.heard(joinedA, said2, recovered(2, 1)); got != epoch {
				t.Errorf("the epoch was %s, and is %s", epoch, got)
			}
			page, _ := s.Hub.History("room:a", 0, 10)
			if !page.Durable || len(page.Messages) != 2 {
				t.Errorf("it has %+v", page)
			}
			if ok, err := s.Hub.PurgeHistory(t.Context(), "room:a", 2); !ok || err != nil || a.purged != 2 {
				t.Errorf("purged up to %d: %v", a.purged, err)
			}
			s.connect().enters(epoch+":0").heard(joinedA, said2, lost(history.GapGone, 2, 1))
		})
	}
}

// Who joins while nothing can be read is told where it stands later, and nobody gets what cannot be stored. Other topics go on.
func TestArchiveIsAway(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a := &shelf{}
		a.goes(true)
		s.archives(a)
		b := s.connect().enters("")
		b.heard(joinedA)
		gone := s.connect().enters("")
		gone.heard(joinedA)
		gone.Close()
		settle()
		b.take() // a shared handler says that it has left
		if err := s.publishes(1); !errors.Is(err, channels.ErrNoArchive) {
			t.Errorf("the error is %v", err)
		}
		c := s.connect()
		c.send(`["1","1","room:ram","phx_join",{}]`)
		settle()
		c.take()
		if err := s.Publish("room:ram", "said", nil, false); err != nil {
			t.Error(err)
		}
		settle()
		if got := c.take(); len(got) != 1 {
			t.Errorf("in another topic it got %q", got)
		}
		b.heard()
		a.goes(false)
		time.Sleep(time.Second)
		b.heard(positionOf(0))
		if err := s.publishes(1); err != nil {
			t.Error(err)
		}
		b.heard(said1)
		a.goes(true)
		if err := s.publishes(2); !errors.Is(err, channels.ErrNoArchive) {
			t.Errorf("the error is %v", err)
		}
		a.goes(false)
		if err := s.publishes(2); err != nil {
			t.Error(err)
		}
		b.heard(said2) // at 2: what was refused has no offset
		if n := s.Stats().HistoryRefused; n != 2 {
			t.Errorf("%d were refused", n)
		}
	})
}

// What is stored is sent in its order, when each has been released; and who is given up and turns out to be stored is sent, too.
func TestOrderOfWhatIsStored(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a := &shelf{}
		s.archives(a)
		b := s.connect().enters("")
		b.heard(joinedA, positionOf(0))
		var said [4]*channels.Said
		for i := range said {
			var err error
			if said[i], err = s.Hub.Prepare(t.Context(), "room:a", "said", fmt.Appendf(nil, `{"n":%d}`, i+1), false); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Store(t.Context(), said[:3]); err != nil {
			t.Fatal(err)
		}
		said[2].Release()
		said[1].Release()
		b.heard()
		said[0].Release()
		b.heard(said1, said2, said3)
		said[3].Drop()
		b.heard()
		a.store(said[3])
		b.heard(`[null,"E:4","room:a","said",{"n":4}]`)
	})
}

// A topic that nobody uses leaves memory, and comes back; and so it is if the config says something else for a while.
func TestArchivedTopicsLeaveMemory(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a := &shelf{}
		s.archives(a)
		if err := s.publishes(1, 2); err != nil {
			t.Error(err)
		}
		s.Hub.TidyHistory(time.Now())
		if a.inUse() != 1 || s.Stats().HistoryBytes == 0 {
			t.Error("it is not in use")
		}
		s.Hub.TidyHistory(time.Now().Add(11 * time.Minute))
		if a.inUse() != 0 || s.Stats().HistoryBytes != 0 {
			t.Errorf("it is in use, and takes %d bytes", s.Stats().HistoryBytes)
		}
		if err := s.Hub.AwaitHistory(t.Context(), "room:a"); err != nil {
			t.Error(err)
		}
		if page, ok := s.Hub.History("room:a", 0, 10); !ok || len(page.Messages) != 2 {
			t.Errorf("it has %+v", page)
		}
		v := s.plugin.current.Load()
		history := v.History
		v.History, v.Archives = nil, false
		s.ReviewHistory()
		if a.inUse() != 0 {
			t.Error("it is in use, though it has no history")
		}
		if err := s.publishes(3); err != nil { // nobody keeps that
			t.Error(err)
		}
		v.History, v.Archives = history, true
		s.ReviewHistory()
		b := s.connect().enters("")
		b.heard(joinedA, positionOf(2))
	})
}

// Many say something at a time, in few topics: each member gets all of it, in the order of the offsets.
func TestManyStore(t *testing.T) {
	runBoth(t, options{}, func(t *testing.T, s *server) {
		a := &shelf{}
		s.archives(a)
		b := s.connect().enters("")
		b.heard(joinedA, positionOf(0))
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				for n := range 50 {
					if err := s.publishes(n, n); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		settle()
		got := b.take()
		for i, f := range got {
			if want := fmt.Sprintf(`:%d","room:a","said"`, i+1); !strings.Contains(f, want) {
				t.Fatalf("message %d is %s", i+1, f)
			}
		}
		if len(got) != 800 {
			t.Errorf("it got %d", len(got))
		}
	})
}
