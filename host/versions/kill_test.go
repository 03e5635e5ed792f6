package versions_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/host/versions"
)

// victimDir makes a run of these tests one that writes versions into that folder until
// it is killed, and says what is done.
const victimDir = "RTD_TEST_VERSIONS_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		write(dir)
	}
	os.Exit(m.Run())
}

func write(dir string) {
	s := versions.Open(dir, versions.Options{Keep: 4})
	for n := 0; ; n++ {
		content := fmt.Sprint(os.Getpid(), " ", n)
		v, err := s.Put("chat", []byte(strings.Repeat(content, 10_000)), content, time.Now())
		if err != nil {
			panic(err)
		}
		fmt.Println("put", v.Hash)
		if n%2 == 1 {
			continue
		}
		if err := s.Withdraw("chat", v.Hash, "crashes"); err != nil {
			panic(err)
		}
		fmt.Println("withdrawn", v.Hash)
	}
}

// TestKill kills a process at any moment, again and again. What it had said before is so
// afterwards, everything loads, and nothing is damaged or left over.
func TestKill(t *testing.T) {
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	dir := t.TempDir()
	for range rounds {
		said := killed(t, dir, rand.IntN(20))
		var log bytes.Buffer
		s := versions.Open(dir, versions.Options{Keep: 4, Log: slog.New(slog.NewTextHandler(&log, nil))})
		all, err := s.List("chat")
		must(t, err)
		if log.Len() > 0 {
			t.Errorf("after a kill something is damaged: %s", &log)
		}
		states := map[string]string{}
		for _, v := range all {
			if _, err := s.Get("chat", v.Hash); err != nil {
				t.Errorf("after a kill: %v", err)
			}
			states[v.Hash] = "put"
			if v.Withdrawn != "" {
				states[v.Hash] = "withdrawn"
			}
		}
		// The last four are kept; one more may have been put without a word.
		for _, line := range said[max(0, len(said)-3):] {
			what, hash, _ := strings.Cut(line, " ")
			if got := states[hash]; got != what && got != "withdrawn" {
				t.Errorf("it said %q; after the kill the version is %q", line, got)
			}
		}
		v := put(t, s, "next", "ada")
		files, err := filepath.Glob(filepath.Join(dir, "chat", "*.wasm"))
		must(t, err)
		if all, err := s.List("chat"); err != nil || len(files) != len(all) || all[0].Hash != v.Hash {
			t.Errorf("%d modules of %d versions, %v", len(files), len(all), err)
		}
	}
}

// killed runs a victim until it has said something, and a little longer.
func killed(t *testing.T, dir string, lines int) (said []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	scanner := bufio.NewScanner(out)
	for len(said) <= lines && scanner.Scan() {
		said = append(said, scanner.Text())
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond) // somewhere in the next steps
	must(t, cmd.Process.Kill())
	for scanner.Scan() { // it has been said
		said = append(said, scanner.Text())
	}
	return said
}
