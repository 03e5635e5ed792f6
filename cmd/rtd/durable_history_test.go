package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/host/admin"
	"rtd/host/hosttest"
)

const historyKey = "a key of some length, for tests"

// teller broadcasts to a topic by the API, and notes what was acknowledged. What was not may have come or not.
type teller struct {
	topic string
	next  int
	acked map[int]bool
}

func (b *teller) run(l *ledgers) error {
	for {
		select {
		case <-l.stop:
			return nil
		default:
		}
		b.next++
		switch status, _, err := publish(l.at.Load().url, b.topic, "told", b.next); {
		case err != nil:
			time.Sleep(20 * time.Millisecond) // it was killed
		case status == http.StatusOK:
			b.acked[b.next] = true
		}
	}
}

// publish broadcasts by the API.
func publish(url, topic, event string, n int) (status int, answer string, err error) {
	body := fmt.Sprintf(`{"topic":%q,"event":%q,"payload":{"n":%d}}`, topic, event, n)
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "ws://"), "/")
	r, err := http.NewRequest("POST", "http://"+host+"/api/broadcast", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+historyKey)
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	return a.StatusCode, string(text), err
}

// Without a bus clients join topics with durable history, and nobody broadcasts there; other topics are as ever. When the bus is back all goes on.
func TestDurableHistoryWithoutBus(t *testing.T) {
	t.Parallel()
	command := server(t, "[plugin.echo]\nhistory_durable = [\"echo:kept\"]\n[bus]\ndir = \"bus\"\n[api]\nkeys = [\""+historyKey+"\"]\n")
	inTheWay := filepath.Join(command.Dir, "bus")
	write(t, inTheWay, nil) // a file, and no folder
	p := &process{cmd: command, done: make(chan struct{})}
	p.start(t)
	c := hosttest.Connect(t, p.url)
	c.MustJoin(t, "echo:kept", "{}")
	c.MustJoin(t, "echo:other", "{}")
	if status, answer, err := publish(p.url, "echo:kept", "told", 1); status != http.StatusServiceUnavailable || !strings.Contains(answer, "unavailable") || strings.Contains(answer, "deadline") {
		t.Errorf("%d %s %v, want 503 with the cause, as soon as it is known", status, answer, err)
	}
	if status, answer, err := publish(p.url, "echo:other", "told", 2); status != http.StatusOK {
		t.Errorf("%d %s %v", status, answer, err)
	}
	c.Expect(t, "echo:other", "told")
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	hosttest.Eventually(t, "the bus", func() bool {
		status, _, err := publish(p.url, "echo:kept", "told", 3)
		return err == nil && status == http.StatusOK
	})
	c.Expect(t, "echo:kept", "position") // before what is said
	if m := c.Expect(t, "echo:kept", "told"); string(m.Payload) != `{"n":3}` || !strings.HasSuffix(m.Ref, ":1") {
		t.Errorf("it got %v", m)
	}
}

// history reads all that is kept of a topic.
func (l *ledgers) history(t *testing.T, topic string) (all admin.History) {
	t.Helper()
	for after := uint64(0); ; {
		cmd := rtd(t, "history", topic, "--json", "--limit", "1000", "--after", fmt.Sprint(after), "--config", "rtd.toml", "--plugins", "guests")
		cmd.Dir = l.command.Dir
		output, code := run(cmd)
		var page admin.History
		if err := json.Unmarshal([]byte(output), &page); code != 0 || err != nil {
			t.Fatalf("history: %d, %s", code, output)
		}
		all.Position, all.Durable = page.Position, page.Durable
		all.Messages = append(all.Messages, page.Messages...)
		if len(page.Messages) == 0 {
			return all
		}
		after = page.Messages[len(page.Messages)-1].Offset
	}
}

// What was broadcast is in the history after the server was killed: by durable handlers if and only if their states have it, and by the API if it was
// acknowledged; in order, at the same positions.
func TestWhatWasBroadcastIsThere(t *testing.T) {
	t.Parallel()
	l := newLedgers(t, "history_durable = [\"ledger:*\"]\nhistory_messages = 1000000\nhistory_bytes = 100000000\n[api]\nkeys = [\""+historyKey+"\"]\n")
	const topics = 3
	var epochs [topics]string
	for n := range topics {
		c := hosttest.Connect(t, l.at.Load().url)
		c.MustJoin(t, fmt.Sprint("ledger:", n), "{}")
		epochs[n], _, _ = strings.Cut(l.history(t, fmt.Sprint("ledger:", n)).Position, ":")
		w := &writer{who: "first", topic: fmt.Sprint("ledger:", n)}
		if r, ok := w.ask(c, "add", 1); !ok || r.status != "ok" { // so that the epoch is stored
			t.Fatalf("%+v", r)
		}
		c.Close()
	}
	var writers []*writer
	var tellers []*teller
	var running sync.WaitGroup
	var failed hosttest.FirstError
	for n := range 2 * topics {
		w := &writer{who: fmt.Sprint("w", n), topic: fmt.Sprint("ledger:", n%topics)}
		b := &teller{topic: fmt.Sprint("ledger:", n%topics), next: n / topics * 1_000_000, acked: map[int]bool{}}
		writers, tellers = append(writers, w), append(tellers, b)
		running.Go(func() { failed.Set(w.run(l)) })
		running.Go(func() { failed.Set(b.run(l)) })
	}
	for range max(1, kills(t)/2) {
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		l.kill()
	}
	time.Sleep(300 * time.Millisecond)
	close(l.stop)
	running.Wait()
	if err := failed.Get(); err != nil {
		t.Fatal(err)
	}
	broadcasts, acked := 0, 0
	for n := range topics {
		topic := fmt.Sprint("ledger:", n)
		h := l.history(t, topic)
		if epoch, _, _ := strings.Cut(h.Position, ":"); epoch != epochs[n] || !h.Durable {
			t.Errorf("%s had the epoch %s, and is at %s, durable %v", topic, epochs[n], h.Position, h.Durable)
		}
		added, told := map[string]int{}, map[int]bool{}
		last := map[int]int{} // of each teller
		for i, m := range h.Messages {
			if m.Offset != uint64(i+1) {
				t.Fatalf("%s has offset %d in the place of %d", topic, m.Offset, i+1)
			}
			var said struct {
				Who string
				N   int
			}
			if err := json.Unmarshal(m.Payload, &said); err != nil {
				t.Fatal(err)
			}
			switch m.Event {
			case "added":
				if added[said.Who]++; said.N != added[said.Who] {
					t.Errorf("%s: entry %d of %s comes in the place of %d", topic, said.N, said.Who, added[said.Who])
				}
			case "told":
				if by := said.N / 1_000_000; told[said.N] || said.N <= last[by] {
					t.Errorf("%s: %d was told twice, or too late", topic, said.N)
				} else {
					told[said.N], last[by] = true, said.N
				}
			}
			broadcasts++
		}
		c := hosttest.Connect(t, l.at.Load().url)
		c.MustJoin(t, topic, "{}")
		for _, w := range writers {
			if w.topic != topic {
				continue
			}
			if r, ok := w.ask(c, "last", 0); !ok || r.N != added[w.who] {
				t.Errorf("%s: the state has %d entries of %s, and %d were broadcast", topic, r.N, w.who, added[w.who])
			}
		}
		c.Close()
		for _, b := range tellers {
			acked += len(b.acked)
			for n := range b.acked {
				if b.topic == topic && !told[n] {
					t.Errorf("%s: %d was acknowledged, and is not there", topic, n)
				}
			}
		}
	}
	if acked == 0 {
		t.Error("nothing was acknowledged by the API")
	}
	t.Logf("%d broadcasts", broadcasts)
}
