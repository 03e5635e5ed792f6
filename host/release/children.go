package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Child is a child of a plugin's tree as the guest declared it in its start event.
type Child struct {
	ID       string
	Under    string // id of a supervisor declared before; "" is the root
	Kind     ChildKind
	Module   string // of a worker
	Name     string // to register a worker under; "" is none
	Args     []byte
	Binary   bool
	Restart  supervisor.Restart
	Shutdown time.Duration
	// Of a supervisor.
	Strategy  supervisor.Strategy
	Intensity supervisor.Intensity
}

// equal says whether two declarations make the same process.
func (c *Child) equal(d *Child) bool {
	e, f := *c, *d
	e.Args, f.Args = nil, nil
	return reflect.DeepEqual(e, f) && bytes.Equal(c.Args, d.Args)
}

// ChildKind says what a child is.
type ChildKind int

// The kinds of children.
const (
	WorkerChild     ChildKind = iota // a guest as a process
	SupervisorChild                  // with children that are declared
	DynamicChild                     // a supervisor of children that come and go
)

// ChannelsID is the last child of every plugin: the supervisor of its channel handlers.
// No other child can have the name.
const ChannelsID = "channels"

// maxShutdown bounds how long a child may take to end, in milliseconds.
const maxShutdown = 3_600_000

// parseChild reads a declaration. The error is for the author of the guest.
func parseChild(e *abi.Effect) (c *Child, err error) {
	d := struct {
		Type, Under, Module string
		Name                *string
		Restart, Strategy   string
		Shutdown            *int64
		MaxRestarts         *int `json:"max_restarts"`
		MaxSeconds          *int `json:"max_seconds"`
	}{Type: "worker", Module: e.Name, Restart: "permanent", Strategy: "one_for_one"}
	if e.Detail != "" {
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			return nil, fmt.Errorf("its specification is not the JSON that it should be: %w", err)
		}
	}
	c = &Child{
		ID: e.Name, Under: d.Under, Module: d.Module, Name: e.Name, Args: e.Payload, Binary: e.Flags&abi.Binary != 0,
		Intensity: supervisor.Intensity{Max: 3, Within: 5 * time.Second},
	}
	switch d.Type {
	case "worker":
	case "supervisor":
		c.Kind = SupervisorChild
	case "dynamic":
		c.Kind = DynamicChild
	default:
		return nil, fmt.Errorf("type %.20q: expected worker, supervisor or dynamic", d.Type)
	}
	if d.Name != nil {
		c.Name = *d.Name
	}
	if c.Restart, err = supervisor.ParseRestart(d.Restart); err != nil {
		return nil, err
	}
	if c.Strategy, err = supervisor.ParseStrategy(d.Strategy); err != nil {
		return nil, err
	}
	if d.Shutdown != nil {
		switch ms := *d.Shutdown; {
		case ms < 0 || ms > maxShutdown:
			return nil, fmt.Errorf("shutdown %d: expected milliseconds from 0 to %d", ms, maxShutdown)
		case ms == 0:
			c.Shutdown = supervisor.KillAtOnce
		default:
			c.Shutdown = time.Duration(ms) * time.Millisecond
		}
	}
	if d.MaxRestarts != nil {
		c.Intensity.Max = *d.MaxRestarts
	}
	if d.MaxSeconds != nil {
		c.Intensity.Within = time.Duration(*d.MaxSeconds) * time.Second
	}
	if c.Intensity.Max < 0 || c.Intensity.Within <= 0 || c.Intensity.Within > 24*time.Hour {
		return nil, errors.New("max_restarts and max_seconds: expected 0 or more, and 1 to 86400")
	}
	return c, nil
}

// parseChildren reads the declarations of a start event.
func parseChildren(declared []abi.Effect) (children []*Child, err error) {
	kinds := map[string]ChildKind{"": SupervisorChild}
	for i := range declared {
		if declared[i].Kind != abi.EffectChild {
			continue
		}
		c, err := parseChild(&declared[i])
		if err != nil {
			return nil, fmt.Errorf("declares child %.80q: %w", declared[i].Name, err)
		}
		if _, twice := kinds[c.ID]; twice || c.ID == ChannelsID {
			return nil, fmt.Errorf("declares child %.80q twice, or without or with a reserved id", c.ID)
		}
		if kind, known := kinds[c.Under]; !known || kind != SupervisorChild {
			return nil, fmt.Errorf("declares child %.80q under %.80q, which is no supervisor declared before", c.ID, c.Under)
		}
		kinds[c.ID] = c.Kind
		children = append(children, c)
	}
	return children, nil
}

// fits returns an error if a tree is larger than its plugin's settings allow.
func fits(plugin string, children []*Child, s Settings) error {
	bytes := 0
	for _, c := range children {
		bytes += len(c.Args)
	}
	switch {
	case len(children) > s.Processes:
		return fmt.Errorf("it declares %d children: raise processes in [plugin.%s] of config.toml, or declare fewer", len(children), plugin)
	case bytes > s.Pending:
		return fmt.Errorf("it declares children with %d bytes of arguments: raise pending in [plugin.%s] of config.toml, or declare less", bytes, plugin)
	}
	return nil
}
