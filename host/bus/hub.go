package bus

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// How a hub sees to its routes. A node that hangs is gone after maxPings+1 intervals.
const (
	pingEvery     = 500 * time.Millisecond
	maxPings      = 2
	writePatience = 2 * time.Second
	maxWaiting    = 64 << 20 // bytes that wait for a node; beyond three quarters of it more are dropped
	maxDials      = 3600     // attempts, one a second, at a node that others have told of; seeds are tried for ever
)

// noPort is none: the server has no listener for clients then, and goes on to that for routes. With DontListen it would have neither.
const noPort = 1 << 16

// hub is the embedded server of a mesh. The keeper alone starts and stops it.
type hub struct {
	options *MeshOptions
	tls     *tls.Config
	id      string
	host    string
	urls    []*url.URL
	seeds   int
	lines   *meshLog

	mu     sync.Mutex
	port   int // -1: any free one
	server *server.Server
}

func newHub(o *MeshOptions, id string) (*hub, error) {
	host, port, err := checkAddress(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	h := &hub{options: o, id: id, host: host, tls: o.TLS, lines: newMeshLog(o.Log)}
	if h.port, err = net.LookupPort("tcp", port); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if h.port == 0 {
		h.port = -1
	}
	if o.Advertise != "" {
		if _, _, err := checkAddress(o.Advertise); err != nil {
			return nil, fmt.Errorf("advertise: %w", err)
		}
	}
	for _, seed := range o.Seeds {
		if host, _, err := checkAddress(seed); err != nil || host == "" {
			return nil, fmt.Errorf("seeds: %q is no host:port", seed)
		}
		if seed != o.Listen && seed != o.Advertise {
			h.seeds++
		}
		h.urls = append(h.urls, &url.URL{Scheme: "nats-route", Host: seed})
	}
	switch {
	case o.Secret != "" && o.TLS != nil:
		return nil, errors.New("a mesh has a secret or certificates, not both")
	case o.Secret != "":
		h.tls, err = secretTLS(o.Secret, o.Cluster, o.Node)
	case o.TLS == nil && !local(host):
		err = fmt.Errorf("listen on %q: %w", o.Listen, errOpen)
	}
	return h, err
}

// ensure has the server run.
func (h *hub) ensure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		return nil
	}
	h.lines.begin()
	o := &server.Options{
		ServerName: h.options.Node + "@" + h.id, // unique: names that are taken are settled by the mesh
		Host:       "127.0.0.1",
		Port:       noPort,
		NoSigs:     true,
		MaxPayload: 2 * MaxData,
		MaxPending: maxWaiting,

		NoSystemAccount:     true,
		NoFastProducerStall: true, // a node that is slow loses messages, the others do not wait for it
		WriteDeadline:       writePatience,
		Routes:              h.urls,
		Cluster: server.ClusterOpts{
			Name: h.options.Cluster, Host: h.host, Port: h.port, Advertise: h.options.Advertise, NoAdvertise: true, TLSConfig: h.tls,
			PoolSize: 1, ConnectRetries: maxDials, PingInterval: pingEvery, MaxPingsOut: maxPings,
			WriteDeadline: writePatience, WriteTimeout: server.WriteTimeoutPolicyClose,
			Compression: server.CompressionOpts{Mode: server.CompressionOff},
		},
	}
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("prepare embedded server: %w", err)
	}
	s.SetLoggerV2(h.lines, false, false, false)
	s.Start()
	for end := time.Now().Add(startPatience); s.ClusterAddr() == nil; time.Sleep(time.Millisecond) {
		err := h.lines.fatal()
		if err == nil && time.Now().After(end) {
			err = errors.New("it does not become ready")
		}
		if err != nil {
			s.Shutdown()
			s.WaitForShutdown()
			return fmt.Errorf("start embedded server: %w", err)
		}
	}
	h.port = s.ClusterAddr().Port // the same one if it is started anew
	h.server = s
	return nil
}

// halt ends the server, if it runs.
func (h *hub) halt() {
	if s := h.running(); s != nil {
		h.mu.Lock()
		h.server = nil
		h.mu.Unlock()
		s.Shutdown()
		s.WaitForShutdown()
	}
}

func (h *hub) running() *server.Server {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server
}

// InProcessConn implements [nats.InProcessConnProvider].
func (h *hub) InProcessConn() (net.Conn, error) {
	s := h.running()
	if s == nil {
		return nil, errNotRunning
	}
	return s.InProcessConn()
}

func (h *hub) address() string {
	s := h.running()
	if s == nil || s.ClusterAddr() == nil {
		return ""
	}
	return s.ClusterAddr().String()
}

// Route is a connection to another node.
type Route struct {
	Node    string // its name
	Address string // its end of the connection: the port is the one of Listen if this node has made it
	RTT     time.Duration
	Since   time.Time

	InMessages, OutMessages uint64
	InBytes, OutBytes       uint64
	Pending                 int // bytes that wait to be sent

	id string
}

// routes returns what there are.
func (h *hub) routes() []Route {
	s := h.running()
	if s == nil {
		return nil
	}
	z, err := s.Routez(nil)
	if err != nil {
		return nil
	}
	list := make([]Route, 0, len(z.Routes))
	for _, r := range z.Routes {
		name, id, _ := strings.Cut(r.RemoteName, "@")
		rtt, _ := time.ParseDuration(r.RTT) // "": none is known yet
		list = append(list, Route{
			Node: name, Address: net.JoinHostPort(r.IP, strconv.Itoa(r.Port)), RTT: rtt, Since: r.Start,
			InMessages: uint64(r.InMsgs), OutMessages: uint64(r.OutMsgs), InBytes: uint64(r.InBytes), OutBytes: uint64(r.OutBytes),
			Pending: r.Pending, id: id,
		})
	}
	return list
}
