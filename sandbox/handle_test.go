package sandbox_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
	"rtd/sandbox/sandboxtest"
)

func goGuest(t testing.TB) []byte { return sandboxtest.BuildGo(t, "./testdata/goguest") }

func TestEffectsComeInOrder(t *testing.T) {
	i := start(t, load(t, goGuest(t), sandbox.LoadOptions{}))
	effects, err := i.Handle(message("burst", `{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range effects {
		got = append(got, fmt.Sprintf("%v %s %s", e.Kind, e.Name, e.Payload))
	}
	want := []string{`push one {"a":1}`, `broadcast two {"a":1}`, `reply ok `}
	if !slices.Equal(got, want) {
		t.Errorf("effects = %q, want %q", got, want)
	}
}

func TestInstancesShareNothing(t *testing.T) {
	p := load(t, goGuest(t), sandbox.LoadOptions{})
	a, b := start(t, p), start(t, p)
	wantReply(t, a, "count", "", "1")
	wantReply(t, a, "count", "", "2")
	wantReply(t, b, "count", "", "1")
}

func TestTopics(t *testing.T) {
	p := load(t, goGuest(t), sandbox.LoadOptions{})
	if got := p.Topics(); !slices.Equal(got, []string{"go:*", "go"}) {
		t.Errorf("topics = %q", got)
	}

	long := strings.Repeat("x", 4096)
	log, text := logged()
	p = load(t, goGuest(t), sandbox.LoadOptions{Log: log, Config: []byte(strings.Join([]string{
		"a:*", "*", "b", "a:*", long, "", "*:a", "a**", long + "x", "bad\xff",
	}, "\n"))})
	if got, want := p.Topics(), []string{"a:*", "*", "b", long}; !slices.Equal(got, want) {
		t.Errorf("topics = %q, want %q", got, want)
	}
	if got := strings.Count(text(), ") = -2"); got != 4 { // and the long one's, which the log cuts
		t.Errorf("%d patterns are malformed, want 4:\n%s", got, text())
	}

	var many []string
	for n := range 102 {
		many = append(many, fmt.Sprint("t", n))
	}
	log, text = logged()
	p = load(t, goGuest(t), sandbox.LoadOptions{Log: log, Config: []byte(strings.Join(many, "\n"))})
	if got := p.Topics(); len(got) != 100 || strings.Count(text(), ") = -3") != 2 {
		t.Errorf("%d topics, want 100 and two refused:\n%s", len(got), text())
	}
}

func TestWhatIsNotAllowed(t *testing.T) {
	log, text := logged()
	i := start(t, load(t, goGuest(t), sandbox.LoadOptions{Log: log}))
	wantReply(t, i, "codes", "", "") // a second reply, handles too late, an unknown effect
	if !strings.Contains(text(), `msg="-4 -4 -1"`) {
		t.Errorf("log = %s", text())
	}
}

func TestEffectsAreBounded(t *testing.T) {
	log, text := logged()
	i := start(t, load(t, goGuest(t), sandbox.LoadOptions{Log: log, Limits: sandbox.Limits{Effects: 10, EffectBytes: 1000}}))
	for _, c := range []struct{ payload, want string }{
		{"", "10"},
		{strings.Repeat("x", 284), "3"}, // records of 300 bytes
		{strings.Repeat("x", 2000), "0"},
	} {
		effects, err := i.Handle(message("flood", c.payload))
		if err != nil || fmt.Sprint(len(effects)) != c.want {
			t.Errorf("%d effects, %v, want %s", len(effects), err, c.want)
		}
		if !strings.Contains(text(), "msg="+c.want+" ") {
			t.Errorf("the guest was not told %s:\n%s", c.want, text())
		}
	}
}

func TestOutputGoesToTheLog(t *testing.T) {
	log, text := logged()
	p := load(t, goGuest(t), sandbox.LoadOptions{Log: log, Limits: sandbox.Limits{LogLines: 10}})
	i := start(t, p)
	if _, err := i.Handle(message("print", "")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`level=INFO msg="to stdout" topic=room:1 from=stdout`,
		`level=WARN msg="to stderr" topic=room:1 from=stderr`,
		`level=WARN msg="to the log" topic=room:1 from=log`,
		`level=INFO msg="without newline" topic=room:1 from=stdout`,
	} {
		if !strings.Contains(text(), want) {
			t.Errorf("log lacks %s:\n%s", want, text())
		}
	}

	before := len(text())
	ownText := func() string { return text()[before:] }
	i, err := p.Start("go:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	for range 2 { // the bound is per event
		if _, err := i.Handle(message("chatter", "")); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(ownText(), "from=stdout"); got != 20 {
		t.Errorf("%d lines, want 20", got)
	}
	if !strings.Contains(ownText(), "topic=go:1 dropped_lines=990") {
		t.Errorf("log does not say how many lines were dropped:\n%s", ownText())
	}
	before = len(text())
	if _, err := i.Handle(message("shout", "")); err != nil {
		t.Fatal(err)
	}
	if got := len(ownText()); got < 4096 || got > 5000 {
		t.Errorf("a line of 1 MiB became %d bytes of log", got)
	}
}

func TestGoDeaths(t *testing.T) {
	noLeaks(t)
	starts := load(t, goGuest(t), sandbox.LoadOptions{}).LoadStats().Start
	for _, d := range []struct {
		event, payload string
		kind           sandbox.TrapKind
		cause          string
		output         string
	}{
		{"panic", "boom", sandbox.KindTrap, "unreachable: panic: boom", "main.(*room).on("},
		{"panic", strings.Repeat("x", 1000), sandbox.KindTrap, "unreachable: panic: xxx", ""},
		{"nil map", "", sandbox.KindTrap, "panic: assignment to entry in nil map", "goroutine 1 [running]:\n"},
		{"exit", "", sandbox.KindExit, "exit status 7", ""},
		{"abort", "two\nlines", sandbox.KindAbort, "two lines", ""},
		{"recurse", "", sandbox.KindMemory, "the limit is 64 MiB; then unreachable: fatal error: ", "main.recurse("},
		{"hoard", "", sandbox.KindMemory, "fatal error: ", "out of memory"},
		{"loop", "", sandbox.KindDeadline, "took longer than", ""},
		{"sleep", "", sandbox.KindTimeout, "took longer than 200ms", ""},
	} {
		t.Run(d.event, func(t *testing.T) {
			limits := sandbox.Limits{Deadline: 20 * time.Second}
			switch d.kind {
			case sandbox.KindDeadline:
				limits.Deadline = max(300*time.Millisecond, 10*starts)
			case sandbox.KindTimeout:
				limits.Timeout = 200 * time.Millisecond
			}
			log, text := logged()
			p := load(t, goGuest(t), sandbox.LoadOptions{Limits: limits, Log: log})
			i, bystander := start(t, p), start(t, p)
			_, err := i.Handle(message(d.event, d.payload))
			trap := wantTrap(t, err, d.kind, d.cause)
			if len(trap.Cause) > 300+len("…") {
				t.Errorf("cause has %d bytes", len(trap.Cause))
			}
			if !strings.Contains(trap.Output, d.output) || len(trap.Output) > 4<<10 {
				t.Errorf("output has %d bytes, want %q in it:\n%s", len(trap.Output), d.output, trap.Output)
			}
			if d.event != "sleep" && d.event != "recurse" && !slices.Contains(trap.Stack, "main.(*room).on") {
				t.Errorf("stack = %q, want main.(*room).on", trap.Stack)
			}
			if text() != "" {
				t.Errorf("a death is the caller's to log, but the log has:\n%s", text())
			}
			wantReply(t, bystander, "echo", "still here", "still here")
		})
	}
}

func TestSleepReallyWaits(t *testing.T) {
	i := start(t, load(t, goGuest(t), sandbox.LoadOptions{}))
	effects, err := i.Handle(message("nap", ""))
	if err != nil || len(effects) != 1 {
		t.Fatal(effects, err)
	}
	if ms := string(effects[0].Payload); len(ms) == 1 && ms < "5" {
		t.Errorf("a nap of 5 ms took %s ms", ms)
	}
}

func TestInstancesRunInParallel(t *testing.T) {
	noLeaks(t)
	p := load(t, fixture(t, "echo"), sandbox.LoadOptions{})
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			for range 5 {
				i, err := p.Start("room:1", nil)
				if err != nil {
					t.Error(err)
					return
				}
				for m := range 50 {
					want := fmt.Sprint(n, m)
					effects, err := i.Handle(message("echo", want))
					if err != nil || len(effects) != 1 || string(effects[0].Payload) != want {
						t.Errorf("effects = %v, %v, want %s", effects, err, want)
					}
				}
				i.Close()
			}
		})
	}
	all.Wait()
	if s := p.Stats(); s.Live != 0 || s.Started != 100 || s.Events != 1+20*5*50 || s.Time <= 0 {
		t.Errorf("stats = %+v", s)
	}
}

func TestOneEventAtATime(t *testing.T) {
	p := load(t, fixture(t, "crash"), crashOptions(sandbox.KindDeadline))
	i := start(t, p)
	done := make(chan error)
	go func() {
		_, err := i.Handle(message("die", loop))
		done <- err
	}()
	for _, memory := i.Usage(); memory > 0; _, memory = i.Usage() { // until it is at work
		time.Sleep(time.Millisecond)
	}
	_, err := i.Handle(message("live", live)) // waits, and finds it dead
	wantTrap(t, err, sandbox.KindDeadline, "")
	i.Close()
	wantTrap(t, <-done, sandbox.KindDeadline, "")
	if p.Stats().Live != 0 {
		t.Error("instance is not closed")
	}
}

// Effects stay valid until the next event, and the event's bytes are the caller's.
func TestEffectsAreCopies(t *testing.T) {
	i := start(t, load(t, fixture(t, "echo"), sandbox.LoadOptions{}))
	payload := []byte("first")
	effects, err := i.Handle(&abi.Event{Kind: abi.EventMessage, Name: "echo", Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	copy(payload, "other")
	if !bytes.Equal(effects[0].Payload, []byte("first")) {
		t.Errorf("payload = %q", effects[0].Payload)
	}
}
