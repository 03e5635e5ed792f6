package rollout_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rtd/host/process"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox/abi"
)

func TestConnect(t *testing.T) {
	w := newWorld(t)
	wants := abi.Effect{Kind: abi.EffectWants, Name: "connect"}
	asked := func(s *release.Settings) { s.Allows = []string{"connect"} }
	w.deploy("p", asked, wants, worker("a"))
	reply := func(status, response, id string) []byte {
		return orders(abi.Effect{Kind: abi.EffectReply, Name: status, Payload: []byte(response), Detail: id})
	}
	for name, test := range map[string]struct {
		info   []byte
		status int // of a refusal
		want   process.Connection
	}{
		"no reply":              {orders(), 0, process.Connection{}},
		"accepted":              {reply("ok", `{"user":7}`, "users:7"), 0, process.Connection{Assigns: []byte(`{"user":7}`), ID: "users:7"}},
		"refused":               {reply("error", "{}", ""), 403, process.Connection{}},
		"refused with a status": {reply("429", "", ""), 429, process.Connection{}},
		"no status of HTTP":     {reply("200", "", ""), 403, process.Connection{}},
		"crash":                 {orders(op(trap, "")), -1, process.Connection{}},
		"asks a process":        {orders(calling("a", "", op(count, ""))), 0, process.Connection{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.set.Connect(t.Context(), "p", "/socket", test.info)
			var refused *process.RefusedError
			switch {
			case test.status == 0 && err != nil:
				t.Error(err)
			case test.status > 0 && (!errors.As(err, &refused) || refused.Status != test.status):
				t.Errorf("got %v, want status %d", err, test.status)
			case test.status < 0 && (err == nil || errors.As(err, &refused)):
				t.Errorf("a crash gave %v", err)
			}
			if string(got.Assigns) != string(test.want.Assigns) || got.ID != test.want.ID {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	eventually(t, "the line of the crash", func() bool { return strings.Contains(w.log.String(), "process=connect") })
	if _, err := w.set.Connect(t.Context(), "nobody", "/socket", nil); !errors.Is(err, rollout.ErrNoPlugin) {
		t.Errorf("without a plugin: %v", err)
	}
}

// A client that hangs up while a plugin decides about it is no crash of the plugin.
func TestConnectIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Allows = []string{"connect"} }, op(abi.EffectWants, "connect"), worker("a"))
	ctx, hangUp := context.WithCancel(t.Context())
	outcome := make(chan error, 1)
	go func() {
		_, err := w.set.Connect(ctx, "p", "/socket", orders(calling("a", "600000", op(abi.OpRegister, "asked"), op(keep, ""))))
		outcome <- err
	}()
	eventually(t, "the question", func() bool { return w.process("p/asked") != nil })
	hangUp()
	if err := <-outcome; !errors.Is(err, context.Canceled) {
		t.Errorf("connect: %v", err)
	}
	eventually(t, "its end", func() bool { return w.set.Stats()[0].Sandbox.Live <= 1 })
	if _, err := w.set.Connect(t.Context(), "p", "/socket", orders(op(trap, ""))); err == nil {
		t.Error("a crash decides")
	}
	eventually(t, "the line of the crash", func() bool { return strings.Contains(w.log.String(), "process=connect") })
	if text := w.log.String(); strings.Count(text, "process crashed") != 1 || strings.Contains(text, "cause=killed") {
		t.Error("it is a crash that the client has gone")
	}
}

// A plugin decides about the clients of a mount if it is alone there, or if that is said. Else who would
// share one is refused, with the lines that decide, and nothing changes for the others.
func TestMounts(t *testing.T) {
	wants := op(abi.EffectWants, "connect")
	asked := func(s *release.Settings) { s.Allows = []string{"connect"} }
	deploy := func(w *world, name string) error {
		switch name[0] {
		case 'c': // wants connect
			return w.try(name, asked, wants, worker("a"))
		case 'b': // has no topics, as a base of others
			return w.try(name, func(s *release.Settings) { s.Topics = nil }, worker("a"))
		}
		return w.try(name, nil, worker("a"))
	}
	for name, c := range map[string]struct {
		mounts  []rollout.Mount
		deploys string            // in this order
		refused string            // which of them is
		lines   string            // in its error
		asked   map[string]string // by mount
	}{
		"alone":               {deploys: "c1", asked: map[string]string{"socket": "c1"}},
		"beside a base":       {deploys: "b1 c1 b2", asked: map[string]string{"socket": "c1"}},
		"nobody":              {deploys: "p1 p2", asked: map[string]string{"socket": "", "gone": ""}},
		"second":              {deploys: "c1 c2", refused: "c2", lines: "[socket.socket] connect = \"c1\"", asked: map[string]string{"socket": "c1"}},
		"beside another":      {deploys: "p1 c1", refused: "c1", lines: "[socket.socket] connect = \"c1\"", asked: map[string]string{"socket": ""}},
		"another beside it":   {deploys: "c1 p1", refused: "p1", lines: "[socket.socket] connect = \"c1\"", asked: map[string]string{"socket": "c1"}},
		"said":                {mounts: []rollout.Mount{{Name: "socket", Connect: "c1"}}, deploys: "p1 c1 c2", asked: map[string]string{"socket": "c1"}},
		"said of nobody":      {mounts: []rollout.Mount{{Name: "socket", Connect: "c9"}}, deploys: "p1 c1 c2", asked: map[string]string{"socket": "c9"}},
		"of its own":          {mounts: []rollout.Mount{{Name: "x", Plugins: []string{"p1"}}, {Name: "y", Plugins: []string{"c1"}}}, deploys: "p1 c1", asked: map[string]string{"x": "", "y": "c1"}},
		"listed with another": {mounts: []rollout.Mount{{Name: "x", Plugins: []string{"p1", "c1"}}}, deploys: "c1", refused: "c1", lines: "[socket.x] connect = \"c1\"", asked: map[string]string{"x": ""}},
		"two mounts": {mounts: []rollout.Mount{{Name: "x"}, {Name: "y", Plugins: []string{"p1", "c1"}}, {Name: "z", Connect: "c1"}}, deploys: "p1 c1", refused: "c1",
			lines: "[socket.x] connect = \"c1\" [socket.y] connect = \"c1\"", asked: map[string]string{"x": "", "y": "", "z": "c1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.mounts != nil {
				must(t, w.set.Mount(c.mounts))
			}
			for _, name := range strings.Fields(c.deploys) {
				err := deploy(w, name)
				undecided, _ := errors.AsType[*rollout.UndecidedError](err)
				switch {
				case name != c.refused:
					must(t, err)
				case undecided == nil || strings.Join(undecided.Lines, " ") != c.lines:
					t.Errorf("deploy of %s = %v, want lines %s", name, err, c.lines)
				case w.set.Version(name) != "" || w.endpoint.Router.Owner(name+":1") != nil:
					t.Errorf("%s is there", name)
				default:
					t.Log(err)
				}
			}
			for mount, want := range c.asked {
				if got := w.set.Connector(mount); got != want {
					t.Errorf("on mount %s %q is asked, want %q", mount, got, want)
				}
			}
		})
	}
}

// A version that wants connect is looked at as a plugin that does: on trial, as it becomes current, and as the
// one before comes back. A plugin that goes makes room.
func TestMountsOfVersions(t *testing.T) {
	w := newWorld(t)
	wants := op(abi.EffectWants, "connect")
	asked := func(s *release.Settings) { s.Allows = []string{"connect"} }
	tries := func(s *release.Settings) { canary(time.Hour)(s); s.Allows = []string{"connect"} }
	refused := func(err error) {
		t.Helper()
		if _, ok := errors.AsType[*rollout.UndecidedError](err); !ok {
			t.Errorf("got %v", err)
		}
	}
	w.swap(1, "p", asked, worker("a"))
	w.deploy("q", nil, worker("a"))
	refused(w.trySwap(2, "p", asked, wants, worker("a")))
	refused(w.trySwap(2, "p", tries, wants, worker("a")))
	w.set.Remove("q")
	w.swap(2, "p", tries, wants, worker("a"))
	if got := w.set.Connector("socket"); got != "" {
		t.Errorf("a canary is asked: %s", got)
	}
	refused(w.try("q", nil, worker("a")))
	w.set.EndCanary("p", nil)
	w.deploy("q", nil, worker("a"))
	w.set.Remove("q")
	w.swap(2, "p", asked, wants, worker("a"))
	if got := w.set.Connector("socket"); got != "p" {
		t.Errorf("%q is asked", got)
	}
	refused(w.try("q", nil, worker("a")))

	said := []rollout.Mount{{Name: "socket", Connect: "p"}}
	must(t, w.set.Mount(said))
	w.deploy("q", nil, worker("a"))
	refused(w.set.Mount([]rollout.Mount{{Name: "socket"}}))
	if got := w.set.Connector("socket"); got != "p" {
		t.Errorf("%q is asked", got)
	}
	w.swap(1, "p", asked, worker("a"))
	must(t, w.set.Mount([]rollout.Mount{{Name: "socket"}}))
	if got := w.set.Connector("socket"); got != "" {
		t.Errorf("%q is asked", got)
	}
	if w.set.Remove("p"); w.try("p", asked, op(trap, "")) == nil { // a start that fails leaves nothing
		t.Error("it has started")
	}
	w.deploy("r", asked, worker("a"))
}

// A plugin may publish and subscribe to its own topics and those granted to it.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	w.deploy("p", func(s *release.Settings) { s.Grants = []string{"news:*", "exact"} }, worker("a"), worker("b"))
	for topic, code := range map[string]abi.Code{
		"p:1": 0, "news:today": 0, "exact": 0, "exactly": abi.CodeDenied, "other:1": abi.CodeDenied,
	} {
		publish := abi.Effect{Kind: abi.EffectPublish, Name: "e", Detail: topic}
		if r := w.ask("p/a", publish); r.code != code {
			t.Errorf("publish to %s = %v, want %v", topic, r, code)
		}
		if r := w.ask("p/a", op(abi.EffectSubscribe, topic)); r.code != code {
			t.Errorf("subscribe to %s = %v, want %v", topic, r, code)
		}
	}
	w.ask("p/b", abi.Effect{Kind: abi.EffectPublish, Name: "told", Payload: []byte(`{"n":1}`), Detail: "news:today"})
	if e := w.next(abi.EventBroadcast); e.Name != "told" || e.Detail != "news:today" || string(e.Payload) != `{"n":1}` {
		t.Errorf("broadcast = %+v", e)
	}

	// What no client could read is a crash of its sender, before any of it is sent.
	a := w.process("p/a")
	w.call("p/a", abi.Effect{Kind: abi.EffectPublish, Name: "e", Payload: []byte("no JSON"), Detail: "p:1"})
	<-a.Done()
	if reason := a.Reason(); !strings.Contains(reason.Error(), "JSON") {
		t.Errorf("ended with %v", reason)
	}
}
