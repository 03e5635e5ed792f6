package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// line is how a connection to a server is made, and who hears of it.
type line struct {
	url         string
	inProcess   nats.InProcessConnProvider // in place of the URL
	credentials string
	tls         *tls.Config

	look   func()                          // the connection was made, or lost
	again  func()                          // it was made again
	lost   func(cause error)               // it was lost
	failed func(*nats.Subscription, error) // an error that no call returns
}

// dial prepares the connection. It makes itself, and again when it is lost; nothing is queued meanwhile.
func (l line) dial() (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("rtd"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // a write that waits for a connection has an unknown outcome
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(2 * time.Second),
		nats.ConnectHandler(func(*nats.Conn) { l.look() }),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.again()
			l.look()
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err == nil {
				err = errors.New("connection closed")
			}
			l.lost(fmt.Errorf("disconnected: %w", err))
			l.look()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) { l.failed(s, err) }),
	}
	url := l.url
	if l.inProcess != nil {
		url = ""
		options = append(options, nats.InProcessServer(l.inProcess), nats.CustomReconnectDelay(func(int) time.Duration { return 20 * time.Millisecond }))
	} else {
		options = append(options, nats.ReconnectWait(250*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 250*time.Millisecond))
	}
	if l.tls != nil {
		options = append(options, nats.Secure(l.tls))
	}
	login, err := login(l.credentials)
	if err != nil {
		return nil, err
	}
	if login != nil {
		options = append(options, login)
	}
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare to connect: %w", err)
	}
	return conn, nil
}

// connected waits for the connection, which the library makes and makes again. embedded: to a server in this process, which has just been seen
// to. kick is when to look again; tell takes why there is none for whoever waits for it.
func connected(ctx context.Context, conn *nats.Conn, embedded bool, kick <-chan struct{}, tell func(error)) error {
	if embedded && conn.IsReconnecting() {
		_ = conn.ForceReconnect() // it has just started, so there is no reason to wait; no longer if that fails
	}
	var late <-chan time.Time
	if !embedded {
		soon := time.NewTimer(2 * firstRetry)
		defer soon.Stop()
		late = soon.C
	}
	for !conn.IsConnected() {
		select {
		case <-kick: // of its handlers
		case <-late:
			tell(unconnected(conn))
		case <-ctx.Done():
			return unconnected(conn)
		}
	}
	return nil
}

// unconnected says why there is no connection.
func unconnected(conn *nats.Conn) error {
	if err := conn.LastError(); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return errors.New("connect: no server answers")
}
