// Package cluster has the long test of a cluster: real processes, with a network between them that is slowed and cut, and clients who check what they hear.
//
//	go test ./.ci/cluster                                about a minute
//	RTD_CLUSTER_ROUNDS=100 go test -timeout 0 ./.ci/cluster    for hours
//	RTD_CLUSTER_BINARY=/path/rtd go test ./.ci/cluster   of another build
//	.ci/cluster/long --minutes 60 --nodes 5              nodes on hosts of their own, as root on Linux
//
// The file before names the commit of the version that this one has to work with in one cluster: the last one that was deployed.
package cluster_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/clustertest"
	"rtd/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	clustertest.Clean()
	os.Exit(code)
}

// trial is a cluster with its members.
type trial struct {
	*clustertest.Cluster
	t       *testing.T
	members []*member
	arrived int // ever
	talk    sync.WaitGroup
	quit    chan struct{}
	pace    time.Duration // between two numbers of a member
}

var (
	names  = []string{"a", "b", "c"}
	topics = []string{"room:1", "room:2"}
)

// TestCluster goes through all that may befall a cluster, several times.
func TestCluster(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("RTD_CLUSTER_ROUNDS")) // none said: one
	x := &trial{t: t, pace: 10 * time.Millisecond}
	x.Cluster = clustertest.Start(t, clustertest.Setup{
		Nodes: names, Binary: os.Getenv("RTD_CLUSTER_BINARY"), Plugins: map[string][]byte{"chat": sandboxtest.BuildGo(t, "rtd/plugins/chat")},
		Config: "[plugin.chat.config]\ntoken = \"demo\"\n",
	})
	for _, n := range x.All() {
		x.arrive(n)
	}
	x.whole("start")
	for round := range max(rounds, 1) {
		t.Logf("round %d", round+1)
		x.nothingLost("quiet", nil, func() { time.Sleep(2 * time.Second) })
		x.nothingLost("slow and lossy", nil, func() {
			x.Everywhere(func(from, to string) {
				x.Delay(from, to, 100*time.Millisecond)
				x.Lose(from, to, 0.05)
			})
			time.Sleep(4 * time.Second)
		})
		x.nothingLost("connections break", nil, func() {
			time.Sleep(300 * time.Millisecond)
			x.Break("a", "b")
			x.Break("b", "c")
			time.Sleep(2 * time.Second)
		})
		x.nothingLost("short cut", nil, func() { x.Cut("a", "b"); time.Sleep(time.Second) })
		x.nothingLost("long cut", apart("b"), func() { x.Part("b"); x.gone("b") })
		x.nothingLost("one-way cut", apart("c"), func() { x.CutOneWay("c", "a"); x.CutOneWay("c", "b"); x.gone("c") })
		x.nothingLost("cut between two of three", func(one, other string) bool { return one+other == "ab" || one+other == "ba" }, func() {
			x.Cut("a", "b")
			time.Sleep(5 * time.Second)
		})
		x.nothingLost("one stands still", apart("c"), func() {
			x.Node("c").Stop()
			defer x.Node("c").Cont()
			x.goneFor("c", x.at("a", "b"))
		})
		x.killed("b")
		if t.Failed() {
			return
		}
	}
}

// apart tells pairs of nodes of which one is that node.
func apart(node string) func(one, other string) bool {
	return func(one, other string) bool { return one != other && (one == node || other == node) }
}

// arrive has members enter at a node.
func (x *trial) arrive(n *clustertest.Node) {
	for _, topic := range topics {
		x.members = append(x.members, enter(x.t, n.Name, n.Socket(), n.Name+"-"+topic[len("room:"):]+"-"+strconv.Itoa(x.arrived), topic))
		x.arrived++
	}
}

// at returns the members at some nodes.
func (x *trial) at(nodes ...string) (list []*member) {
	for _, m := range x.members {
		if strings.Contains(strings.Join(nodes, " "), m.node) {
			list = append(list, m)
		}
	}
	return list
}

// begin has all members talk, until end.
func (x *trial) begin() {
	x.quit = make(chan struct{})
	for _, m := range x.members {
		x.speak(m)
	}
}

// speak has a member talk, until end, or that of its connection.
func (x *trial) speak(m *member) {
	m.quiet = make(chan struct{})
	x.talk.Go(func() {
		defer close(m.quiet)
		for {
			select {
			case <-x.quit:
				return
			case <-time.After(x.pace):
			}
			if err := m.say(); err != nil {
				select {
				case <-m.Ended():
					m.doubt()
					return // its node has ended
				case <-time.After(5 * time.Second):
					x.t.Error(err)
					return
				}
			}
		}
	})
}

func (x *trial) end() {
	close(x.quit)
	x.talk.Wait()
}

// nothingLost has something happen while all talk. All that was said comes to all, in order and once, but between nodes that were apart: there
// it comes once at most. At the end all hear each other again, and all see who is there.
func (x *trial) nothingLost(what string, apart func(one, other string) bool, happen func()) {
	x.t.Helper()
	began, gaps := time.Now(), 0
	from := map[*member]int{}
	left := map[string]int{}
	for _, m := range x.members {
		from[m] = m.last()
		for _, who := range x.members {
			left[m.name+" "+who.name] = m.departures(who.name)
		}
	}
	x.begin()
	happen()
	x.Heal()
	x.end()
	x.whole(what)
	for _, m := range x.members {
		for _, who := range x.members {
			if m.topic != who.topic {
				continue
			}
			missing, departures := m.missing(who, from[who], who.last()), m.departures(who.name)-left[m.name+" "+who.name]
			if apart != nil && apart(m.node, who.node) {
				gaps += missing
				continue
			}
			if missing > 0 {
				x.t.Errorf("%s: %s misses %d of %d of %s", what, m.name, missing, who.last()-from[who], who.name)
			}
			if departures > 0 {
				x.t.Errorf("%s: %s has seen %s leave", what, m.name, who.name)
			}
		}
		m.mu.Lock()
		if len(m.doubles) > 0 {
			x.t.Errorf("%s: %s hears %q", what, m.name, m.doubles)
		}
		m.mu.Unlock()
	}
	said := 0
	for _, m := range x.members {
		said += m.last() - from[m]
	}
	x.t.Logf("%-28s %5.1f s, %5d said, %5d not heard by somebody who was apart", what, time.Since(began).Seconds(), said, gaps)
}

// whole waits until all hear all, and see who is there.
func (x *trial) whole(what string) {
	x.t.Helper()
	for _, topic := range topics {
		var all []string
		for _, m := range x.members {
			if m.topic == topic {
				all = append(all, m.name)
			}
		}
		for _, m := range x.members {
			if m.topic != topic {
				continue
			}
			clustertest.Eventually(x.t, fmt.Sprintf("%s: presence of %v for %s", what, all, m.name), func() bool { return m.here() == sorted(all) })
		}
		for _, who := range x.members {
			for _, m := range x.members {
				if who.topic == topic && m.topic == topic {
					clustertest.Eventually(x.t, what+": way from "+who.name+" to "+m.name, func() bool {
						if m.has(who.name, who.last()) {
							return true
						}
						if err := who.say(); err != nil {
							x.t.Fatal(err)
						}
						time.Sleep(20 * time.Millisecond)
						return m.has(who.name, who.last())
					})
				}
			}
		}
	}
}

func sorted(list []string) string {
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(list, " ")
}

// gone waits until those of a node have left for all others, and these for them.
func (x *trial) gone(node string) {
	x.t.Helper()
	x.goneFor(node, x.members)
}

func (x *trial) goneFor(node string, list []*member) {
	x.t.Helper()
	for _, m := range list {
		clustertest.Eventually(x.t, "end of presences across the cut for "+m.name, func() bool {
			for key := range strings.FieldsSeq(m.here()) {
				if (key[:1] == node) != (m.node == node) {
					return false
				}
			}
			return true
		})
	}
}

// killed kills a node while all talk. Its members are gone, the others miss nothing of each other; then it is back, with others.
func (x *trial) killed(node string) {
	x.t.Helper()
	x.begin()
	time.Sleep(200 * time.Millisecond)
	x.Node(node).Kill()
	var others []*member
	for _, m := range x.members {
		if m.node != node {
			others = append(others, m)
		}
	}
	x.goneFor(node, others)
	x.end()
	x.members = others
	x.nothingLost("after the end of "+node, nil, func() { time.Sleep(time.Second) })
	x.Node(node).Start()
	x.arrive(x.Node(node))
	x.whole("return of " + node)
	x.nothingLost("back: "+node, nil, func() { time.Sleep(time.Second) })
}
