//go:build linux && long

package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rtd/host/clustertest"
	"rtd/sandbox/sandboxtest"
)

// host is a network namespace with a node in it: c0 leads to the other nodes, over a bridge, and w0 to the clients.
type host struct {
	name, space, dir string
	address, clients string // without ports
	log              *os.File
	process          *exec.Cmd
}

// long is a trial on hosts.
type long struct {
	*trial
	hosts  []*host
	random *rand.Rand
	counts map[string]int
}

const bridge = "rtdlong"

func ip(t testing.TB, line string, args ...any) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(fmt.Sprintf(line, args...))...).CombinedOutput(); err != nil {
		t.Fatalf("ip "+line+": %v %s", append(args, err, out)...)
	}
}

func number(t testing.TB, name string) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatalf("%s: %v; .ci/cluster/long sets it", name, err)
	}
	return n
}

func TestLong(t *testing.T) {
	minutes, seed, count := number(t, "RTD_LONG_MINUTES"), number(t, "RTD_LONG_SEED"), number(t, "RTD_LONG_NODES")
	x := &long{
		trial: &trial{t: t, pace: 50 * time.Millisecond}, random: rand.New(rand.NewPCG(uint64(seed), 1)), counts: map[string]int{},
	}
	ip(t, "link add %s type bridge", bridge)
	t.Cleanup(func() { ip(t, "link del %s", bridge) })
	ip(t, "link set %s up", bridge)
	chat := sandboxtest.BuildGo(t, "rtd/plugins/chat")
	for k := range count {
		x.hosts = append(x.hosts, x.host(k+1, count, chat))
	}
	for _, h := range x.hosts {
		x.start(h)
	}
	for _, h := range x.hosts {
		x.ready(h)
		for _, topic := range topics {
			x.members = append(x.members, enter(t, h.name, h.socket(), h.name+topic[len("room"):], topic))
		}
	}
	x.whole("start")
	for end := time.Now().Add(time.Duration(minutes) * time.Minute); time.Now().Before(end) && !t.Failed(); {
		x.event(time.Until(end))
	}
	for _, what := range slices.Sorted(func(yield func(string) bool) {
		for what := range x.counts {
			if !yield(what) {
				return
			}
		}
	}) {
		t.Logf("%7d %s", x.counts[what], what)
	}
}

// host makes the k-th host.
func (x *long) host(k, count int, chat []byte) *host {
	t := x.t
	h := &host{name: string(rune('a' + k - 1)), space: fmt.Sprint(bridge, k), dir: t.TempDir(), address: fmt.Sprint("10.77.0.", k), clients: fmt.Sprintf("10.77.%d.2", 100+k)}
	ip(t, "netns add %s", h.space)
	t.Cleanup(func() { ip(t, "netns del %s", h.space) })
	ip(t, "-n %s link set lo up", h.space)
	ip(t, "link add %sc%d type veth peer name c0 netns %s", bridge, k, h.space)
	t.Cleanup(func() { ip(t, "link del %sc%d", bridge, k) }) // connections that end slowly may keep the host alive for a while
	ip(t, "link set %sc%d master %s up", bridge, k, bridge)
	ip(t, "link add %sw%d type veth peer name w0 netns %s", bridge, k, h.space)
	t.Cleanup(func() { ip(t, "link del %sw%d", bridge, k) })
	ip(t, "addr add 10.77.%d.1/24 dev %sw%d", 100+k, bridge, k)
	ip(t, "link set %sw%d up", bridge, k)
	ip(t, "-n %s addr add %s/24 dev c0", h.space, h.address)
	ip(t, "-n %s addr add %s/24 dev w0", h.space, h.clients)
	ip(t, "-n %s link set c0 up", h.space)
	ip(t, "-n %s link set w0 up", h.space)

	var seeds []string
	for other := 1; other <= count; other++ {
		if other != k {
			seeds = append(seeds, fmt.Sprintf("\"10.77.0.%d:4400\"", other))
		}
	}
	text := fmt.Sprintf("[cluster]\nname = \"long\"\nnode = %q\nlisten = \"%s:4400\"\nsecret = \"the secret of clusters in tests, long enough\"\nseeds = [%s]\n"+
		"[plugins]\ncache = %q\nbuild = false\n[plugin.chat]\nhistory = [\"room:2\"]\nhistory_messages = 100000\nhistory_bytes = 67108864\n[plugin.chat.config]\ntoken = \"demo\"\n",
		h.name, h.address, strings.Join(seeds, ", "), sandboxtest.CacheDir())
	must(t, os.Mkdir(filepath.Join(h.dir, "plugins"), 0o755))
	must(t, os.WriteFile(filepath.Join(h.dir, "plugins", "chat.wasm"), chat, 0o644))
	must(t, os.WriteFile(filepath.Join(h.dir, "rtd.toml"), []byte(text), 0o600))
	log, err := os.Create(filepath.Join(h.dir, "log"))
	must(t, err)
	h.log = log
	t.Cleanup(func() {
		h.kill()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the end of the log of %s:\n%s", h.name, text[max(0, len(text)-4000):])
		}
	})
	return h
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *host) socket() string {
	return "ws://" + h.clients + ":4000/socket/websocket?vsn=2.0.0"
}

func (x *long) start(h *host) {
	x.t.Helper()
	// ip becomes rtd: the process is the node.
	h.process = exec.Command("ip", "netns", "exec", h.space, clustertest.Binary(x.t), "--config", "rtd.toml", "--plugins", "plugins", "--listen", h.clients+":4000")
	h.process.Dir, h.process.Stderr = h.dir, h.log
	must(x.t, h.process.Start())
}

func (x *long) ready(h *host) {
	x.t.Helper()
	clustertest.Eventually(x.t, "ready node "+h.name, func() bool {
		ctx, cancel := context.WithTimeout(x.t.Context(), 5*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.clients+":4000/readyz", bytes.NewReader(nil))
		must(x.t, err)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

func (h *host) kill() {
	if h.process != nil {
		_ = h.process.Process.Kill()
		_ = h.process.Wait()
		h.process = nil
	}
}

// cut has nothing come from one host to another: it sends its packets to an address of the link that nobody has.
func (x *long) cut(from, to *host) {
	ip(x.t, "-n %s neigh replace %s lladdr 02:00:00:00:ff:ff dev c0 nud permanent", from.space, to.address)
}

func (x *long) heal() {
	for _, from := range x.hosts {
		for _, to := range x.hosts {
			if from != to {
				_ = exec.Command("ip", "-n", from.space, "neigh", "del", to.address, "dev", "c0").Run() // if there is any
			}
		}
	}
}

// event has something befall the nodes, for no longer than is left, and checks what the members have heard.
func (x *long) event(left time.Duration) {
	order := x.random.Perm(len(x.hosts))
	one, other := x.hosts[order[0]], x.hosts[order[1]]
	brief := time.Duration(100+x.random.IntN(900)) * time.Millisecond
	lasting := 4*time.Second + time.Duration(x.random.IntN(8000))*time.Millisecond
	still := min(time.Minute, max(left, 5*time.Second))
	anyApart := func(a, b string) bool { return a != b }
	switch k := x.random.IntN(20); {
	case k < 2:
		x.befall("quiet", nil, nil, func() { time.Sleep(2 * time.Second) })
	case k < 5:
		x.befall("short cut of "+one.name, nil, nil, func() { x.part(one, true); time.Sleep(brief) })
	case k < 8:
		x.befall("long cut of "+one.name, apart(one.name), nil, func() { x.part(one, true); time.Sleep(lasting) })
	case k < 11:
		x.befall("one-way cut of "+one.name, apart(one.name), nil, func() { x.part(one, false); time.Sleep(lasting) })
	case k < 14:
		pair := func(a, b string) bool { return a == one.name && b == other.name || a == other.name && b == one.name }
		x.befall("cut between "+one.name+" and "+other.name, pair, nil, func() { x.cut(one, other); x.cut(other, one); time.Sleep(lasting) })
	case k < 17:
		x.befall("kill -9 of "+one.name, nil, []*host{one}, func() { one.kill(); time.Sleep(brief) })
	case k < 19:
		x.befall("kill -9 of all", anyApart, x.hosts, func() {
			for _, h := range x.hosts {
				h.kill()
			}
		})
	default:
		x.befall(fmt.Sprintf("%s stands still for %v", one.name, still.Round(time.Second)), apart(one.name), nil, func() {
			must(x.t, one.process.Process.Signal(syscall.SIGSTOP))
			defer func() { must(x.t, one.process.Process.Signal(syscall.SIGCONT)) }()
			time.Sleep(still)
		})
	}
}

// part cuts a host from all others, both ways, or only what comes to it.
func (x *long) part(h *host, both bool) {
	for _, other := range x.hosts {
		if other != h {
			x.cut(other, h)
			if both {
				x.cut(h, other)
			}
		}
	}
}

// befall has something happen while all talk. Nodes that were killed start again, and their members come back.
func (x *long) befall(what string, apart func(one, other string) bool, killed []*host, happen func()) {
	began := time.Now()
	marks := map[*member]mark{}
	for _, m := range x.members {
		marks[m] = x.mark(m)
	}
	x.begin()
	time.Sleep(200 * time.Millisecond)
	happen()
	x.heal()
	dead := ""
	for _, h := range killed {
		dead += h.name
		x.start(h)
	}
	for _, h := range killed {
		x.ready(h)
		for _, m := range x.at(h.name) {
			<-m.Ended()
			m.connect(x.t, h.socket())
			x.speak(m)
		}
	}
	time.Sleep(300 * time.Millisecond)
	x.end()
	x.whole(what)
	said, missed, told := 0, 0, 0
	for _, m := range x.members {
		said += m.last() - marks[m].said
		gaps, _ := m.told()
		gaps -= marks[m].gaps
		told += gaps
		for _, who := range x.members {
			if m.topic != who.topic {
				continue
			}
			missing := m.missing(who, marks[who].said, who.last())
			missed += missing
			expected := apart != nil && apart(m.node, who.node) || strings.Contains(dead, m.node) || strings.Contains(dead, who.node)
			// On a topic with history something may be missing if that is told. What was said on the side of a cut that does not count afterwards is lost.
			if missing > 0 && !expected && (gaps == 0 || m.topic != topics[1]) {
				x.t.Errorf("%s: %s misses %d of %d of %s, and was told of %d gaps", what, m.name, missing, who.last()-marks[who].said, who.name, gaps)
			}
			if !expected && m.departures(who.name) > marks[m].left[who.name] {
				x.t.Errorf("%s: %s has seen %s leave", what, m.name, who.name)
			}
		}
		m.mu.Lock()
		if len(m.doubles) > 0 {
			x.t.Errorf("%s: %s hears %q", what, m.name, m.doubles)
		}
		m.mu.Unlock()
	}
	x.counts["said"] += said
	x.counts["not heard by somebody who was apart, or away"] += missed
	x.counts["gaps that members were told of"] += told
	x.counts["events"]++
	x.t.Logf("%-32s %5.1f s, %5d said, %5d missed by somebody apart, %3d gaps told", what, time.Since(began).Seconds(), said, missed, told)
}
