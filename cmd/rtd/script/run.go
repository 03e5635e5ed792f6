package script

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"rtd/channels/client"
	"rtd/cmd/rtd/stage"
	"rtd/host/config"
	"rtd/host/process"
	"rtd/host/rollout"
	"rtd/sandbox"
)

// Options say what scripts are run against.
type Options struct {
	Plugin  string            // the name of the plugin that is tested
	Modules map[string][]byte // by name: it, and those that it depends on
	Config  *config.Config    // default: the defaults
	Engine  *sandbox.Engine   // shared by all; the caller closes it
	Timeout time.Duration     // for each step; default 5 s
}

// Result is what came of a script.
type Result struct {
	Script  *Script
	Took    time.Duration
	Failure *Failure // nil: it passed
}

// Run plays one script, on a stage of its own. It ends early when ctx does.
func Run(ctx context.Context, s *Script, o Options) Result {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Config == nil {
		o.Config = config.Default()
	}
	begin := time.Now()
	log := &tail{}
	p := &play{
		script: s, options: o, clients: map[string]*player{},
		stage: stage.New(stage.Options{
			Engine: o.Engine, Config: o.Config, Remember: true,
			Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: withoutTime})),
		}),
	}
	failure := p.run(ctx)
	for _, c := range p.clients {
		c.Close()
	}
	p.stage.Close()
	if failure != nil {
		failure.Log = log.lines()
	}
	return Result{s, time.Since(begin), failure}
}

// play is one run of a script.
type play struct {
	script  *Script
	options Options
	stage   *stage.Stage
	clients map[string]*player
}

// player is a client, and what the script need not say again.
type player struct {
	*stage.Client
	topic string // joined last

	ref string // of the last message that may be replied to
}

func (p *play) run(ctx context.Context) *Failure {
	if err := p.deploy(ctx); err != nil {
		return &Failure{Script: p.script.Name, What: "the plugin is not deployed: " + err.Error()}
	}
	for _, st := range p.script.steps {
		f := p.do(ctx, st)
		if f == nil {
			continue
		}
		f.Script, f.Line, f.Step = p.script.Name, st.line, st.text
		if c := p.clients[st.client]; c != nil {
			f.Unread = describeUnread(c.Client)
		}
		return f
	}
	return nil
}

// deploy runs the plugins, each after those that it depends on.
func (p *play) deploy(ctx context.Context) error {
	waiting := slices.Sorted(maps.Keys(p.options.Modules))
	for len(waiting) > 0 {
		var still []string
		var wait *rollout.WaitingError
		for _, name := range waiting {
			err := p.stage.Deploy(ctx, name, p.options.Modules[name])
			if errors.As(err, &wait) {
				still = append(still, name)
			} else if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if len(still) == len(waiting) {
			return fmt.Errorf("%s: %w; put them into the folder of the tests, as NAME.wasm", still[0], wait)
		}
		waiting = still
	}
	return nil
}

// do plays a step.
func (p *play) do(ctx context.Context, st step) *Failure {
	if st.verb == "sleep" { // for which the timeout does not count
		select {
		case <-time.After(st.pause):
			return nil
		case <-ctx.Done():
			return asFailure(context.Cause(ctx))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	c := p.clients[st.client]
	if c != nil && st.topic == "" {
		st.topic = c.topic
	}
	switch st.verb {
	case "push", "crash", "expect", "leave":
		if st.topic == "" {
			return failed("%s has joined no topic: name one", st.client)
		}
	}
	switch st.verb {
	case "connect":
		return p.connect(ctx, st)
	case "clock":
		p.stage.SetTime(st.time)
		return nil
	case "publish":
		return asFailure(p.stage.Publish(st.topic, st.event, orEmpty(st.payload)))
	case "join":
		c.topic = st.topic
		return c.push(st.topic, "phx_join", st.payload)
	case "leave":
		return c.push(st.topic, "phx_leave", st.payload)
	case "push":
		return c.push(st.topic, st.event, st.payload)
	case "reply":
		return c.reply(ctx, st)
	case "expect":
		return c.expect(ctx, st)
	case "crash":
		return p.crash(ctx, c, st)
	case "quiet":
		return p.quiet(c)
	case "ended":
		select {
		case <-c.Ended():
			return nil
		case <-ctx.Done():
			return failed("the connection has not ended")
		}
	default: // close
		c.Close()
		return nil
	}
}

func (p *play) connect(ctx context.Context, st step) *Failure {
	client, err := p.stage.Connect(ctx, st.payload)
	refused, wasRefused := errors.AsType[*process.RefusedError](err)
	switch {
	case err == nil && st.refused:
		client.Close()
		return failed("%s is accepted", st.client)
	case wasRefused && !st.refused:
		return failed("%s is %v; if that is right, the next line is: %s refused %d", st.client, refused, st.client, refused.Status)
	case wasRefused && st.status != "" && st.status != fmt.Sprint(refused.Status):
		return &Failure{What: "refused with another status", Diff: []string{"- " + st.status, fmt.Sprintf("+ %d", refused.Status)}}
	case wasRefused:
		return nil
	case err != nil:
		return asFailure(err)
	}
	p.clients[st.client] = &player{Client: client}
	return nil
}

func (c *player) push(topic, event string, payload []byte) *Failure {
	ref, err := c.Push(topic, event, orEmpty(payload))
	c.ref = ref
	return asFailure(err)
}

func (c *player) reply(ctx context.Context, st step) *Failure {
	if c.ref == "" {
		return failed("%s has sent nothing that could be replied to", st.client)
	}
	m, err := c.Take(ctx, func(m client.Message) bool { return m.Answers(c.ref) })
	if err != nil {
		return missed("no reply", err)
	}
	return compareReply(m, st.status, st.payload)
}

func compareReply(m client.Message, status string, response []byte) *Failure {
	if m.Status != status {
		return &Failure{What: "another reply", Diff: []string{"- " + strings.TrimSpace(status+" "+string(response)), "+ " + m.Status + " " + shown(m)}}
	}
	return comparePayload("another response", response, m)
}

func (c *player) expect(ctx context.Context, st step) *Failure {
	m, err := c.Take(ctx, func(m client.Message) bool { return m.Topic == st.topic && m.Event == st.event && !m.IsReply() })
	if err != nil {
		return missed("no "+st.event+" came in "+st.topic, err)
	}
	return comparePayload("another payload", st.payload, m)
}

func comparePayload(what string, want []byte, m client.Message) *Failure {
	if want == nil || string(want) == `"*"` {
		return nil
	}
	if m.Binary {
		return &Failure{What: "a binary payload", Diff: []string{"- " + string(want), "+ " + shown(m)}}
	}
	if diff := compare(want, m.Payload); diff != nil {
		return &Failure{What: what, Diff: diff}
	}
	return nil
}

// crash pushes, and waits until the handler has crashed and another one is there in its place; with restart
// "temporary", until the client is told that there is none.
func (p *play) crash(ctx context.Context, c *player, st step) *Failure {
	if f := c.push(st.topic, st.event, st.payload); f != nil {
		return f
	}
	isError := func(m client.Message) bool { return m.Topic == st.topic && m.Event == "phx_error" }
	temporary := p.options.Config.Plugin(p.options.Plugin).Restart == "temporary"
	m, err := c.Take(ctx, func(m client.Message) bool { return m.Answers(c.ref) || isError(m) })
	switch {
	case err != nil:
		return missed("nothing tells of a crash", err)
	case isError(m) && temporary:
		return nil
	case isError(m):
		return failed("the channel has ended: its handler has crashed more often than max_restarts allows, or could not join again")
	}
	if f := compareReply(m, "error", []byte(`{"reason": "crashed"}`)); f != nil {
		f.What = "it has not crashed"
		return f
	}
	p.stage.Settle() // until its join has been replayed
	if unread, _ := c.Unread(); slices.ContainsFunc(unread, isError) {
		return failed("it has crashed, and its join was refused when it was restarted")
	}
	return nil
}

func (p *play) quiet(c *player) *Failure {
	p.stage.Settle()
	unread, dropped := c.Unread()
	unread = slices.DeleteFunc(unread, func(m client.Message) bool { return m.IsReply() })
	if n := len(unread) + dropped; n > 0 {
		return failed("%d messages came that no step has waited for", n)
	}
	return nil
}

func orEmpty(payload []byte) []byte {
	if payload == nil {
		return []byte("{}")
	}
	return payload
}

// tail is the end of a log. It may be written to from any goroutine.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const maxTail = 32 << 10

func (t *tail) Write(line []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text.Write(line)
	if n := t.text.Len() - maxTail; n > 0 {
		t.text.Next(n)
	}
	return len(line), nil
}

// lines returns the last few.
func (t *tail) lines() []string {
	const few = 12
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSuffix(t.text.String(), "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	return all[max(0, len(all)-few):]
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == "version") {
		return slog.Attr{}
	}
	return a
}
