package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/supervisor"
)

// A version that crashes is taken back while others are prepared, of its own plugin and of
// another, for as long as that takes.
func TestRollbackDuringDeploys(t *testing.T) {
	w, told := watched(t)
	w.swap(1, "p", twoCrashes, wantsExport)
	c := []*puppetClient{w.join("p:1"), w.join("p:2"), w.join("p:3")}
	w.swap(2, "p", twoCrashes, wantsExport)
	w.wantAllMoved("p", 3)
	end := make(chan struct{})
	var deploys sync.WaitGroup
	defer deploys.Wait()
	defer close(end)
	for _, name := range []string{"p", "q"} {
		begun := make(chan struct{})
		deploys.Go(func() {
			_, err := w.set.Change(context.Background(), rollout.Change{Plugin: name, Begin: func() (rollout.Next, error) {
				close(begun)
				<-end
				return rollout.Next{}, errors.New("enough")
			}})
			if err == nil || err.Error() != "enough" {
				t.Errorf("deploy of %s: %v", name, err)
			}
		})
		<-begun
	}
	for n := range c {
		c[n].send(t, "crash", fmt.Sprint("p:", n+1), op(trap, ""))
	}
	wantWithdrawal(t, told, 2, 1, "crashes")
	w.wantVersion("p", 1)
}

// A version that takes the place of a bad one goes back to what that would have gone back
// to, and the bad one is noted all the same.
func TestRollbackBehindABadVersion(t *testing.T) {
	w, told := watched(t)
	noted := make(chan rollout.Withdrawal, 10)
	w.set.Withdrawing = func(gone rollout.Withdrawal) { noted <- gone }
	w.swap(1, "p", twoCrashes, wantsExport)
	c := []*puppetClient{w.join("p:1"), w.join("p:2"), w.join("p:3")}
	crash := func() {
		for n := range c {
			c[n].send(t, "crash", fmt.Sprint("p:", n+1), op(trap, ""))
		}
	}
	w.swap(2, "p", twoCrashes, wantsExport)
	_, err := w.set.Change(context.Background(), rollout.Change{
		Plugin: "p",
		Begin: func() (rollout.Next, error) {
			return rollout.Next{WASM: puppetVersion(3), Settings: puppetSettings("p", twoCrashes, wantsExport)}, nil
		},
		End: func(_ rollout.Outcome, err error) {
			must(t, err)
		},
	})
	must(t, err)
	w.wantAllMoved("p", 3)
	crash() // of version 3; 2 was as good as 1
	wantWithdrawal(t, told, 3, 2, "crashes")
	w.wantVersion("p", 2)
	<-noted

	w.swap(4, "p", twoCrashes, wantsExport)
	w.wantAllMoved("p", 3)
	held := make(chan struct{})
	released := make(chan struct{})
	var deploy sync.WaitGroup
	defer deploy.Wait()
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	deploy.Go(func() {
		_, err := w.set.Change(context.Background(), rollout.Change{
			Plugin: "p",
			Begin: func() (rollout.Next, error) {
				return rollout.Next{WASM: puppetVersion(4), Settings: puppetSettings("p", twoCrashes, wantsExport)}, nil
			},
			End: func(_ rollout.Outcome, err error) { // it runs already; meanwhile nothing changes
				close(held)
				<-released
			},
		})
		if !errors.Is(err, rollout.ErrUnchanged) {
			t.Errorf("the same again: %v", err)
		}
	})
	<-held
	crash()
	eventually(t, "crashes of version 4", func() bool { return w.crashesOf(puppetID(4)) == 3 })
	if len(told) != 0 {
		t.Error("it was taken back while its plugin is in somebody's hands")
	}
	release()
	wantWithdrawal(t, told, 4, 2, "crashes")
	w.wantVersion("p", 2)
}

func (w *world) crashesOf(version string) (n uint64) {
	for _, c := range w.set.Crashes() {
		if c.Version == version {
			n += c.Crashes
		}
	}
	return n
}

// What becomes of a version is told to who waits for it.
func TestVerdicts(t *testing.T) {
	w, _ := watched(t)
	deploy := func(n int, change func(*release.Settings)) *release.Fate {
		t.Helper()
		out, err := w.set.Change(context.Background(), rollout.Change{Plugin: "p", Begin: func() (rollout.Next, error) {
			return rollout.Next{WASM: puppetVersion(n), Settings: puppetSettings("p", change, wantsExport)}, nil
		}})
		if err != nil && !errors.Is(err, rollout.ErrUnchanged) {
			t.Fatal(err)
		}
		return out.Fate
	}
	want := func(trial *release.Fate, state release.State, now string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if v, err := trial.Wait(ctx); err != nil || v.State != state || v.Now != now {
			t.Errorf("verdict %+v, %v; want %s, and that %q runs", v, err, state, now)
		}
	}
	want(deploy(1, twoCrashes), release.Unwatched, "")
	second := deploy(2, twoCrashes)
	third := deploy(3, twoCrashes)
	want(second, release.Replaced, puppetID(3))
	// With other settings it is on the same trial.
	again := deploy(3, func(s *release.Settings) { twoCrashes(s); s.Mailbox++ })
	c := []*puppetClient{w.join("p:1"), w.join("p:2"), w.join("p:3")}
	for n := range c {
		c[n].send(t, "crash", fmt.Sprint("p:", n+1), op(trap, ""))
	}
	want(third, release.Withdrawn, puppetID(2))
	want(again, release.Withdrawn, puppetID(2))
	if got := w.set.Running("p"); got.Version != puppetID(2) {
		t.Errorf("running: %+v", got)
	}
	fast := func(s *release.Settings) { twoCrashes(s); s.Rollout.Watch = time.Millisecond }
	want(deploy(4, fast), release.Trusted, "")
	last := deploy(5, twoCrashes)
	w.set.Remove("p")
	want(last, release.Removed, "")
}

// Deploys, canaries, crashes and rollbacks at the same time: who keeps a record by
// the functions of changes knows what runs.
func TestHammerVersions(t *testing.T) {
	w, _ := watched(t)
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	type record struct {
		current, canary string
		withdrawn       map[string]bool
		busy            bool
	}
	var mu sync.Mutex
	records := map[string]*record{}
	names := []string{"p", "q", "r"}
	for _, name := range names {
		records[name] = &record{withdrawn: map[string]bool{}}
	}
	// note changes the record of a plugin, in its order: nobody else is at it.
	note := func(name string, f func(*record)) {
		mu.Lock()
		r := records[name]
		if r.busy {
			t.Errorf("two change the versions of %s", name)
		}
		r.busy = true
		mu.Unlock()
		time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) // as a disk does
		mu.Lock()
		f(r)
		r.busy = false
		mu.Unlock()
	}
	w.set.Withdrawing = func(g rollout.Withdrawal) { note(g.Plugin, func(r *record) { r.withdrawn[g.Hash] = true }) }
	w.set.Withdrawn = func(g rollout.Withdrawal) {
		note(g.Plugin, func(r *record) {
			if g.Err != nil {
				t.Errorf("%+v", g)
			}
			if r.canary == g.Hash {
				r.canary = ""
			} else {
				r.current = g.BackHash
				delete(r.withdrawn, g.BackHash)
				if r.canary == g.BackHash {
					r.canary = ""
				}
			}
		})
	}
	settings := func(name string, canary bool) release.Settings {
		return puppetSettings(name, func(s *release.Settings) {
			s.Intensity = supervisor.Intensity{Max: 1, Within: 10 * time.Second}
			s.Rollout.Watch = time.Minute
			if canary {
				s.Rollout.Canary, s.Rollout.CanaryPeriod = 0.5, time.Hour
			}
		}, wantsExport)
	}
	deploy := func(name string, n int, canary bool) {
		_, err := w.set.Change(context.Background(), rollout.Change{
			Plugin: name,
			Begin: func() (rollout.Next, error) {
				return rollout.Next{WASM: puppetVersion(n), Settings: settings(name, canary)}, nil
			},
			End: func(out rollout.Outcome, err error) {
				note(name, func(r *record) {
					switch {
					case err != nil: // it runs already; a canary of another version has ended
						if r.canary != out.Hash {
							r.canary = ""
						}
						return
					case out.Canary:
						r.canary = out.Hash
					default:
						r.current, r.canary = out.Hash, ""
					}
					delete(r.withdrawn, out.Hash)
				})
			},
		})
		if err != nil && !errors.Is(err, rollout.ErrUnchanged) {
			t.Errorf("deploy %s %d: %v", name, n, err)
		}
	}
	var all sync.WaitGroup
	for _, name := range names {
		deploy(name, 1, false)
		for range 2 {
			all.Go(func() {
				for range rounds {
					switch n := rand.IntN(10); {
					case n < 6:
						deploy(name, 1+rand.IntN(4), false)
					case n < 8:
						deploy(name, 1+rand.IntN(4), true)
					default:
						w.set.EndCanary(name, func(hash string) {
							note(name, func(r *record) { r.withdrawn[hash], r.canary = true, "" })
						})
					}
				}
			})
		}
		all.Go(func() {
			for range rounds {
				c := &puppetClient{}
				c.Socket = w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &c.frames})
				c.send(t, "phx_join", name+":x")
				c.send(t, "crash", name+":x", op(trap, ""))
				for end := time.Now().Add(20 * time.Millisecond); len(c.all()) < 2 && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				c.Close()
			}
		})
	}
	all.Wait()
	eventually(t, "peace", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range names {
			if r := records[name]; r.busy || r.current != w.set.Hash(name) {
				return false
			}
		}
		return true
	})
	for _, name := range names {
		if r := records[name]; r.withdrawn[r.current] && r.canary == "" {
			t.Errorf("%s runs a version that was withdrawn", name)
		}
	}
}
