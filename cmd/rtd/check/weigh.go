package check

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"rtd/channels/client"
	"rtd/cmd/rtd/stage"
	"rtd/host/config"
	"rtd/host/process"
	"rtd/sandbox"
)

// Weight is what is stored of a durable actor with each of its events.
type Weight struct {
	Actor  string `json:"actor"`  // such as "topic:doc:check1"
	Events int    `json:"events"` // that were stored
	First  int    `json:"first"`  // bytes with the first event: a join or init
	Least  int    `json:"least"`  // and with those after it
	Most   int    `json:"most"`
	Last   int    `json:"last"`
}

// pushes is how many events a client sends to a durable topic: as many as it takes for a garbage collector to show.
const pushes = 200

// weigh runs the plugin with a memory of durable actors, and has a client join, and push.
// absent are names of durable processes that nobody has had.
func weigh(ctx context.Context, engine *sandbox.Engine, c *config.Config, o Options) (all []*Weight, absent []string, err error) {
	s := stage.New(stage.Options{Engine: engine, Config: c, Remember: true, Log: slog.New(slog.DiscardHandler)})
	defer s.Close()
	if err := s.Deploy(ctx, o.Name, o.WASM); err != nil {
		return nil, nil, fmt.Errorf("deploy it with durable actors: %w", err)
	}
	byActor := map[string]*Weight{}
	note := func() {
		s.Settle()
		for _, stored := range s.Memory().Stored() {
			name := stored.Actor.Kind.String() + ":" + stored.Actor.Name
			bytes := stored.State + stored.Held + stored.Posts
			w := byActor[name]
			if w == nil {
				w = &Weight{Actor: name, First: bytes}
				byActor[name] = w
				all = append(all, w)
			} else if w.Least == 0 || bytes < w.Least {
				w.Least = bytes
			}
			w.Events++
			w.Last = bytes
			if w.Events > 1 {
				w.Most = max(w.Most, bytes)
			}
		}
	}
	defer func() {
		absent = slices.DeleteFunc(s.DurableNames(o.Name), func(name string) bool { return byActor["process:"+name] != nil })
	}()
	note()
	if o.Topic == "" {
		return all, nil, nil
	}
	client, err := s.Connect(ctx, nil)
	if _, refused := errors.AsType[*process.RefusedError](err); refused {
		return all, nil, nil // the report says so already
	}
	if err != nil {
		return nil, nil, err
	}
	defer client.Close()
	topic := example(o.Topic)
	if err := joins(ctx, client, topic, o.Join); err != nil {
		return all, nil, err
	}
	note()
	if o.Event == "" {
		return all, nil, nil
	}
	for n := range pushes {
		ref, err := client.Push(topic, o.Event, o.Payload)
		if err != nil {
			return all, nil, err
		}
		note()
		if failed(client.Client, ref) {
			return all, nil, fmt.Errorf("of a push of %s number %d: its handler crashes at it, or it is refused, so that it has not happened", o.Event, n+1)
		}
	}
	return all, nil, nil
}

// failed reports whether a client was told that a push has come to nothing. Nothing is under way any more.
func failed(c *client.Client, ref string) bool {
	all, _ := c.Unread()
	return slices.ContainsFunc(all, func(m client.Message) bool {
		return m.Event == "phx_error" || m.Answers(ref) && m.Status == "error" && slices.Contains(hostReasons, string(m.Payload))
	})
}

// hostReasons are the answers to a push that the host gives by itself, if it has come to nothing.
var hostReasons = []string{`{"reason":"crashed"}`, `{"reason":"unavailable"}`, `{"reason":"too_large"}`}

func joins(ctx context.Context, c *stage.Client, topic string, params []byte) error {
	ref, err := c.Push(topic, "phx_join", params)
	if err != nil {
		return err
	}
	late, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	m, err := c.Take(late, func(m client.Message) bool { return m.Answers(ref) })
	if err != nil {
		return fmt.Errorf("join %s: no answer: %w", topic, err)
	}
	if m.Status != "ok" {
		return fmt.Errorf("join %s: answered %s %s", topic, m.Status, m.Payload)
	}
	return nil
}
