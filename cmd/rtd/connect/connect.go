package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"
)

// Options say where to connect, and what to do there.
type Options struct {
	// URL of the socket as clients say it: ws://HOST/socket, also wss, http and https. Its query are params of the connect.
	URL   string
	Topic string
	// Payload of the join: JSON. Default {}.
	Payload []byte
	// Since is a position, "EPOCH:OFFSET": what came behind it is wanted. Default: nothing.
	Since string
	// Send is pushed when the topic is joined for the first time, then the lines of In, as [ParsePush] reads them, until it is closed. A nil In says nothing.
	Send []Push
	In   <-chan string
	// Quit ends the run when In is closed, all pushes are handled, and a recovery that was asked for is over.
	Quit bool
	// Count ends it after so many messages, replies and the server's own not among them. 0 is no end.
	Count int
	// Reconnect comes back when the connection breaks, and asks for what was missed.
	Reconnect bool
	// Timeout bounds each wait for an answer. Default 10 s.
	Timeout time.Duration

	JSON  bool      // print messages as JSON
	Out   io.Writer // gets messages, a line each
	Notes io.Writer // gets what else happens
}

// ErrRefused is wrapped by the error of a join that was not accepted.
var ErrRefused = errors.New("join refused")

// ErrOptions is wrapped by the error of options with which nothing can be done.
var ErrOptions = errors.New("called wrongly")

// errLost is wrapped by errors after which another connection may do better.
var errLost = errors.New("connection lost")

// Run connects, joins, and prints and sends until ctx ends or the options say so; then it leaves, and returns nil. It does not close what it was given.
func Run(ctx context.Context, o Options) error {
	target, err := socketURL(o.URL)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if len(o.Payload) == 0 {
		o.Payload = []byte("{}")
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	r := &run{Options: o, url: target}
	if o.Since != "" {
		at, ok := parsePosition(o.Since)
		if !ok {
			return fmt.Errorf("%w: %.100q is no position; want EPOCH:OFFSET, as in 8q2mdk1ct7:17", ErrOptions, o.Since)
		}
		r.at, r.seen = at, at
	}
	err = r.connections(ctx)
	if at := r.at.String(); at != "" {
		r.note("at %s", at)
	}
	if err == nil && r.bad > 0 {
		err = fmt.Errorf("%d lines were no pushes", r.bad)
	}
	return err
}

// run is what outlasts a connection.
type run struct {
	Options
	place
	url     string
	printed int       // messages that count
	bad     int       // lines of In that were no pushes
	joined  bool      // has been, at least once
	tries   int       // since it was joined last
	back    time.Time // when the server says to come back; zero if it does not
}

func (r *run) note(format string, args ...any) {
	fmt.Fprintln(r.Notes, plain(fmt.Sprintf(format, args...)))
}

// connections has one session after the other.
func (r *run) connections(ctx context.Context) error {
	for {
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if !r.Reconnect || !errors.Is(err, errLost) {
			return err
		}
		wait := r.wait()
		r.note("%v; again in %v", err, wait.Round(time.Millisecond))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// wait is how long to stay away: as the server has said, or a little more each time, at random so that not all clients come at once.
func (r *run) wait() time.Duration {
	r.tries++
	if wait := time.Until(r.back); wait > 0 {
		return wait
	}
	longest := min(100*time.Millisecond<<min(r.tries-1, 6), 5*time.Second)
	return longest/2 + rand.N(longest/2)
}

// socketURL returns where the WebSocket is of a socket that clients know by such a URL.
func socketURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fmt.Errorf("read URL: %w", err)
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return "", fmt.Errorf("%.200q is no URL of a socket; want one such as ws://127.0.0.1:4000/socket", text)
	}
	if u.Host == "" {
		return "", fmt.Errorf("%.200q names no host; want a URL such as ws://127.0.0.1:4000/socket", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/socket"
	}
	if !strings.HasSuffix(u.Path, "/websocket") {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/websocket"
	}
	query := u.Query()
	query.Set("vsn", "2.0.0")
	u.RawQuery = query.Encode()
	return u.String(), nil
}
