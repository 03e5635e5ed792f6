package clustertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rtd/sandbox/sandboxtest"
)

// Patience bounds every wait.
const Patience = time.Minute

// Setup says which cluster a test wants.
type Setup struct {
	Nodes   []string          // their names
	Binary  string            // rtd; default: built from this module, once
	Plugins map[string][]byte // by name, at all nodes
	Config  string            // TOML for all nodes, besides [server] listen, [plugins] and [cluster]
	Cluster string            // more lines of [cluster], such as down_after
	NATS    string            // URL of an existing one in place of the network between the nodes
	Hosts   bool              // node n is at 127.0.0.n, as Linux can; otherwise all are at 127.0.0.1
}

// Cluster is some rtd processes of one cluster.
type Cluster struct {
	*Net
	list []*Node
}

// Node is one of them. Its methods are for the test's own goroutine, but for [Node.Get], [Node.URL] and [Node.Says].
type Node struct {
	Name string
	Dir  string // of its config, rtd.toml, and its plugins

	t      testing.TB
	binary string
	args   []string
	cmd    *exec.Cmd
	ended  chan struct{} // closed at the end of its log

	mu  sync.Mutex
	url string
	log strings.Builder
}

// secret of all clusters of tests.
const secret = "the secret of clusters in tests, long enough"

// binary builds rtd once. It stays for other tests of the process, whose end the system's folder for temporary files outlives.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "rtd-clustertest-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "rtd"+exeSuffix)
	if output, err := exec.Command("go", "build", "-o", path, "rtd/cmd/rtd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build rtd: %w\n%s", err, output)
	}
	return path, nil
})

// Binary returns the path of rtd, built from this module.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	must(t, err)
	return path
}

// Clean removes what was built, at the end of a process of tests: call it in TestMain.
func Clean() {
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
}

// Start starts the nodes, one after the other, and waits until each is ready. They end with the test.
func Start(t testing.TB, o Setup) *Cluster {
	t.Helper()
	path := o.Binary
	if path == "" {
		path = Binary(t)
	}
	c := &Cluster{Net: NewNet(t, o.Nodes...)}
	for k, name := range o.Nodes {
		host := "127.0.0.1"
		if o.Hosts {
			host = fmt.Sprintf("127.0.0.%d", k+1)
		}
		at := free(t, host)
		c.Place(name, at)
		n := &Node{Name: name, Dir: t.TempDir(), t: t, binary: path}
		plugins := filepath.Join(n.Dir, "plugins")
		n.args = []string{"--config", filepath.Join(n.Dir, "rtd.toml"), "--plugins", plugins, "--listen", free(t, host)}
		must(t, os.Mkdir(plugins, 0o755))
		for name, wasm := range o.Plugins {
			must(t, os.WriteFile(filepath.Join(plugins, name+".wasm"), wasm, 0o644))
		}
		text := fmt.Sprintf("[cluster]\nname = \"tests\"\nnode = %q\nlisten = %q\nadvertise = %q\nsecret = %q\nseeds = [%s]\n%s\n[plugins]\ncache = %q\nbuild = false\n",
			name, at, Nowhere, secret, quoted(c.Seeds(name)), o.Cluster, sandboxtest.CacheDir())
		if o.NATS != "" {
			text += fmt.Sprintf("[bus]\nurl = %q\n", o.NATS)
		}
		must(t, os.WriteFile(filepath.Join(n.Dir, "rtd.toml"), []byte(text+o.Config), 0o600))
		c.list = append(c.list, n)
		t.Cleanup(n.clean)
		n.Start()
	}
	return c
}

// quoted writes a list for TOML.
func quoted(list []string) string {
	var all []string
	for _, text := range list {
		all = append(all, strconv.Quote(text))
	}
	return strings.Join(all, ", ")
}

// free returns an address that nobody listens at. It stays the node's over its restarts.
func free(t testing.TB, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Node returns a node by its name.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.list {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("there is no node %q", name)
	return nil
}

// All returns the nodes in order.
func (c *Cluster) All() []*Node { return c.list }

// Use has a node be another build of rtd from its next start on.
func (n *Node) Use(binary string) { n.binary = binary }

// Start starts a node that has ended, or for the first time, and waits until it is ready.
func (n *Node) Start() {
	n.t.Helper()
	n.Launch()
	n.Ready()
}

// Launch is Start without the wait.
func (n *Node) Launch() {
	n.t.Helper()
	n.cmd = exec.Command(n.binary, n.args...)
	n.cmd.Dir = n.Dir
	stderr, err := n.cmd.StderrPipe()
	must(n.t, err)
	must(n.t, n.cmd.Start())
	n.ended = make(chan struct{})
	n.mu.Lock()
	n.url = ""
	n.mu.Unlock()
	go n.read(stderr, n.ended)
}

func (n *Node) read(from io.Reader, ended chan struct{}) {
	defer close(ended)
	for lines := bufio.NewScanner(from); lines.Scan(); {
		line := lines.Text()
		_, url, ready := strings.Cut(line, "msg=ready url=")
		n.mu.Lock()
		n.log.WriteString(line + "\n")
		if ready {
			n.url = strings.TrimSuffix(strings.Fields(url)[0], "/")
		}
		n.mu.Unlock()
	}
}

// Ready waits until a node is.
func (n *Node) Ready() {
	n.t.Helper()
	Eventually(n.t, "ready node "+n.Name, func() bool {
		select {
		case <-n.ended:
			n.t.Fatalf("node %s has ended", n.Name)
		default:
		}
		status, _, err := n.Get("/readyz")
		return err == nil && status == http.StatusOK
	})
}

// URL returns where clients reach a node, without a slash at its end.
func (n *Node) URL() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}

// Socket returns the URL of a node for clients of Phoenix.
func (n *Node) Socket() string {
	return "ws" + strings.TrimPrefix(n.URL(), "http") + "/socket/websocket?vsn=2.0.0"
}

// web leaves no connections behind.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Get asks a node for a page.
func (n *Node) Get(path string) (status int, text string, err error) {
	url := n.URL()
	if url == "" {
		return 0, "", errors.New("it is not ready")
	}
	r, err := web.Get(url + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

// Says reports whether the log of a node has a text, of all its processes.
func (n *Node) Says(text string) bool { return strings.Contains(n.Log(), text) }

// Log returns the log of a node, of all its processes.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// Command runs rtd with some arguments, such as "nodes", for the server that the node is.
func (n *Node) Command(args ...string) (output string, code int) {
	cmd := exec.Command(n.binary, append(args, n.args[:4]...)...)
	cmd.Dir = n.Dir
	text, _ := cmd.CombinedOutput() // the code says it all
	return string(text), cmd.ProcessState.ExitCode()
}

// Kill ends a node as a power cut does, but for what the system has taken to be written.
func (n *Node) Kill() {
	n.t.Helper()
	must(n.t, n.cmd.Process.Kill())
	n.wait()
}

// End ends a node as an operator does, and returns its exit code.
func (n *Node) End() int {
	n.t.Helper()
	must(n.t, n.cmd.Process.Signal(syscall.SIGTERM))
	n.wait()
	return n.cmd.ProcessState.ExitCode()
}

func (n *Node) wait() {
	<-n.ended
	_ = n.cmd.Wait() // its error is in the state
}

// Stop has a node stand still, until Cont. Its connections stay.
func (n *Node) Stop() {
	n.t.Helper()
	must(n.t, stop(n.cmd.Process))
}

// Cont has it go on.
func (n *Node) Cont() {
	n.t.Helper()
	must(n.t, cont(n.cmd.Process))
}

func (n *Node) clean() {
	if n.cmd == nil || n.cmd.Process == nil {
		return // it has never begun
	}
	_ = n.cmd.Process.Kill() // if it runs at all
	n.wait()
	if n.t.Failed() {
		n.t.Logf("the log of %s:\n%s", n.Name, n.Log())
	}
}

// Eventually waits until a condition holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, Patience)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
