package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// compilers are the children of a process that compile, by their pids. Go has another child for a moment, to learn what the
// system can do.
func compilers(t *testing.T, pid int) (pids []int) {
	t.Helper()
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, _ := os.ReadFile(file) // of a thread that is gone: none
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child)); err == nil && strings.HasSuffix(string(line), "rtd:helper\x00") {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// isGone says whether a process has ended, and was waited for if it was this one's.
func isGone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(text), ") Z ")
}

// compiling is a server to which a module was given that it compiles for as long as it may.
func compiling(t *testing.T) (p *process, child int) {
	t.Helper()
	p = serve(t, "[plugin.other]\ntopics = [\"other:*\"]\n")
	write(t, filepath.Join(p.cmd.Dir, "guests", "slow.wasm"), sandboxtest.Slow())
	hosttest.Eventually(t, "a compiler", func() bool { return len(compilers(t, p.cmd.Process.Pid)) == 1 })
	return p, compilers(t, p.cmd.Process.Pid)[0]
}

// A module that takes minutes to compile stops neither clients nor other deploys, and not the end, which
// is no fault of it.
func TestSlowModule(t *testing.T) {
	t.Parallel()
	p, child := compiling(t)
	p.join(t, "echo:a", "{}")
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", child)); err != nil || strings.Contains(string(text), "PATH=") {
		t.Errorf("the compiler has an environment: %q, %v", text, err)
	}
	write(t, filepath.Join(p.cmd.Dir, "guests", "other.wasm"), echo(t))
	hosttest.Eventually(t, "the other plugin", func() bool { return p.says(`msg="plugin deployed" plugin=other`) })
	if isGone(child) {
		t.Error("the compiler has ended")
	}
	p.signal(t)
	if state := p.wait(t); state.ExitCode() != 0 || !p.says("msg=stopped") || p.says("still at work") {
		t.Errorf("%v", state)
	}
	if !p.says(`level=INFO msg="deploy given up, rtd stops" plugin=slow`) || p.says("level=ERROR") {
		t.Error("the log speaks of an error")
	}
	if !isGone(child) {
		t.Error("the compiler has survived")
	}
}

// However a server ends, its compiler does too.
func TestKilledServerLeavesNoCompiler(t *testing.T) {
	t.Parallel()
	p, child := compiling(t)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait(t)
	hosttest.Eventually(t, "the end of the compiler", func() bool { return isGone(child) })
}

// The compiler has no descriptor of the server's, and none that the server was started with.
func TestCompilerHasItsPipesAlone(t *testing.T) {
	t.Parallel()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := rtd(t, "check", "slow.wasm")
	write(t, filepath.Join(cmd.Dir, "slow.wasm"), sandboxtest.Slow())
	cmd.ExtraFiles = []*os.File{file, file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	hosttest.Eventually(t, "a compiler", func() bool { return len(compilers(t, cmd.Process.Pid)) == 1 })
	child := compilers(t, cmd.Process.Pid)[0]
	var foreign []string
	defer func() {
		if t.Failed() {
			t.Log(foreign)
		}
	}()
	hosttest.Eventually(t, "that it has its own alone", func() bool { // the system's loader has libraries open for a moment
		foreign = foreignFiles(t, child)
		return len(foreign) == 0
	})
}

// foreignFiles are what a compiler has open besides its pipes and what Go's runtime needs.
func foreignFiles(t *testing.T, pid int) (foreign []string) {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil || len(links) < 3 {
		t.Fatalf("%q: %v", links, err)
	}
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil {
			continue // it was one for a moment
		}
		n := filepath.Base(link)
		switch {
		case slices.Contains([]string{"0", "1", "2"}, n) && strings.HasPrefix(to, "pipe:"):
		case strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/sys/fs/cgroup/"), strings.HasPrefix(to, "/proc/"),
			strings.HasPrefix(to, "/usr/share/zoneinfo/"): // while it reads the local time zone
		default:
			foreign = append(foreign, n+" is "+to)
		}
	}
	return foreign
}

// Whatever is wrong with the folder of compiled code, plugins are served, and checked. Only one that was asked for
// has to be there.
func TestCacheIsAHelp(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	file := filepath.Join(home, "file")
	write(t, file, nil)
	explicit := fmt.Sprintf("[plugins]\ncache = %q\n", filepath.Join(file, "cache"))
	for _, c := range []struct {
		name, config string
		env          []string
		code         int
		says         string
	}{
		{"no HOME", "", nil, 0, "no cache folder"},
		{"a file as HOME", "", []string{"HOME=" + file}, 0, "no cache folder"},
		{"a relative HOME", "", []string{"HOME=somewhere"}, 0, "no cache folder"},
		{"a HOME that is not there", "", []string{"HOME=" + filepath.Join(home, "not", "there")}, 0, ""},
		{"a relative XDG_CACHE_HOME", "", []string{"HOME=" + home, "XDG_CACHE_HOME=here"}, 0, "no cache folder"},
		{"a file as XDG_CACHE_HOME", "", []string{"XDG_CACHE_HOME=" + file}, 0, "no cache folder"},
		{"a folder that cannot be made", explicit, []string{"HOME=" + home}, 1, "cache in [plugins]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := rtd(t, "check", "echo.wasm", "--config", "config.toml")
			write(t, filepath.Join(cmd.Dir, "echo.wasm"), echo(t))
			write(t, filepath.Join(cmd.Dir, "config.toml"), []byte(c.config))
			cmd.Env = append([]string{}, c.env...)
			output, code := run(cmd)
			if code != c.code || !strings.Contains(output, c.says) || c.says == "" && strings.Contains(output, "WARN") {
				t.Errorf("exit code %d:\n%s", code, output)
			}
			if strings.Contains(output, "build without threads") {
				t.Errorf("a hint that leads nowhere:\n%s", output)
			}
			for _, name := range []string{"somewhere", "here"} {
				if _, err := os.Stat(filepath.Join(cmd.Dir, name)); err == nil {
					t.Errorf("it has made %s", name)
				}
			}
		})
	}
}
