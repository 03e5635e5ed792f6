package rollout_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rtd/channels"
	"rtd/host/ask"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
	"rtd/supervisor"
)

// TestGuestsOfSDKsMigrate moves the plugin of sdk/suite, as each SDK has it, from one
// version to the next: clients and callers notice nothing, and counts go on.
func TestGuestsOfSDKsMigrate(t *testing.T) {
	for _, language := range []string{"c", "rust", "as", "go"} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			wasm := suiteGuest(t, language)
			w := newWorld(t)
			shelf := sandboxtest.Shelf(t.TempDir())
			w.set.Snapshots = func(string, string) sandbox.Snapshots { return shelf }
			must(t, w.set.Mount([]rollout.Mount{{Name: "socket", Connect: "suite"}}))
			w.deploy("base", nil, wantsExport)
			deploy := func(n int, config string, memory int64) {
				t.Helper()
				s := release.Settings{
					Intensity: supervisor.Intensity{Max: 3, Within: time.Second}, Mailbox: 100, Processes: 1000, References: 1000, Pending: 1 << 20,
				}
				s.Limits.Deadline, s.Limits.Memory, s.Config = patience, memory, []byte(config)
				s.Depends, s.Allows = []string{"base"}, []string{"connect"}
				must(t, w.set.Deploy(t.Context(), "suite", withVersion(wasm, n), s))
			}
			deploy(1, "", 0)
			var box frames
			c := w.endpoint.NewSocket(channels.SocketOptions{Codec: channels.V2, Out: &box})
			t.Cleanup(c.Close)
			send := func(ref int, topic, event, payload string) {
				t.Helper()
				must(t, c.Receive(fmt.Appendf(nil, `["1","%d",%q,%q,%s]`, ref, topic, event, payload), false))
			}
			wantReply := func(ref int, topic, response string) {
				t.Helper()
				want := fmt.Sprintf(`["1","%d",%q,"phx_reply",{"status":"ok","response":%s}]`, ref, topic, response)
				eventually(t, want, func() bool {
					return slices.ContainsFunc(box.all(), func(f string) bool { return strings.ReplaceAll(f, " ", "") == want })
				})
			}
			ask := func(name, question string) string {
				t.Helper()
				answer, err := ask.Call(t.Context(), w.set.Whereis("suite", name), []byte(question))
				must(t, err)
				return string(answer)
			}
			send(1, "suite:1", "phx_join", `{"user":"ada"}`)
			wantReply(1, "suite:1", "{}")
			send(2, "suite:1", "quiet", "{}")
			send(3, "suite:1", "count", "{}")
			wantReply(3, "suite:1", `{"count":2}`)
			left := w.set.Whereis("suite", "left")
			if got := ask("left", "count"); got != "1" {
				t.Fatalf("left counts %s", got)
			}

			deploy(2, "", 0)
			// The channel, six servers, the agent or the events; what has no state begins anew,
			// or stays if nobody would start it again.
			eventually(t, "moves", func() bool { return w.stats("suite").Moves.WithState >= 8 })
			send(4, "suite:1", "count", "{}")
			wantReply(4, "suite:1", `{"count":3}`)
			if got := ask("left", "count"); got != "2" {
				t.Errorf("left counts %s", got)
			}
			if w.set.Whereis("suite", "left") != left {
				t.Error("left has another process")
			}

			// Another config or limit of memory is another snapshot, to which the states move as to another version.
			deploy(2, `{"a":1}`, 0)
			eventually(t, "moves", func() bool { return w.stats("suite").Moves.WithState >= 16 })
			deploy(2, `{"a":1}`, 32<<20)
			eventually(t, "moves", func() bool { return w.stats("suite").Moves.WithState >= 24 })
			send(5, "suite:1", "count", "{}")
			wantReply(5, "suite:1", `{"count":4}`)
			if got := ask("left", "count"); got != "3" {
				t.Errorf("left counts %s", got)
			}
			if files, err := os.ReadDir(string(shelf)); err != nil || len(files) != 1+4 {
				t.Errorf("%d snapshots: %v", len(files), err)
			}
			if log := w.log.String(); strings.Contains(log, "snapshot") {
				t.Errorf("something is wrong with a snapshot: %s", log)
			}
			if log := w.log.String(); strings.Contains(log, "crashed") {
				t.Error("something crashed")
			}
		})
	}
}

func suiteGuest(t *testing.T, language string) []byte {
	t.Helper()
	if language == "go" {
		return sandboxtest.BuildGo(t, "rtd/sdk/suite/testdata/go")
	}
	wasm, err := os.ReadFile("../../sdk/suite/testdata/" + language + ".wasm")
	must(t, err)
	return wasm
}
