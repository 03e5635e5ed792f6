package host_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

// The boards of plugins/board and sdk/c/examples remember over a crash, and over a restart of the server.
func TestBoards(t *testing.T) {
	for language, wasm := range map[string][]byte{
		"go": sandboxtest.BuildGo(t, "rtd/plugins/board"),
		"c":  fixture(t, "../sdk/suite/testdata/board-c.wasm"),
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			const topic = "board:1"
			setup := hosttest.Setup{Plugins: map[string][]byte{"board": wasm}}
			s := hosttest.Start(t, setup)
			ada := s.Connect(t)
			ada.MustJoin(t, topic, `{"user":"Ada"}`)
			for n := 1; n <= 25; n++ {
				ada.WantReply(t, topic, "new_message", fmt.Sprintf(`{"body":"hello %d"}`, n), "ok {}")
			}
			ada.WantReply(t, topic, "vote", `{"for":"tea"}`, `ok {"tea":1}`)
			ada.WantReply(t, topic, "crash", `{}`, `error {"reason":"crashed"}`)
			ada.WantReply(t, topic, "vote", `{}`, `ok {"tea":1}`)
			s.Configure(t, "[plugin.board]\nmailbox = 500\n") // to which states have to move
			s.Log.Wait(t, "plugin reconfigured")
			ada.WantReply(t, topic, "vote", `{}`, `ok {"tea":1}`)
			s.Stop(t)
			setup.Dir = filepath.Dir(s.Dir)
			s = hosttest.Start(t, setup)
			grace := s.Connect(t)
			grace.MustJoin(t, topic, `{"user":"Grace","seen":10}`)
			for n := 11; n <= 25; n++ {
				wantBody(t, grace.Expect(t, topic, "new_message"), fmt.Sprintf("hello %d", n))
			}
			grace.WantReply(t, topic, "vote", `{"for":"tea"}`, `ok {"tea":2}`)
			grace.WantReply(t, topic, "new_message", `{"body":"hello 26"}`, "ok {}")
			wantBody(t, grace.Expect(t, topic, "new_message"), "hello 26")
		})
	}
}

// wantBody checks what was said.
func wantBody(t *testing.T, m hosttest.Message, want string) {
	t.Helper()
	var said struct{ Body string }
	if err := json.Unmarshal(m.Payload, &said); err != nil || said.Body != want {
		t.Errorf("heard %s, want %s", m.Payload, want)
	}
}
