package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rtd/host/admin"
	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// fickle is the guest of that name as it is in one mode, in as many versions as one likes.
func fickle(t *testing.T, mode string, n int) []byte {
	t.Helper()
	wasm := sandboxtest.BuildGo(t, "rtd/host/testdata/fickle")
	if !bytes.Contains(wasm, []byte("fickle:good")) {
		t.Fatal("fickle has no mode to replace")
	}
	wasm = bytes.ReplaceAll(wasm, []byte("fickle:good"), []byte("fickle:"+mode))
	return append(wasm, 0, 3, 2, 'v', byte('a'+n))
}

// deploysFile puts a module where p runs, and returns the name that rtd deploy takes.
func (p *process) file(t *testing.T, wasm []byte) string {
	t.Helper()
	write(t, filepath.Join(p.cmd.Dir, "fickle.wasm"), wasm)
	return "fickle.wasm"
}

// versions lists a plugin's.
func (p *process) versions(t *testing.T, name string) (list []admin.Version) {
	t.Helper()
	output := p.wants(t, "", "plugins", name, "--json")
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		t.Fatalf("%v:\n%s", err, output)
	}
	return list
}

// pester joins a topic again and again and pushes to it, until the test ends.
func (p *process) pester(t *testing.T, topic string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.pesterOnce(topic)
			time.Sleep(10 * time.Millisecond) // others need the processor, too
		}
	}()
}

func (p *process) pesterOnce(topic string) {
	c, err := hosttest.Dial(p.url, nil)
	if err != nil {
		return // it does not run any more
	}
	defer c.Close()
	for _, event := range []string{"phx_join", "push", "push"} {
		if _, err := c.Call(topic, event, "{}"); err != nil {
			return
		}
	}
}

// A version that crashes, wherever it does, is rolled back while its clients come and
// others compile; who deployed it and waits is told; and neither a rollback nor a
// restart goes to it.
func TestBadVersionIsTakenBack(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"join", "push", "tree"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			p := serve(t, "[plugin.fickle]\nwatch = \"10m\"\nmax_restarts = 2\n")
			good := p.wants(t, `fickle: version \w{12} runs, after`, "deploy", p.file(t, fickle(t, "good", 1)), "--wait")
			good = regexp.MustCompile(`version (\w{12})`).FindStringSubmatch(good)[1]
			for n := range 4 {
				p.pester(t, fmt.Sprint("fickle:", n))
			}
			output, code := p.asks(t, "deploy", p.file(t, fickle(t, mode, 2)), "--wait")
			bad := regexp.MustCompile(`version (\w{12}) runs, .*; watched for 10m0s\n`).FindStringSubmatch(output)
			if code != 1 || bad == nil || !strings.Contains(output, "it was rolled back (crashes); version "+good+" runs again") {
				t.Fatalf("rtd deploy --wait: exit code %d:\n%s", code, output)
			}
			check := func(p *process, when string) {
				t.Helper()
				p.wants(t, `fickle +running +`+good, "plugins")
				for _, v := range p.versions(t, "fickle") {
					if (v.Withdrawn != "") != (v.Version == bad[1]) {
						t.Errorf("%s: version %s is withdrawn: %q", when, v.Version, v.Withdrawn)
					}
				}
				p.refuses(t, `no version before it is kept`, "rollback", "fickle")
				p.wants(t, `fickle +running +`+good, "plugins")
			}
			check(p, "then")

			// The file in the folder is the bad one.
			p.signal(t)
			p.wait(t)
			p = p.again(t)
			check(p, "after a restart")
			p.kill(t)
			p = p.again(t)
			check(p, "after a kill")
		})
	}
}

// What becomes of a version is said as it is, and is the exit code.
func TestDeployWait(t *testing.T) {
	t.Parallel()
	p := serve(t, "[plugin.fickle]\nwatch = \"100ms\"\n")
	p.wants(t, `(?s)runs, after.*\nfickle: it is not watched: there is no version before it\n`, "deploy", p.file(t, fickle(t, "good", 1)), "--wait")
	p.wants(t, `(?s)watched for 100ms\n.*fickle: it is trusted\n`, "deploy", p.file(t, fickle(t, "good", 2)), "--wait")
	p.wants(t, `(?s)runs already\nfickle: it is trusted\n`, "deploy", "fickle.wasm", "--wait")

	p = serve(t, "[plugin.fickle]\nwatch = \"1h\"\n")
	p.wants(t, `runs, after`, "deploy", p.file(t, fickle(t, "good", 1)))
	first := p.in(t, "deploy", p.file(t, fickle(t, "good", 2)), "--wait", "--config", "rtd.toml", "--plugins", "guests")
	var said bytes.Buffer
	first.Stdout, first.Stderr = &said, &said
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	second := fickle(t, "good", 2)
	for end := time.Now().Add(hosttest.Patience); ; time.Sleep(10 * time.Millisecond) {
		if list := p.versions(t, "fickle"); len(list) == 2 && list[0].Size == int64(len(second)) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the second version is not kept")
		}
	}
	p.wants(t, `runs, after`, "deploy", p.file(t, fickle(t, "good", 3)))
	if err := first.Wait(); err == nil || !strings.Contains(said.String(), "has taken its place before it was known to be good") {
		t.Errorf("%v:\n%s", err, &said)
	}
}

// again starts the server once more, where it was.
func (p *process) again(t *testing.T) *process {
	t.Helper()
	q := &process{cmd: rtd(t, p.cmd.Args[1:]...), done: make(chan struct{})}
	q.cmd.Dir = p.cmd.Dir
	q.start(t)
	return q
}

// kill ends it at once.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Kill); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
}

// A state that the new version does not take over is said before, by a dry run, and after.
func TestDryRunAndLosses(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	p.wants(t, `fickle: version \w{12} can be deployed\n$`, "deploy", p.file(t, fickle(t, "good", 1)), "--dry-run")
	p.wants(t, `runs, after \S+\n$`, "deploy", "fickle.wasm")
	c := p.join(t, "fickle:a", "{}")
	handled := func(want string) {
		t.Helper()
		c.WantReply(t, "fickle:a", "push", "{}", `ok {"handled":`+want)
	}
	handled("1")
	p.wants(t, `can be deployed\nfickle: of its processes 2 would be moved with their state, 0 anew, 0 stayed\n$`,
		"deploy", p.file(t, fickle(t, "good", 2)), "--dry-run")
	handled("2")
	p.wants(t, `runs, after \S+\nfickle: of its processes 2 moved with their state, 0 anew, 0 stayed\n$`, "deploy", "fickle.wasm")
	handled("3")
	for _, mode := range []string{"shut", "trap"} {
		output, code := p.asks(t, "deploy", p.file(t, fickle(t, mode, 3)), "--dry-run")
		if code != 1 || !regexp.MustCompile(`1 would be moved with their state, 1 anew, 0 stayed\n  fickle:a begins anew: import: .*\nrtd: fickle: states that would not be taken over: 1\n`).MatchString(output) {
			t.Errorf("dry run of %s: exit code %d:\n%s", mode, code, output)
		}
	}
	handled("4")
	p.wants(t, `fickle:a begins anew: import: answered "error" with .*this version reads no state of schema 1`, "deploy", p.file(t, fickle(t, "shut", 3)))
	handled("1")
	if !p.says(`level=WARN msg="state not taken over by the new version" plugin=fickle`) {
		t.Error("the log does not tell")
	}
	p.wants(t, `runs again\nfickle: of its processes 2 moved with their state`, "rollback", "fickle")
	p.refuses(t, `deploy plugin|try plugin fickle: .*not a WebAssembly module`, "deploy", p.file(t, []byte("hello")), "--dry-run")
}
