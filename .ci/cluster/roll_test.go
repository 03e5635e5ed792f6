package cluster_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/clustertest"
	"rtd/sandbox/sandboxtest"
)

// before builds rtd as it was at the commit that is written in the file of that name: the version that this one has to work with.
func before(t *testing.T) (binary, commit string) {
	t.Helper()
	text, err := os.ReadFile("before")
	if err != nil {
		t.Fatal(err)
	}
	commit = strings.TrimSpace(string(text))
	dir := t.TempDir()
	tree, binary := filepath.Join(dir, "tree"), filepath.Join(dir, "rtd")
	if out, err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		t.Fatalf("commit %s of .ci/cluster/before is not in this clone: fetch it, with git fetch --unshallow if the clone is shallow: %v\n%s", commit, err, out)
	}
	if out, err := exec.Command("git", "worktree", "add", "--quiet", "--detach", tree, commit).CombinedOutput(); err != nil {
		t.Fatalf("check out %s: %v\n%s", commit, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("git", "worktree", "remove", "--force", tree).CombinedOutput(); err != nil {
			t.Errorf("remove the tree of %s: %v\n%s", commit, err, out)
		}
	})
	build := exec.Command("go", "build", "-o", binary, "./cmd/rtd")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build rtd as of %s: %v\n%s", commit, err, out)
	}
	return binary, commit
}

// TestRoll upgrades a cluster node after node, and takes one back, while all talk: those who stay connected notice nothing, and the others
// come back.
func TestRoll(t *testing.T) {
	old, commit := before(t)
	x := &trial{t: t, pace: 10 * time.Millisecond}
	x.Cluster = clustertest.Start(t, clustertest.Setup{
		Nodes: names, Binary: old, Plugins: map[string][]byte{"chat": sandboxtest.BuildGo(t, "rtd/plugins/chat")},
		Config: "[plugin.chat]\nhistory = [\"room:2\"]\nhistory_messages = 100000\nhistory_bytes = 67108864\n[plugin.chat.config]\ntoken = \"demo\"\n",
	})
	t.Logf("three nodes as of %.12s", commit)
	for _, n := range x.All() {
		x.arrive(n)
	}
	x.whole("start")
	for _, name := range names {
		x.replace(name, clustertest.Binary(t), "upgraded: "+name)
	}
	x.replace("b", old, "taken back: b")
}

// replace ends a node in good order, and starts another build under its name.
func (x *trial) replace(node, binary, what string) {
	x.t.Helper()
	began := time.Now()
	moved := x.at(node)
	marks := map[*member]mark{}
	for _, m := range x.members {
		marks[m] = x.mark(m)
	}
	x.begin()
	time.Sleep(300 * time.Millisecond)
	n := x.Node(node)
	if code := n.End(); code != 0 {
		x.t.Errorf("%s: exit code %d", what, code)
	}
	for _, m := range moved {
		<-m.Ended()
	}
	time.Sleep(300 * time.Millisecond)
	n.Use(binary)
	n.Start()
	for _, m := range moved {
		m.connect(x.t, n.Socket())
		x.speak(m)
	}
	time.Sleep(time.Second)
	x.end()
	x.whole(what)
	said, told := 0, 0
	for _, m := range x.members {
		said += m.last() - marks[m].said
		told += x.unannounced(what, m, marks, node)
	}
	x.t.Logf("%-28s %5.1f s, %5d said, %5d gaps told", what, time.Since(began).Seconds(), said, told)
}

// mark is how far a member was.
type mark struct {
	said, gaps, resumed int
	left                map[string]int
}

func (x *trial) mark(m *member) mark {
	k := mark{said: m.last(), left: map[string]int{}}
	k.gaps, k.resumed = m.told()
	for _, who := range x.members {
		k.left[who.name] = m.departures(who.name)
	}
	return k
}

// unannounced fails for what a member has not heard since the marks and was not told of, what it has heard twice, and whom it has seen leave who
// has not. One who was away hears nothing meanwhile, unless the topic has history. It returns how many gaps the member was told of.
func (x *trial) unannounced(what string, m *member, marks map[*member]mark, replaced string) (told int) {
	x.t.Helper()
	away := m.node == replaced
	gaps, resumed := m.told()
	told, resumed = gaps-marks[m].gaps, resumed-marks[m].resumed
	remembers := m.topic == topics[1]
	if away && remembers && told+resumed == 0 {
		x.t.Errorf("%s: %s has come back, and was not told whether it has all", what, m.name)
	}
	for _, who := range x.members {
		if m.topic != who.topic {
			continue
		}
		missing := m.missing(who, marks[who].said, who.last())
		if missing > 0 && told == 0 && (remembers || !away) {
			x.t.Errorf("%s: %s misses %d of %d of %s", what, m.name, missing, who.last()-marks[who].said, who.name)
		}
		if !away && who.node != replaced && m.departures(who.name) > marks[m].left[who.name] {
			x.t.Errorf("%s: %s has seen %s leave", what, m.name, who.name)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.doubles) > 0 {
		x.t.Errorf("%s: %s hears %q", what, m.name, m.doubles)
	}
	return told
}
