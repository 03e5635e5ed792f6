package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"rtd/channels/client"
	"rtd/cmd/rtd/stage"
	"rtd/host/config"
	"rtd/host/names"
	"rtd/host/process"
	"rtd/host/release"
	"rtd/host/rollout"
	"rtd/sandbox"
	"rtd/sandbox/manifest"
	"rtd/sandbox/rewrite"
)

// Options say what to check, and as what.
type Options struct {
	Name   string // what a server would call the plugin: its file without .wasm
	WASM   []byte
	Config *config.Config // default: the defaults
	Topic  string         // that clients join for the idle cost, each its own if it ends in "*"; default: the plugin's first
	Join   []byte         // their JSON payload; default {}
	// Event and Payload are what a client sends to a durable topic, to weigh what is stored with each; "": nothing.
	Event   string
	Payload []byte
}

// Report is what there is to know about a plugin.
type Report struct {
	Name     string             `json:"name"`
	Size     int                `json:"size"` // of the module in bytes
	Manifest *manifest.Manifest `json:"manifest"`
	Imports  []string           `json:"imports"`
	Exports  []string           `json:"exports"`

	// Refused says why a server would not load it; empty if it would. Then Lines are those of its config that
	// would change that, if there are any. Only what is above has been found out if it is refused.
	Refused string   `json:"refused,omitempty"`
	MayNot  []string `json:"may_not,omitempty"` // what it asks for and is not granted
	Lines   []string `json:"lines,omitempty"`

	Connects []string `json:"connects,omitempty"` // mounts of whose clients it is asked, with this config
	Waits    []string `json:"waits,omitempty"`    // plugins that must run first; it was not started for that
	Topics   []string `json:"topics"`
	Snapshot int64    `json:"snapshot"` // bytes of memory after start, shared by all actors
	Compile  float64  `json:"compile"`  // seconds, or how long it took to find compiled code in the cache
	Start    float64  `json:"start"`    // seconds

	// Hibernates says whether an idle actor needs no instance; else Pinned says why not.
	Hibernates bool   `json:"hibernates"`
	Pinned     string `json:"pinned,omitempty"`
	Idle       *Idle  `json:"idle"`

	// Durable is what is stored of durable actors, if it has any; DurableCause why that is not all.
	Durable      []*Weight `json:"durable,omitempty"`
	DurableCause string    `json:"durable_cause,omitempty"`
	// Absent are durable processes, by their full names, that were not there: neither after the start, nor after a join and pushes.
	Absent []string `json:"absent,omitempty"`
}

// Idle is what actors take that do nothing after their join.
type Idle struct {
	Topic  string  `json:"topic"`  // or pattern, of which each has joined a topic of its own
	Joined bool    `json:"joined"` // else the join was refused, for Answer
	Answer string  `json:"answer"`
	Bytes  float64 `json:"bytes"` // of each
	Actors int     `json:"actors"`
}

// Run checks a plugin. That it is refused is no error, but what the report says.
func Run(ctx context.Context, o Options) (r *Report, err error) {
	if o.Config == nil {
		o.Config = config.Default()
	}
	if len(o.Join) == 0 {
		o.Join = []byte("{}")
	}
	r = &Report{Name: o.Name, Size: len(o.WASM)}
	if err := names.Check(o.Name); err != nil {
		r.Refused = "the name of the file " + err.Error()
		return r, nil
	}
	if r.Imports, r.Exports, err = listEntries(o.WASM); err != nil {
		r.Refused = err.Error()
		return r, nil
	}
	if r.Manifest, err = manifest.Read(o.WASM); err != nil {
		r.Refused = err.Error()
		return r, nil
	}
	engine, err := stage.Engine(o.Config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, engine.Close(context.Background())) }()
	if err := r.deploy(ctx, engine, o); err != nil || r.Refused != "" || r.Waits != nil {
		return r, err
	}
	return r, r.pins(o)
}

// deploy runs the plugin, and clients of it.
func (r *Report) deploy(ctx context.Context, engine *sandbox.Engine, o Options) error {
	c := *o.Config
	table := c.Plugin(o.Name)
	table.Slots = 1 // so that all actors but one are at rest
	c.Sockets = shared(o)
	c.Tables = map[string]config.Plugin{o.Name: table}
	s := stage.New(stage.Options{Engine: engine, Config: &c, Log: slog.New(slog.DiscardHandler)})
	defer s.Close()
	err := s.Deploy(ctx, o.Name, o.WASM)
	if waiting, ok := errors.AsType[*rollout.WaitingError](err); ok {
		r.Waits = waiting.For
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.Refused = err.Error()
		if ungranted, ok := errors.AsType[*release.UngrantedError](err); ok {
			r.Refused, r.MayNot, r.Lines = "it asks for more than it is granted", ungranted.Asks, ungranted.Lines
		}
		if undecided, ok := errors.AsType[*rollout.UndecidedError](err); ok {
			r.Lines = undecided.Lines
		}
		return nil
	}
	r.Connects = s.Connects(o.Name)
	durable := slices.IndexFunc(s.Topics(o.Name), func(pattern string) bool { return s.Durable(o.Name, example(pattern)) })
	load := s.Load(o.Name)
	r.Topics, r.Snapshot, r.Compile, r.Start = s.Topics(o.Name), load.Memory, load.Compile.Seconds(), load.Start.Seconds()
	if s.AnyDurable(o.Name) {
		o := o
		if o.Topic == "" && durable >= 0 {
			o.Topic = r.Topics[durable]
		}
		if r.Durable, r.Absent, err = weigh(ctx, engine, &c, o); err != nil {
			r.DurableCause = err.Error()
		}
	}
	if o.Topic == "" && len(r.Topics) > 0 {
		o.Topic = r.Topics[0]
	}
	if o.Topic == "" {
		return nil // it has processes only
	}
	r.Idle, err = measure(ctx, s, engine, o)
	return err
}

// example is a topic of a pattern.
func example(pattern string) string { return strings.Replace(pattern, "*", "check1", 1) }

// shared are the sockets of the config. A plugin that it has a table for is taken to be where all are, so
// that who wants connect is refused as it would be beside that one.
func shared(o Options) map[string]config.Socket {
	all := slices.Sorted(maps.Keys(o.Config.Tables))
	if !slices.Contains(all, o.Name) {
		all = append(all, o.Name)
	}
	sockets := maps.Clone(o.Config.Sockets)
	for name, socket := range sockets {
		if len(socket.Plugins) == 0 && len(all) > 1 {
			socket.Plugins = all
			sockets[name] = socket
		}
	}
	return sockets
}

// Actors of a measurement: enough that the store's chunks do not matter, unless they are large.
const (
	mostActors = 2000
	mostBytes  = 256 << 20
)

// measure lets clients join until there are enough.
func measure(ctx context.Context, s *stage.Stage, engine *sandbox.Engine, o Options) (*Idle, error) {
	idle := &Idle{Topic: o.Topic}
	before := engine.Stats().IdleBytes
	var clients []*stage.Client
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	for idle.Actors < mostActors && engine.Stats().IdleBytes-before < mostBytes {
		c, err := s.Connect(ctx, nil)
		if refused, ok := errors.AsType[*process.RefusedError](err); ok {
			idle.Answer = "connect: " + refused.Error()
			return idle, nil
		}
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
		// Each has a topic of its own, so that each has a handler, also if there is one for all of a topic.
		topic := strings.Replace(o.Topic, "*", fmt.Sprintf("check%d", len(clients)), 1)
		ref, err := c.Push(topic, "phx_join", o.Join)
		if err != nil {
			return nil, err
		}
		late, cancel := context.WithTimeout(ctx, 10*time.Second)
		m, err := c.Take(late, func(m client.Message) bool { return m.Answers(ref) })
		cancel()
		if err != nil {
			return nil, fmt.Errorf("join %s: no answer: %w", o.Topic, err)
		}
		idle.Joined = m.Status == "ok"
		if !idle.Joined {
			idle.Answer = m.Status + " " + string(m.Payload)
			return idle, nil // such an actor ends, and takes nothing
		}
		idle.Actors++
	}
	idle.Answer = "ok"
	s.Settle()
	runtime.GC() // nothing that could be freed shall count; the store is not Go's memory
	idle.Bytes = float64(engine.Stats().IdleBytes-before) / float64(max(idle.Actors-1, 1))
	return idle, nil
}

// pins finds out whether the plugin can hibernate.
func (r *Report) pins(o Options) error {
	m, err := rewrite.Rewrite(o.WASM, rewrite.Options{TakeData: true})
	if err != nil {
		return fmt.Errorf("read module: %w", err)
	}
	r.Pinned = strings.Join(m.Pinned, "; ")
	r.Hibernates = r.Pinned == ""
	return nil
}

// JSON writes the report.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}
