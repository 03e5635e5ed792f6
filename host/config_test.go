package host_test

import (
	"os"
	"strings"
	"testing"

	"rtd/host/hosttest"
)

// reconfigure writes the config file and waits until it was taken over.
func (s *server) reconfigure(t testing.TB, text string) {
	t.Helper()
	s.Log.Forget()
	s.Configure(t, text)
	s.Log.Wait(t, "config reloaded")
}

// Plugin tables take effect when the file is saved; nobody who is joined notices.
func TestPluginTableReload(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t), "nasty": nastyGuest(t)}, Config: chatToken + nastyTable})
	c := s.Connect(t)
	const demo, secret = `{"token":"demo"}`, `{"token":"secret"}`
	c.MustJoin(t, "nasty:a", "{}")
	c.MustJoin(t, "room:a", demo)
	c.WantReply(t, "room:b", "phx_join", secret, `error {"reason":"unauthorized"}`)

	// Another token. The join that is replayed was with the old one, which the new
	// version refuses: who has lost the right to be there is out.
	changed := strings.Replace(chatToken, "demo", "secret", 1)
	s.reconfigure(t, changed+nastyTable)
	c.WantReply(t, "room:c", "phx_join", demo, `error {"reason":"unauthorized"}`)
	c.MustJoin(t, "room:c", secret)
	wantChannelEnd(t, c, "room:a", "phx_error")
	c.WantOpen(t)
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`) // not restarted: its table is the same
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":2}`)

	// Another restart type.
	c.WantReply(t, "nasty:a", "panic", "{}", `error {"reason":"crashed"}`)
	c.WantReply(t, "nasty:a", "count", "{}", `ok {"handled":1}`) // it is back, and so it moves
	s.reconfigure(t, changed+nastyTable+"restart = \"temporary\"\n")
	s.Log.Wait(t, "processes moved", "plugin", "nasty")
	_, err := c.Push("nasty:a", "panic", "{}")
	must(t, err)
	wantChannelEnd(t, c, "nasty:a", "phx_error")

	// Other topics. Channels under the old ones live on.
	c.MustJoin(t, "nasty:b", "{}")
	s.reconfigure(t, changed+nastyTable+"topics = [\"pit:*\"]\n")
	c.MustJoin(t, "pit:a", "{}")
	c.WantReply(t, "nasty:c", "phx_join", "{}", `error {"reason":"unmatched topic"}`)
	c.WantReply(t, "nasty:b", "count", "{}", "ok")

	// Topics of another plugin are refused, and all stays.
	s.Log.Forget()
	s.Configure(t, changed+nastyTable+"topics = [\"room:*\"]\n")
	cause := s.Log.Wait(t, "plugin not reconfigured").Text("cause")
	if !strings.Contains(cause, "chat") || !strings.Contains(cause, "nasty") || !strings.Contains(cause, "room:*") {
		t.Errorf("the log says %q", cause)
	}
	c.MustJoin(t, "pit:b", "{}")
	c.WantReply(t, "nasty:b", "count", "{}", "ok")
}

// What needs a restart is named, and a broken file changes nothing.
func TestOtherKeysAndBrokenFiles(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken})
	c := s.Connect(t)
	c.MustJoin(t, "room:a", `{"token":"demo"}`)

	s.Log.Forget()
	s.Configure(t, "[server]\nmax_frame = 2048\n[log]\nlevel = \"warn\"\n"+chatToken)
	if keys := s.Log.Wait(t, "needs restart").Text("keys"); keys != "[server.max_frame log.level]" {
		t.Errorf("keys that need a restart: %s", keys)
	}
	c.WantReply(t, "room:a", "echo", `"`+strings.Repeat("x", 4000)+`"`, "ok") // still the old size

	s.Log.Forget()
	s.Configure(t, "[server]\n"+chatToken+"\n[plugin.chat]\nrestart = \"allways\"\nmemmory = 1\n")
	cause := s.Log.Wait(t, "config not reloaded, the old one stays").Text("cause")
	for _, want := range []string{s.File + ":6", "allways", "transient", s.File + ":7", "memmory", "did you mean memory?"} {
		if !strings.Contains(cause, want) {
			t.Errorf("the log says %q, want %q in it", cause, want)
		}
	}
	s.Log.Forget()
	s.Configure(t, "[server]\nmax_frame =\n")
	if cause := s.Log.Wait(t, "config not reloaded, the old one stays").Text("cause"); !strings.Contains(cause, s.File+":2") {
		t.Errorf("the log says %q, want file and line", cause)
	}
	s.Connect(t).MustJoin(t, "room:b", `{"token":"demo"}`)
	c.WantReply(t, "room:a", "echo", `{"n":1}`, `ok {"n":1}`)
	if c.Has("phx_error") || c.Has("phx_close") {
		t.Error("the client was told of something")
	}
}

// What the file said holds on when it goes, and the log says that it is gone.
func TestConfigIsGone(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(t)}, Config: chatToken})
	must(t, os.Remove(s.File))
	s.Log.Wait(t, "config file is gone, its tables stay in force until there is one again")
	c := s.Connect(t)
	c.MustJoin(t, "room:a", `{"token":"demo"}`)
	s.reconfigure(t, strings.Replace(chatToken, "demo", "secret", 1))
	c.WantReply(t, "room:b", "phx_join", `{"token":"demo"}`, `error {"reason":"unauthorized"}`)
}
