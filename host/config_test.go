package host_test

import (
	"strings"
	"testing"
)

// reconfigure writes the config file and waits until it was taken over.
func (s *server) reconfigure(t testing.TB, text string) {
	t.Helper()
	s.log.forget()
	s.configure(t, text)
	s.log.wait(t, "config reloaded")
}

// Plugin tables take effect when the file is saved; nobody who is joined notices.
func TestPluginTableReload(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"chat": chatGuest(t), "nasty": nastyGuest(t)}, config: chatToken + nastyTable})
	c := s.connect(t)
	const demo, secret = `{"token":"demo"}`, `{"token":"secret"}`
	c.mustJoin(t, "nasty:a", "{}")
	c.mustJoin(t, "room:a", demo)
	c.wantReply(t, "room:b", "phx_join", secret, `error {"reason":"unauthorized"}`)

	// Another token. The join that is replayed was with the old one, which the new
	// version refuses: who has lost the right to be there is out.
	changed := strings.Replace(chatToken, "demo", "secret", 1)
	s.reconfigure(t, changed+nastyTable)
	c.wantReply(t, "room:c", "phx_join", demo, `error {"reason":"unauthorized"}`)
	c.mustJoin(t, "room:c", secret)
	wantChannelEnd(t, c, "room:a", "phx_error")
	c.wantOpen(t)
	c.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`) // not restarted: its table is the same
	c.wantReply(t, "nasty:a", "count", "{}", `ok {"handled":2}`)

	// Another restart type.
	c.wantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	s.reconfigure(t, changed+nastyTable+"restart = \"temporary\"\n")
	_, err := c.send("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")

	// Other topics. Channels under the old ones live on.
	c.mustJoin(t, "nasty:b", "{}")
	s.reconfigure(t, changed+nastyTable+"topics = [\"pit:*\"]\n")
	c.mustJoin(t, "pit:a", "{}")
	c.wantReply(t, "nasty:c", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	c.wantReply(t, "nasty:b", "count", "{}", "ok")

	// Topics of another plugin are refused, and all stays.
	s.log.forget()
	s.configure(t, changed+nastyTable+"topics = [\"room:*\"]\n")
	cause := s.log.wait(t, "plugin not reconfigured").text("cause")
	if !strings.Contains(cause, "chat") || !strings.Contains(cause, "nasty") || !strings.Contains(cause, "room:*") {
		t.Errorf("the log says %q", cause)
	}
	c.mustJoin(t, "pit:b", "{}")
	c.wantReply(t, "nasty:b", "count", "{}", "ok")
}

// What needs a restart is named, and a broken file changes nothing.
func TestOtherKeysAndBrokenFiles(t *testing.T) {
	s := start(t, setup{plugins: map[string][]byte{"chat": chatGuest(t)}, config: chatToken})
	c := s.connect(t)
	c.mustJoin(t, "room:a", `{"token":"demo"}`)

	s.log.forget()
	s.configure(t, "[server]\nmax_frame = 2048\n[log]\nlevel = \"warn\"\n"+chatToken)
	if keys := s.log.wait(t, "needs restart").text("keys"); keys != "[server.max_frame log.level]" {
		t.Errorf("keys that need a restart: %s", keys)
	}
	c.wantReply(t, "room:a", "echo", `"`+strings.Repeat("x", 4000)+`"`, "ok") // still the old size

	s.log.forget()
	s.configure(t, "[server]\n"+chatToken+"\n[plugin.chat]\nrestart = \"allways\"\nmemmory = 1\n")
	cause := s.log.wait(t, "config not reloaded, the old one stays").text("cause")
	for _, want := range []string{s.file + ":6", "allways", "transient", s.file + ":7", "memmory", "did you mean memory?"} {
		if !strings.Contains(cause, want) {
			t.Errorf("the log says %q, want %q in it", cause, want)
		}
	}
	s.log.forget()
	s.configure(t, "[server]\nmax_frame =\n")
	if cause := s.log.wait(t, "config not reloaded, the old one stays").text("cause"); !strings.Contains(cause, s.file+":2") {
		t.Errorf("the log says %q, want file and line", cause)
	}
	s.connect(t).mustJoin(t, "room:b", `{"token":"demo"}`)
	c.wantReply(t, "room:a", "echo", `{"n":1}`, `ok {"n":1}`)
	if c.has("phx_error") || c.has("phx_close") {
		t.Error("the client was told of something")
	}
}
