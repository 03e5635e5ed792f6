package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rtd/host/admin"
	"rtd/host/hosttest"
)

// in returns a command that runs where a server does.
func (p *process) in(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := rtd(t, args...)
	cmd.Dir = p.cmd.Dir
	return cmd
}

// asks runs a command that finds the server by its config.
func (p *process) asks(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	return run(p.in(t, append(args, "--config", "rtd.toml", "--plugins", "guests")...))
}

// wants is asks for a command that succeeds and says what matches.
func (p *process) wants(t *testing.T, want string, args ...string) (output string) {
	t.Helper()
	output, code := p.asks(t, args...)
	if code != 0 || !regexp.MustCompile(want).MatchString(output) {
		t.Fatalf("rtd %s: exit code %d, want 0 and %s:\n%s", strings.Join(args, " "), code, want, output)
	}
	return output
}

// refuses is asks for a command that fails with one line that matches.
func (p *process) refuses(t *testing.T, want string, args ...string) {
	t.Helper()
	output, code := p.asks(t, args...)
	if code != 1 || strings.Count(output, "\n") != 1 || !regexp.MustCompile(want).MatchString(output) {
		t.Errorf("rtd %s: exit code %d, want 1 and one line with %s:\n%s", strings.Join(args, " "), code, want, output)
	}
}

// module returns the echo guest in as many versions as one likes: what differs is a
// section that nobody reads.
func module(t *testing.T, version int) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../../sandbox/testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return append(wasm, 0, 2, 1, byte('a'+version))
}

func TestDeployAndRollback(t *testing.T) {
	t.Parallel()
	p := serve(t, withNasty)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	c := p.join(t, "echo:a", "{}")
	write(t, filepath.Join(p.cmd.Dir, "echo.wasm"), module(t, 1))
	first := regexp.MustCompile(`echo +running +(\w{12}) +[-\d]+ [:\d]+ +folder +1 +0 +0 +echo:\*`).FindStringSubmatch(p.wants(t, "echo", "plugins"))
	if first == nil {
		t.Fatal("rtd plugins does not list echo as the folder's")
	}

	second := regexp.MustCompile(`version (\w{12}) runs, after`).FindStringSubmatch(p.wants(t, "echo: version", "deploy", "echo.wasm"))
	if second == nil || second[1] == first[1] {
		t.Fatalf("versions %s and %s", first, second)
	}
	p.wants(t, "echo: version "+second[1]+" runs already", "deploy", "echo.wasm")
	p.wants(t, `echo +running +`+second[1]+` .* `+me.Username+` `, "plugins")
	if kept, err := os.ReadFile(filepath.Join(p.cmd.Dir, "guests", "echo.wasm")); err != nil || string(kept) != string(module(t, 1)) {
		t.Errorf("the plugin folder has not the module that was deployed: %d bytes, %v", len(kept), err)
	}
	c.WantReply(t, "echo:a", "x", "{}", "ok")

	versions := p.wants(t, second[1]+` .* `+me.Username, "plugins", "echo")
	if !regexp.MustCompile(`(?s)` + second[1] + `.*` + first[1]).MatchString(versions) {
		t.Errorf("the versions are\n%s", versions)
	}
	p.wants(t, "echo: version "+first[1]+" runs again", "rollback", "echo")
	p.wants(t, "echo +running +"+first[1], "plugins")
	p.wants(t, second[1]+` .*rolled back|`+second[1]+` .*`+me.Username, "plugins", "echo")
	p.wants(t, "echo: version "+second[1]+" runs again", "rollback", "echo", "--to", second[1][:8])
	p.wants(t, `INFO  plugin deployed  plugin=echo.*version=`+second[1], "logs", "--plugin", "echo")

	p.refuses(t, `roll back plugin nothing: there is no such plugin`, "rollback", "nothing")
	p.refuses(t, `roll back plugin echo: .*no such version is kept`, "rollback", "echo", "--to", "0000000")
	p.refuses(t, `no such plugin: "nothing"; rtd plugins lists them`, "plugins", "nothing")
	write(t, filepath.Join(p.cmd.Dir, "text.wasm"), []byte("hello"))
	p.refuses(t, `deploy plugin text: .*not a WebAssembly module`, "deploy", "text.wasm")
	p.refuses(t, `deploy plugin echo: .*not a WebAssembly module`, "deploy", "text.wasm", "--name", "echo")
	p.refuses(t, `deploy plugin: the name is "../x"; expected 1 to 64 of`, "deploy", "text.wasm", "--name", "../x")
	p.refuses(t, `no such file`, "deploy", "none.wasm")
	p.refuses(t, `is not a file of at most`, "deploy", "guests")
	write(t, filepath.Join(p.cmd.Dir, "other.wasm"), module(t, 2))
	p.refuses(t, `deploy plugin other: .*"echo:\*"`, "deploy", "other.wasm")
	write(t, filepath.Join(p.cmd.Dir, "guests", "nasty.wasm"), []byte("hello"))
	write(t, filepath.Join(p.cmd.Dir, "guests", "third.wasm"), module(t, 2))
	for end := time.Now().Add(hosttest.Patience); ; time.Sleep(20 * time.Millisecond) {
		got := p.wants(t, "nasty +running", "plugins")
		if regexp.MustCompile(`(?s)third +refused +- .*\nnasty: its file is not deployed: .*not a WebAssembly.*\nthird: .*"echo:\*"`).MatchString(got) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("what was refused is not among the plugins:\n%s", got)
		}
	}
	if err := os.Remove(filepath.Join(p.cmd.Dir, "guests", "third.wasm")); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(p.cmd.Dir, "guests")); len(entries) != 3 {
		t.Errorf("the plugin folder has %v, want .rtd, echo.wasm and nasty.wasm", entries)
	}
}

func TestPs(t *testing.T) {
	t.Parallel()
	p := serve(t, withNasty)
	c := p.join(t, "nasty:a", "{}")
	p.join(t, "nasty:b\u009b2J", "{}")
	c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	got := p.wants(t, "nasty", "ps", "nasty")
	tree := regexp.MustCompile(`PROCESS +KIND +PID +STATE +MAILBOX +RESTARTS +MEMORY +REDUCTIONS
nasty +plugin +#[0-9a-v]+ +waiting +0 +0 +- +-
└─ root +supervisor +#[0-9a-v]+ +waiting +0 +0 +- +-
   └─ channels +dynamic +#[0-9a-v]+ +waiting +0 +0 +- +-
      ├─ nasty:a +channel +#[0-9a-v]+ +waiting +0 +1 +[\d.]+[KM]? +[\d.]+[KM]?
      └─ "nasty:b\\u009b2J" +channel +#[0-9a-v]+ +waiting +0 +0 +[\d.]+[KM]? +[\d.]+[KM]?
`)
	if !tree.MatchString(got) {
		t.Errorf("the tree is\n%s", got)
	}
	if all := p.wants(t, "echo", "ps"); !strings.Contains(all, "nasty:a") {
		t.Errorf("all trees are\n%s", all)
	}
	var trees []admin.Process
	if err := json.Unmarshal([]byte(p.wants(t, "{", "ps", "nasty", "--json")), &trees); err != nil || len(trees) != 1 {
		t.Fatalf("%d trees, %v", len(trees), err)
	}
	if pid := trees[0].PID; !regexp.MustCompile(`^#[0-9a-v]+\.[0-9a-v]{7}$`).MatchString(pid) {
		t.Errorf("as JSON the pid is %s", pid)
	}
	channels := trees[0].Children[0].Children[0].Children
	if len(channels) != 2 || channels[0].Name != "nasty:a" || channels[0].Restarts != 1 {
		t.Errorf("channels %+v", channels)
	}
	p.wants(t, `nasty +running .* 2 +1 +1 +nasty:\*`, "plugins")
	var plugins []admin.Plugin
	if err := json.Unmarshal([]byte(p.wants(t, "{", "plugins", "--json")), &plugins); err != nil || len(plugins) != 2 || plugins[1].Crashes != 1 {
		t.Errorf("plugins %+v, %v", plugins, err)
	}
	p.refuses(t, `no such plugin: "nothing"; rtd plugins lists them`, "ps", "nothing")
	if output, code := run(p.in(t, "__complete", "ps", "--config", "rtd.toml", "--plugins", "guests", "")); code != 0 || !strings.HasPrefix(output, "echo\nnasty\n") {
		t.Errorf("a shell is offered, with exit code %d,\n%s", code, output)
	}
}

func TestLogsFollow(t *testing.T) {
	t.Parallel()
	p := serve(t, withNasty)
	c := p.join(t, "nasty:a", "{}")
	follow := p.in(t, "logs", "-f", "-n", "1", "--plugin", "nasty", "--config", "rtd.toml", "--plugins", "guests")
	stdout, err := follow.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	if !lines.Scan() || !strings.Contains(lines.Text(), "INFO  plugin deployed  plugin=nasty") {
		t.Fatalf("the first line is %q", lines.Text())
	}
	c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	if !lines.Scan() || !strings.Contains(lines.Text(), "ERROR channel crashed  plugin=nasty") {
		t.Errorf("the second line is %q", lines.Text())
	}
	if output := p.wants(t, "", "logs", "--level", "error", "--json"); strings.Count(output, "\n") != 1 || !json.Valid([]byte(output)) {
		t.Errorf("the errors are\n%s", output)
	}
	p.refuses(t, "want debug, info, warn or error", "logs", "--level", "loud")
	p.signal(t)
	p.wait(t)
	for lines.Scan() {
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("at the end of the server: %v", err)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	for _, bad := range []struct {
		config string
		args   []string
		want   string
	}{
		{"", []string{"plugins"}, `no server listens at plugins/.rtd/admin.sock; start rtd, or say --admin`},
		{"", []string{"ps", "--admin", "x.sock"}, `no server listens at x.sock`},
		{"[admin]\nsocket = \"run/a.sock\"\n", []string{"logs"}, `no server listens at run/a.sock`},
		{"[admin]\nsocket = \"\"\n", []string{"rollback", "x"}, `the config turns the admin socket off`},
		{"[admin]\nsockt = \"\"\n", []string{"plugins"}, `config.toml:2: admin.sockt: unknown key`},
		{"", []string{"plugins", "--config", "other.toml"}, `other.toml: no such file`},
		{"", []string{"plugins", "--admin", "http://127.0.0.1:1"}, `ask the server at http://127.0.0.1:1: .*refused`},
	} {
		cmd := rtd(t, bad.args...)
		if bad.config != "" {
			write(t, filepath.Join(cmd.Dir, "config.toml"), []byte(bad.config))
		}
		if output, code := run(cmd); code != 1 || !regexp.MustCompile(bad.want).MatchString(output) || strings.Count(output, "\n") != 1 {
			t.Errorf("%v: exit code %d, want 1 and one line with %s:\n%s", bad.args, code, bad.want, output)
		}
	}
}

// Two servers with one plugin folder: the second says that it has no socket, or does not
// start if it was told which.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	p := serve(t, "")
	other := p.in(t, "--config", "rtd.toml", "--plugins", "guests", "--listen", "127.0.0.1:0")
	stderr, err := other.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		if strings.Contains(lines.Text(), "no admin socket") {
			if !strings.Contains(lines.Text(), "another rtd listens there; set socket in [admin]") {
				t.Errorf("it says %s", lines.Text())
			}
			break
		}
	}
	other.Process.Kill()
	other.Wait()
	p.wants(t, "echo", "plugins") // of the first

	write(t, filepath.Join(p.cmd.Dir, "second.toml"), []byte("[admin]\nsocket = \"guests/.rtd/admin.sock\"\n"))
	output, code := run(p.in(t, "--config", "second.toml", "--plugins", "guests", "--listen", "127.0.0.1:0"))
	if code != 1 || !strings.Contains(output, "another rtd listens there; set socket in [admin] of config.toml to another path") {
		t.Errorf("exit code %d, want 1 and the reason:\n%s", code, output)
	}
}

// With a key one can administer a server from elsewhere.
func TestRemoteAdmin(t *testing.T) {
	t.Parallel()
	const key = "sixteen bytes and more"
	p := serve(t, fmt.Sprintf("[admin]\nsocket = \"here.sock\"\nlisten = \"127.0.0.1:0\"\nkeys = [%q]\n", key))
	var address []string
	for end := time.Now().Add(hosttest.Patience); address == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not say where")
		}
		p.mu.Lock()
		address = regexp.MustCompile(`msg=administered at=(127\S+)`).FindStringSubmatch(p.log.String())
		p.mu.Unlock()
	}
	url := "http://" + address[1]
	cmd := p.in(t, "plugins", "--admin", url)
	if output, code := run(cmd); code != 1 || !strings.Contains(output, "RTD_ADMIN_KEY") {
		t.Errorf("without a key: exit code %d:\n%s", code, output)
	}
	cmd = p.in(t, "plugins", "--admin", url)
	cmd.Env = append(os.Environ(), "RTD_ADMIN_KEY="+key)
	if output, code := run(cmd); code != 0 || !strings.Contains(output, "echo") {
		t.Errorf("with a key: exit code %d:\n%s", code, output)
	}
	write(t, filepath.Join(p.cmd.Dir, "key"), []byte(key+"\n"))
	if output, code := run(p.in(t, "plugins", "--admin", url, "--key-file", "key")); code != 0 || !strings.Contains(output, "echo") {
		t.Errorf("with a key in a file: exit code %d:\n%s", code, output)
	}
	if output, code := run(p.in(t, "plugins", "--admin", "here.sock")); code != 0 || !strings.Contains(output, "echo") {
		t.Errorf("by the socket: exit code %d:\n%s", code, output)
	}
}
