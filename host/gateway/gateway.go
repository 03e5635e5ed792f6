package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"rtd/channels"
	"rtd/host/config"
	"rtd/host/gate"
	"rtd/host/gateway/deflate"
	"rtd/host/gateway/handshake"
	"rtd/host/gateway/longpoll"
	"rtd/host/gateway/wire"
	"rtd/host/rollout"
)

// Gateway is between the network and the sockets of an endpoint. Its methods may be called from any
// goroutine.
//
//	g, err := gateway.New(options)
//	go g.Run(ctx)
//	g.Open()                          // clients are let in
//	err = g.Serve(listener, nil)      // until Drain
//	err = g.Drain(grace)              // nobody is connected any more
//	g.Close()                         // and nothing of it runs
type Gateway struct {
	config   *config.Config // as started
	log      *slog.Logger
	endpoint *channels.Endpoint
	plugins  *rollout.Set
	settled  func()

	mounts  mounts
	proxies handshake.Proxies
	tokens  *tokens

	http     *http.Server
	requests context.CancelFunc // ends the context of all of them
	gate     *gate.Gate         // everybody who is not, or not yet, in conns
	conns    *connSet
	polls    *longpoll.Server
	poller   *wire.Poller
	writers  *writers
	running  sync.WaitGroup // writers, closing connections, new tokens that are verified

	open     atomic.Bool // plugins decide about clients
	draining atomic.Bool

	refusals            refusals
	closed              tally[CloseFrame] // connections, by how rtd closed them
	accepted, framesOut atomic.Uint64
}

// Options say what a [Gateway] is for. All of them are required, but for those of a cluster.
type Options struct {
	Config   *config.Config     // its sockets, its tokens, and the limits of connections
	Endpoint *channels.Endpoint // of the sockets behind the connections
	Plugins  *rollout.Set       // they decide about clients
	Others   http.Handler       // of requests that are for no mount
	Settled  func()             // waits until no process has anything to do
	Log      *slog.Logger

	// Node is the name of this one in a cluster, and Elsewhere asks another for its [Gateway.AnswerPoll]. "": there is no cluster.
	Node      string
	Elsewhere longpoll.Elsewhere
}

// New returns a gateway that lets nobody in yet. Close ends what New has begun. The errors are about
// the config.
func New(o Options) (*Gateway, error) {
	server := &o.Config.Server
	g := &Gateway{
		config: o.Config, log: o.Log, endpoint: o.Endpoint, plugins: o.Plugins, settled: o.Settled,
		refusals: refusals{log: o.Log, sparse: sparse{to: o.Log}},
		conns:    newConnSet(server.MaxConnections, server.MaxPerAddress),
		polls: longpoll.New(longpoll.Options{
			MaxBody: int64(server.MaxFrame), Messages: server.MaxOutboxMessages, Bytes: server.MaxOutboxBytes,
			Node: o.Node, Elsewhere: o.Elsewhere,
		}),
	}
	var err error
	if g.tokens, err = newTokens(g.config.Auth, g.log, &g.running); err != nil {
		return nil, err
	}
	if g.mounts, err = newMounts(g.config); err != nil {
		return nil, err
	}
	for _, m := range g.mounts {
		g.endpoint.Hub.KeepForms(m.config.DeflateFrom)
	}
	if g.proxies, err = handshake.NewProxies(server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("read server.trusted_proxies: %w", err)
	}
	g.openGate()
	g.openHTTP(o.Others)
	g.poller = wire.New(wire.Options{Kind: server.Poller, Limit: server.MaxFrame, Inflate: deflate.Inflate, Log: g.log})
	g.writers = newWriters(runtime.GOMAXPROCS(0), &g.running, g.poller.Look)
	return g, nil
}

// openHTTP makes the server of all that is HTTP. Requests that have not been answered when a drain begins are told.
func (g *Gateway) openHTTP(others http.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	g.requests = cancel
	g.http = &http.Server{
		Handler: g.gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch m, path, transport := g.mounts.find(r.URL); {
			case m == nil:
				others.ServeHTTP(w, r)
			case transport == overLongPoll:
				g.poll(w, r, m, path)
			default:
				g.upgrade(w, r, m, path)
			}
		})),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       g.connContext,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
}

// rawConn is the key of a request's connection in its context.
type rawConn struct{}

// connContext is called for each connection when it comes.
func (g *Gateway) connContext(ctx context.Context, c net.Conn) context.Context {
	if tcp, ok := gate.Below(c).(*net.TCPConn); ok && g.config.Server.SendBuffer > 0 {
		_ = tcp.SetWriteBuffer(g.config.Server.SendBuffer) // or it stays as large as the kernel likes
	}
	return context.WithValue(g.gate.ConnContext(ctx, c), rawConn{}, c)
}

// Serve answers what comes to a listener, with TLS unless secure is nil, and returns nil after Drain. It
// closes the listener.
func (g *Gateway) Serve(l net.Listener, secure *tls.Config) error {
	l = g.gate.Listen(l)
	var err error
	if secure != nil {
		g.http.TLSConfig = secure
		err = g.http.ServeTLS(l, "", "")
	} else {
		err = g.http.Serve(l)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// Run keeps the keys of tokens up to date, and ends what is over: connections from which nothing has come for too
// long, those whose token has expired, sessions that nobody polls. It returns with ctx.
func (g *Gateway) Run(ctx context.Context) {
	var keys sync.WaitGroup
	keys.Go(func() { g.tokens.run(ctx) })
	defer keys.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			g.polls.Sweep(now)
			g.tokens.sweep(now)
			oldest := now.Add(-g.config.Server.IdleTimeout).Unix()
			g.conns.each(func(c *conn) {
				if last := int64(c.lastRead.Load()); last != 0 && last < oldest {
					c.close(closeIdle)
				}
			})
		}
	}
}

// Open lets clients in: whether they may come can be decided.
func (g *Gateway) Open() { g.open.Store(true) }

// Shut says why no client is let in; it is empty if they are.
func (g *Gateway) Shut() string {
	switch {
	case g.draining.Load():
		return "draining"
	case !g.open.Load():
		return "loading plugins"
	}
	return ""
}

// Close ends the writers, and waits for connections that are being closed. Drain, if Serve was called, and the
// plugins' end come before.
func (g *Gateway) Close() {
	g.requests()
	g.writers.stop()
	g.running.Wait()
	g.poller.Close()
}
