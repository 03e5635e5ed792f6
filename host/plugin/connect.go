package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Connection is what a plugin says of a client that it accepts.
type Connection struct {
	Assigns []byte // for the joins of this connection
	ID      string // by which it can be ended; "" for none
}

// RefusedError is a plugin's refusal of a client.
type RefusedError struct{ Status int } // of HTTP, 400 to 599

func (e *RefusedError) Error() string { return "refused with status " + strconv.Itoa(e.Status) }

// Connector returns which of the plugins called names (nil: all) wants to be asked
// about clients, or "" if none does. It fails if several do.
func (s *Set) Connector(names []string) (string, error) {
	var found []string
	for _, pl := range s.list() {
		if r := pl.current.Load(); r.wantsConnect && (names == nil || slices.Contains(names, pl.name)) {
			found = append(found, pl.name)
		}
	}
	switch len(found) {
	case 0:
		return "", nil
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("several plugins want connect: %s; name one of them as connect of the socket in config.toml", strings.Join(found, ", "))
}

// ErrNoPlugin is returned by Connect if the plugin is not there, or has failed.
var ErrNoPlugin = errors.New("there is no such plugin, or it has failed")

// Connect asks a plugin about a client. info is the payload of the event connect,
// see package abi. The error is a [*RefusedError] if the plugin refuses; any other
// means that it could not decide, which has been logged if it crashed. It waits for
// the plugin, until ctx ends.
func (s *Set) Connect(ctx context.Context, plugin, mount string, info []byte) (Connection, error) {
	pl := s.get(plugin)
	if pl == nil || pl.failed() {
		return Connection{}, ErrNoPlugin
	}
	decided := make(chan struct{})
	c := &connector{plugin: pl, event: abi.Event{Kind: abi.EventConnect, Name: mount, Payload: info}}
	p := s.runtime.Spawn(supervisor.Spec{Actor: c, Group: pl.group, Started: func(error) { close(decided) }})
	select {
	case <-decided:
	case <-ctx.Done():
		p.Kill()
		return Connection{}, ctx.Err()
	}
	switch reason := p.StopReason(); {
	case c.refused != nil:
		return Connection{}, c.refused
	case c.accepted:
		return c.connection, nil
	default:
		return Connection{}, fmt.Errorf("decide on a connection: %w", reason)
	}
}

// connector is the process that decides about one client, in its Init.
type connector struct {
	plugin     *Plugin
	event      abi.Event
	body       *body
	accepted   bool
	connection Connection
	refused    error
}

// Init asks the guest, and ends.
func (c *connector) Init(p *supervisor.Process) error {
	r := c.plugin.current.Load()
	var err error
	if c.body, err = r.newBody(c.plugin, p, "", "connect"); err != nil {
		return err
	}
	effects, err := c.body.Handle(&c.event)
	if err != nil {
		if supervisor.IsCrash(err) {
			c.plugin.crashed("connect", r, err, supervisor.Ends, 0)
		}
		return err
	}
	c.accepted = true
	for i := range effects {
		if effects[i].Kind == abi.EffectReply {
			c.decide(&effects[i])
		} else {
			c.body.Apply(&effects[i])
		}
	}
	c.body.Release()
	return supervisor.Normal
}

func (c *connector) decide(reply *abi.Effect) {
	if reply.Name == "ok" {
		c.connection = Connection{Assigns: slices.Clone(reply.Payload), ID: reply.Detail}
		return
	}
	status, err := strconv.Atoi(reply.Name)
	if err != nil || status < 400 || status > 599 {
		status = http.StatusForbidden
	}
	c.accepted, c.refused = false, &RefusedError{status}
}

// Handle takes nothing: the process ends before.
func (c *connector) Handle(*supervisor.Process, any) error { return nil }

// Terminate frees the guest.
func (c *connector) Terminate(_ *supervisor.Process, reason error) {
	if c.body != nil {
		c.body.Close(reason)
	}
}
