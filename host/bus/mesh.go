package bus

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// MeshOptions say which nodes a mesh connects, and how.
type MeshOptions struct {
	// Cluster is the name of the cluster: letters, digits, - and _. Nodes of another do not hear this one.
	Cluster string

	// Node is the name of this node, of the same letters. No two may have the same: one of them is refused then, with [ErrTaken].
	Node string

	// Listen is the host:port for other nodes; with port 0 any free one. Without Secret and TLS the host must be of this machine alone.
	Listen string

	// Advertise is the host:port by which others reach this node, if they cannot by the address that its connections come from, with the port
	// of Listen.
	Advertise string

	// Seeds are host:port of nodes to begin with; those tell of the others. They need not be there yet. This node's own may be among them.
	Seeds []string

	// Secret is what all nodes of a cluster know, of 32 bytes or more. Certificates for mutual TLS are made from it, and the name of the
	// cluster, so a peer without it gets nothing.
	Secret string

	// TLS is used in place of Secret, by both sides of each connection: see [MutualTLS].
	TLS *tls.Config

	// URL is an existing server of NATS, or several with commas between, which then passes the messages. Prefix begins their subjects, "rtd" by
	// default. Credentials and ClientTLS are as in [Options]. Listen, Advertise, Seeds, Secret and TLS have no meaning then.
	URL, Prefix, Credentials string
	ClientTLS                *tls.Config

	Log *slog.Logger // default: slog.Default()
}

// Mesh carries messages between nodes, by a server within each process that listens for the others, or by an existing one elsewhere. Nothing
// is stored. Its methods, and those of its inboxes, may be called from any goroutine. While it is down they fail with [ErrDown]; it
// goes on by itself when the cause is gone.
type Mesh struct {
	*health
	options MeshOptions
	id      string // of this mesh among all that there ever are
	root    string // what subjects begin with
	conn    *nats.Conn
	hub     *hub // nil with a URL

	kick    chan struct{}
	settled atomic.Pointer[time.Time] // since when the name is this node's
	muted   atomic.Bool               // it is somebody else's: nothing that comes is meant for this node
	taken   atomic.Pointer[string]    // who has it
	counts  meshCounts
	end     context.CancelFunc
	kept    sync.WaitGroup

	mu      sync.Mutex
	inboxes map[*nats.Subscription]*Inbox
}

// How long a node waits before it speaks: for one of its seeds, and for whoever has its name to say so. longHearing is for a name that was taken.
const (
	seedPatience = 300 * time.Millisecond
	hearing      = 50 * time.Millisecond
	longHearing  = 500 * time.Millisecond
	maxHearing   = 2 * time.Second
	claimEvery   = 5 * time.Second
	routesEvery  = 250 * time.Millisecond
)

// OpenMesh begins to listen and to connect, and returns at once: the error is about options alone. [Mesh.Up] waits, and says what else is wrong, such
// as an address that cannot be taken, which is tried again. Close ends it.
//
// A mesh is up when it has heard that nobody has its name, as far as it can reach, which takes 50 ms; or 300 ms after it began if it reaches no seed.
func OpenMesh(o MeshOptions) (*Mesh, error) {
	o.Log = cmp.Or(o.Log, slog.Default())
	o.Prefix = cmp.Or(o.Prefix, "rtd")
	for what, name := range map[string]string{"cluster": o.Cluster, "node": o.Node, "prefix": o.Prefix} {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("name of %s: %w", what, err)
		}
	}
	m := &Mesh{options: o, id: rand.Text(), kick: make(chan struct{}, 1), inboxes: map[*nats.Subscription]*Inbox{}}
	if o.URL != "" {
		m.root = o.Prefix + ".cluster." + o.Cluster + "."
	} else {
		hub, err := newHub(&m.options, m.id)
		if err != nil {
			return nil, err
		}
		m.hub = hub
	}
	m.health = newHealth("mesh", cmp.Or(o.URL, o.Listen), o.Log)
	if err := m.connect(); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	m.end = end
	m.kept.Go(func() { m.keep(ctx) })
	return m, nil
}

func (m *Mesh) connect() (err error) {
	l := line{
		url: m.options.URL, credentials: m.options.Credentials, tls: m.options.ClientTLS,
		look: m.look, lost: m.enter, failed: m.failed,
		again: func() {
			m.counts.reconnects.Add(1)
			m.lostAll()
		},
	}
	if m.hub != nil {
		l.inProcess = m.hub
	}
	if m.conn, err = l.dial(); err != nil {
		return err
	}
	if _, err = m.conn.Subscribe(m.nameSubject(), m.heard); err != nil {
		m.conn.Close()
	}
	return err
}

// Close ends the mesh. Other nodes notice at once. It may be called again.
func (m *Mesh) Close() error {
	m.end()
	m.kept.Wait()
	if m.Err() == nil {
		_ = m.conn.FlushTimeout(time.Second) // what was published before; the mesh is at its end in any case
	}
	m.enter(ErrClosed)
	m.conn.Close()
	m.mu.Lock()
	inboxes := m.inboxes
	m.inboxes = map[*nats.Subscription]*Inbox{}
	m.mu.Unlock()
	for _, i := range inboxes {
		i.shut()
	}
	if m.hub != nil {
		m.hub.halt()
	}
	return nil
}

// Up waits until the mesh works: this node can be reached and reach others, as far as there are any. If ctx ends before, the error says why it does not.
func (m *Mesh) Up(ctx context.Context) error { return m.up(ctx) }

// Err returns why the mesh does not work, or nil. It does not wait.
func (m *Mesh) Err() error { return m.err() }

// Address returns host:port where the mesh listens, "" while it does not.
func (m *Mesh) Address() string {
	if m.hub == nil {
		return ""
	}
	return m.hub.address()
}

// Publish sends a message to all inboxes of all nodes that have its subject at this moment, those of this mesh included, at most once to each. Data may
// be changed after it has returned. It does not wait for anybody, and nobody says whether the message came.
func (m *Mesh) Publish(subject string, data []byte) error {
	if err := checkKey(subject); err != nil {
		return err
	}
	if len(data) > MaxData {
		return fmt.Errorf("%w: %d bytes, and at most %d can be sent", ErrTooLarge, len(data), MaxData)
	}
	if err := m.Err(); err != nil {
		return err
	}
	if err := m.conn.Publish(m.messages(subject), data); err != nil {
		return because(ErrDown, err)
	}
	m.counts.published.Add(1)
	return nil
}

// messages is a subject within all that is sent.
func (m *Mesh) messages(subject string) string { return m.root + "m." + subject }

// look has the keeper look now.
func (m *Mesh) look() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

// keep brings the mesh up, and up again, until ctx ends.
func (m *Mesh) keep(ctx context.Context) {
	wait := firstRetry
	for {
		err := m.revive(ctx)
		if ctx.Err() != nil {
			return
		}
		m.enter(err)
		if err == nil {
			wait = firstRetry
			m.watch(ctx)
		} else {
			kick := m.kick
			if errors.Is(err, ErrTaken) {
				kick = nil // who has the name says so each time
			}
			rest(ctx, wait, kick)
			wait = min(2*wait, lastRetry)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// rest waits until it is time to look again, or ctx ends.
func rest(ctx context.Context, wait time.Duration, kick <-chan struct{}) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-kick:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch returns when something may be wrong with a mesh that works. Meanwhile it says its name to those who come.
func (m *Mesh) watch(ctx context.Context) {
	each := time.NewTicker(routesEvery)
	defer each.Stop()
	said, known := time.Now(), m.known()
	for m.taken.Load() == nil && m.conn.IsConnected() {
		select {
		case <-each.C:
			now := m.known()
			if now != known || time.Since(said) >= claimEvery {
				m.claim()
				said, known = time.Now(), now
			}
		case <-m.kick:
		case <-ctx.Done():
			return
		}
	}
}

// revive does what is missing for the mesh to work, and returns why it does not work all the same.
func (m *Mesh) revive(ctx context.Context) error {
	if m.hub != nil {
		if err := m.hub.ensure(); err != nil {
			return err
		}
	}
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := connected(short, m.conn, m.hub != nil, m.kick, m.enter); err != nil {
		return err
	}
	if most := m.conn.MaxPayload(); most < MaxData+headroom {
		return fmt.Errorf("%w: the server's max_payload is %d; set it to %d or more", ErrUnfit, most, MaxData+headroom)
	}
	return m.settle(ctx)
}

// checkAddress checks host:port.
func checkAddress(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", fmt.Errorf("%q is no host:port", address)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n > 65535 {
		return "", "", fmt.Errorf("%q has no port", address)
	}
	return host, port, nil
}

// local reports whether a host is of this machine alone.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var errOpen = errors.New("nodes that others can reach need a secret that all of them know, or certificates; without, a node may listen on 127.0.0.1 alone")
