package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"rtd/host/auth"
	"rtd/host/config"
	"rtd/host/gateway/handshake"
)

// tokens verifies what clients show when they connect, and follows it while they are
// connected: package auth has the rules, this the events.
//
//	to the client      topic phoenix, event token_expiring, {"expires_in": seconds}
//	from the client    topic phoenix, event token, {"token": "…"}, answered ok or error
//	at the end         close code 4003
type tokens struct {
	verifier *auth.Verifier // nil if no token is good
	policy   auth.Policy
	log      *slog.Logger
	running  *sync.WaitGroup // where new tokens are verified; it waits no longer than run for keys

	mu    sync.Mutex
	inUse map[*heldToken]struct{}
}

// heldToken is a token that a connection lives by.
type heldToken struct {
	tokens *tokens
	tell   func(event string, payload []byte) // the client
	end    func()                             // its connection

	mu      sync.Mutex
	session auth.Session
	asking  bool // a new token is being verified
}

func newTokens(c config.Auth, log *slog.Logger, running *sync.WaitGroup) (*tokens, error) {
	t := &tokens{log: log, running: running, inUse: map[*heldToken]struct{}{}, policy: auth.Policy{Notice: c.Notice, Grace: c.Grace, Leeway: c.Leeway}}
	if len(c.Keys) == 0 && c.JWKSFile == "" && c.JWKSURL == "" && c.PhoenixSecretKeyBase == "" {
		return t, nil
	}
	settings := auth.Config{
		Algorithms: c.Algorithms, JWKSFile: c.JWKSFile, JWKSURL: c.JWKSURL, Refresh: c.Refresh,
		Issuer: c.Issuer, Audience: c.Audience, Leeway: cmp.Or(c.Leeway, -1), RequireExpiry: c.RequireExpiry,
		PhoenixSalt: c.PhoenixSalt, PhoenixMaxAge: c.PhoenixMaxAge, Log: log,
	}
	for i, entry := range c.Keys {
		key, err := parseKey(entry)
		if err != nil {
			return nil, fmt.Errorf("read auth.keys: entry %d: %w", i+1, err)
		}
		settings.Keys = append(settings.Keys, key)
	}
	var err error
	if c.PhoenixSecretKeyBase != "" {
		if settings.PhoenixSecretKeyBase, err = auth.ParseSecret(c.PhoenixSecretKeyBase); err != nil {
			return nil, fmt.Errorf("read auth.phoenix_secret_key_base: %w", err)
		}
	}
	if t.verifier, err = auth.New(settings); err != nil {
		return nil, fmt.Errorf("read [auth]: %w", err)
	}
	return t, nil
}

// keyWithID is an entry such as "2026=env:JWT_2026".
var keyWithID = regexp.MustCompile(`^([^=:]+)=((?:env|file):.+)$`)

func parseKey(entry string) (key auth.Key, err error) {
	if parts := keyWithID.FindStringSubmatch(entry); parts != nil {
		key.ID, entry = parts[1], parts[2]
	}
	key.Value, err = auth.ParseSecret(entry)
	return key, err
}

// run keeps keys up to date until ctx ends.
func (t *tokens) run(ctx context.Context) {
	if t.verifier != nil {
		t.verifier.Run(ctx)
	}
}

// admit verifies the token of a client that connects through a mount. Claims are nil without
// one, where that is allowed.
func (t *tokens) admit(ctx context.Context, m *mount, params map[string]any, offer handshake.Offer) (*auth.Claims, error) {
	if m.config.Auth == "none" {
		return nil, nil
	}
	text, _ := params["token"].(string)
	if offer.Token != nil {
		text = *offer.Token
	}
	if text == "" && m.config.Auth == "optional" {
		return nil, nil
	}
	claims, err := t.verifier.Verify(ctx, text)
	switch {
	case errors.Is(err, auth.ErrUnavailable):
		return nil, refuse(http.StatusServiceUnavailable, "token", err)
	case err != nil:
		return nil, refuse(http.StatusForbidden, "token", err)
	}
	return &claims, nil
}

// hold follows the token of a connection until release.
func (t *tokens) hold(claims *auth.Claims, tell func(event string, payload []byte), end func()) *heldToken {
	if claims == nil {
		return nil
	}
	h := &heldToken{tokens: t, tell: tell, end: end, session: auth.NewSession(*claims, t.policy, time.Now())}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inUse[h] = struct{}{}
	return h
}

// release ends that. A nil h has nothing to release.
func (h *heldToken) release() {
	if h == nil {
		return
	}
	h.tokens.mu.Lock()
	defer h.tokens.mu.Unlock()
	delete(h.tokens.inUse, h)
}

// sweep does what is due for all connections.
func (t *tokens) sweep(now time.Time) {
	var due []func()
	t.mu.Lock()
	for h := range t.inUse {
		h.mu.Lock()
		event, expires := h.session.Tick(now), h.session.Expires()
		h.mu.Unlock()
		switch event {
		case auth.Expiring, auth.Expired:
			left := max(0, int(expires.Sub(now).Seconds()))
			due = append(due, func() { h.tell("token_expiring", fmt.Appendf(nil, `{"expires_in":%d}`, left)) })
		case auth.Ended:
			delete(t.inUse, h)
			due = append(due, h.end)
		}
	}
	t.mu.Unlock()
	for _, do := range due {
		do()
	}
}

// claimsOf returns claims as JSON, or nil.
func claimsOf(claims *auth.Claims) []byte {
	if claims == nil {
		return nil
	}
	return claims.JSON
}

// controls returns the function that takes a client's own events for its socket; nil without a token.
func (h *heldToken) controls() func(event string, payload []byte, reply func(status string, response []byte)) bool {
	if h == nil {
		return nil
	}
	return h.control
}

// control takes an event of the client on topic phoenix: a new token. It may have to wait
// for keys, and therefore answers later.
func (h *heldToken) control(event string, payload []byte, reply func(status string, response []byte)) bool {
	if event != "token" {
		return false
	}
	h.mu.Lock()
	busy := h.asking
	h.asking = true
	h.mu.Unlock()
	if busy {
		reply("error", []byte(`{"reason":"another token is being verified"}`))
		return true
	}
	payload = bytes.Clone(payload)
	h.tokens.running.Go(func() {
		defer func() {
			h.mu.Lock()
			h.asking = false
			h.mu.Unlock()
		}()
		left, err := h.refresh(payload)
		if err != nil {
			h.tokens.log.Debug("new token refused", "cause", err)
			reply("error", fmt.Appendf(nil, `{"reason":%q}`, reasonOf(err)))
			return
		}
		reply("ok", fmt.Appendf(nil, `{"expires_in":%d}`, left))
	})
	return true
}

func (h *heldToken) refresh(payload []byte) (left int, err error) {
	var p struct{ Token string }
	if err := json.Unmarshal(payload, &p); err != nil {
		return 0, auth.ErrInvalid
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	claims, err := h.tokens.verifier.Verify(ctx, p.Token)
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.session.Refresh(claims, time.Now()); err != nil {
		return 0, err
	}
	return int(time.Until(claims.Expires).Seconds()), nil
}

// reasonOf returns what a client is told about its token: the kind of error, nothing more.
func reasonOf(err error) string {
	for _, kind := range []error{
		auth.ErrMissing, auth.ErrExpired, auth.ErrNotYet, auth.ErrUnavailable,
		auth.ErrOtherSubject, auth.ErrNotLater, auth.ErrEnded,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return auth.ErrInvalid.Error()
}
