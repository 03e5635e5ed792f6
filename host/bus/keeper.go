package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// How often the keeper looks: at a bus that works, and at one that does not, doubling from the first.
const (
	lookEvery  = 10 * time.Second
	watchEvery = time.Second // at the folder of an embedded server alone
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// needsVersion is the first version of NATS that stores batches atomically.
var needsVersion = [2]int{2, 12}

// look has the keeper look now.
func (b *Bus) look() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// doubt says that writes are not answered. An embedded server is started anew: it does not answer writes any more
// once one has failed.
func (b *Bus) doubt() {
	if b.engine != nil {
		b.suspect.Store(true)
		b.look()
	}
}

// keep brings the bus up, and up again, until ctx ends.
func (b *Bus) keep(ctx context.Context) {
	wait := firstRetry
	for {
		err := b.revive(ctx)
		if ctx.Err() != nil {
			return
		}
		b.enter(err)
		if err == nil {
			wait = lookEvery
		}
		b.rest(ctx, wait, err == nil)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			wait = firstRetry
		} else {
			wait = min(2*wait, lastRetry)
		}
	}
}

// rest waits until it is time to look again, or ctx ends. Of a bus that works it watches the folder.
func (b *Bus) rest(ctx context.Context, wait time.Duration, works bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var watch <-chan time.Time
	if works && b.engine != nil {
		each := time.NewTicker(watchEvery)
		defer each.Stop()
		watch = each.C
	}
	for {
		select {
		case <-watch:
			if b.engine.folder.there() == nil {
				continue
			}
		case <-b.kick:
		case <-timer.C:
		case <-ctx.Done():
		}
		return
	}
}

// revive does what is missing for the bus to work, and returns why it does not work all the same.
func (b *Bus) revive(ctx context.Context) error {
	if b.engine != nil {
		if b.suspect.Swap(false) {
			b.enter(errors.New("the embedded server has not answered; starting it anew"))
			if err := b.engine.stop(false); err != nil {
				return err
			}
		}
		if err := b.engine.ensure(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := connected(ctx, b.conn, b.engine != nil, b.kick, b.enter); err != nil {
		return err
	}
	return b.fit(ctx)
}

// fit checks whether the server has what is needed, and how full it is.
func (b *Bus) fit(ctx context.Context) error {
	if version := b.conn.ConnectedServerVersion(); !atLeast(version, needsVersion) {
		return fmt.Errorf("%w: the server has version %s; use %d.%d or later", ErrUnfit, version, needsVersion[0], needsVersion[1])
	}
	if most := b.conn.MaxPayload(); most < MaxData+headroom {
		return fmt.Errorf("%w: the server's max_payload is %d; set it to %d or more", ErrUnfit, most, MaxData+headroom)
	}
	b.written.Store(0)
	account, err := b.js.AccountInfo(ctx)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: JetStream is off at the server, or for this account; switch it on", ErrUnfit)
	case err != nil:
		return fmt.Errorf("ask for the state of JetStream: %w", err)
	}
	limit := account.Limits.MaxStore
	if b.engine != nil {
		limit = b.options.MaxBytes
	}
	b.usage.Store(&usage{bytes: int64(account.Store), limit: max(limit, 0), streams: account.Streams})
	return nil
}

// headroom is how many bytes a message may have besides its data: its subject, and headers.
const headroom = 64 << 10

func atLeast(version string, want [2]int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 == nil && err2 == nil && (major > want[0] || major == want[0] && minor >= want[1])
}

// connect prepares the connection.
func (b *Bus) connect() (err error) {
	l := line{
		url: b.options.URL, credentials: b.options.Credentials, tls: b.options.TLS,
		look: b.look, again: func() { b.counts.reconnects.Add(1) }, lost: b.enter,
		failed: func(_ *nats.Subscription, err error) { b.log.Debug("bus connection", "cause", err) },
	}
	if b.engine != nil {
		l.inProcess = b.engine
	}
	if b.conn, err = l.dial(); err != nil {
		return err
	}
	b.js, err = jetstream.New(b.conn)
	return err
}

// login takes credentials in any of their forms.
func login(credentials string) (nats.Option, error) {
	switch {
	case credentials == "":
		return nil, nil
	case strings.Contains(credentials, "-----BEGIN NATS USER JWT-----"):
		return nats.UserCredentialBytes([]byte(credentials)), nil
	case strings.Contains(credentials, ":"):
		user, password, _ := strings.Cut(credentials, ":")
		return nats.UserInfo(user, password), nil
	case strings.HasPrefix(credentials, "SU"):
		pair, err := nkeys.FromSeed([]byte(credentials))
		if err != nil {
			return nats.Token(credentials), nil // a token that begins like that
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		return nats.Nkey(public, pair.Sign), nil
	default:
		return nats.Token(credentials), nil
	}
}
