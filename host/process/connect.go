package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"rtd/sandbox/abi"
	"rtd/supervisor"
)

// Connection is a plugin's answer about a client that it accepts.
type Connection struct {
	Assigns []byte // for the joins of this connection
	ID      string // by which it can be ended; "" for none
	// Closed ends the plugin's account of the client. It is called once, when the client
	// has gone, from any goroutine. It does not block, and is nil if nothing is counted.
	Closed func()
}

// RefusedError is a plugin's refusal of a client.
type RefusedError struct{ Status int } // of HTTP, 400 to 599

func (e *RefusedError) Error() string { return "refused with status " + strconv.Itoa(e.Status) }

// ErrNoRoom is returned by Connect if the plugin accepts the client, but has no room for
// the client's assigns and id. It is an error for the operator, who is told which bound
// it is.
var ErrNoRoom = errors.New("there is no room to keep what it says of the client")

// Connect asks the plugin about a client. info is the payload of the event connect,
// see package abi. The error is a [*RefusedError] if the plugin refuses; any other
// means that it could not decide, which has been logged if it crashed. It waits for
// the plugin, until ctx ends.
func (h *Home) Connect(ctx context.Context, mount string, info []byte) (Connection, error) {
	decided := make(chan struct{})
	c := &connector{home: h, event: abi.Event{Kind: abi.EventConnect, Name: mount, Payload: info}}
	p := h.Node.Runtime.Spawn(supervisor.Spec{Actor: c, Group: h.Group, Started: func(error) { close(decided) }})
	select {
	case <-decided:
	case <-ctx.Done():
		c.gone.Store(errors.Is(ctx.Err(), context.Canceled))
		p.Kill()
		return Connection{}, ctx.Err()
	}
	switch reason := p.StopReason(); {
	case c.refused != nil:
		return Connection{}, c.refused
	case c.accepted:
		if err := c.connection.keptBy(h); err != nil {
			return Connection{}, err
		}
		return c.connection, nil
	default:
		return Connection{}, fmt.Errorf("decide on a connection: %w", reason)
	}
}

// keptBy has the plugin account for the client, until the client is closed.
func (c *Connection) keptBy(h *Home) error {
	size := len(c.Assigns) + len(c.ID)
	switch {
	case size == 0:
		return nil
	case !h.Keep(size):
		return fmt.Errorf("%w: raise pending in [plugin.%s] of config.toml, or let it give less to connections", ErrNoRoom, h.App.Name())
	}
	c.Closed = func() { h.Give(size) }
	return nil
}

// connector is the process that decides about one client, in its Init.
type connector struct {
	home       *Home
	event      abi.Event
	body       *body
	accepted   bool
	connection Connection
	refused    error
	gone       atomic.Bool // the client waits no longer, so that the process is killed through no fault of the guest
}

// Init asks the guest, and ends.
func (c *connector) Init(p *supervisor.Process) error {
	r := c.home.App.Release()
	var err error
	if c.body, err = c.home.newBody(r, p, ""); err != nil {
		return err
	}
	effects, err := c.body.Handle(&c.event)
	if err != nil {
		if supervisor.IsCrash(err) && !(c.gone.Load() && errors.Is(err, supervisor.Killed)) {
			c.home.App.Crashed("connect", r, err, supervisor.Ends, 0)
		}
		return err
	}
	c.accepted = true
	_ = c.body.Commit(effects) // which stores broadcasts alone here, and says so itself if it cannot
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

// Terminate frees the guest, and ends its presences.
func (c *connector) Terminate(_ *supervisor.Process, reason error) {
	defer c.home.Node.Endpoint.Presence.Leave(c)
	if c.body != nil {
		c.body.Close(reason)
	}
}
