package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// MaxToken is how many bytes a token may have. A longer one is refused before
// anything of it is decoded.
const MaxToken = 8 << 10

// What Verify refuses a token with. The errors that it returns wrap one of these and
// say more, but never contain anything of the token: they may be logged. To a client
// say only which of them it was.
var (
	// ErrMissing: there is no token.
	ErrMissing = errors.New("token is missing")

	// ErrInvalid: the token is malformed, not signed by a known key, not meant for
	// this server, or lacks something required. It will never be valid.
	ErrInvalid = errors.New("token is invalid")

	// ErrExpired: the token was valid once. The client should get a new one.
	ErrExpired = errors.New("token has expired")

	// ErrNotYet: the token's nbf, iat or time of signing is in the future, by more
	// than the leeway. Some clock is wrong.
	ErrNotYet = errors.New("token is not valid yet")

	// ErrUnavailable: the keys that the token needs are not there, as their JWKS was
	// never loaded or is too old. The token may be good; later will tell.
	ErrUnavailable = errors.New("keys are unavailable")
)

// Config is what a [Verifier] is made of. At least one of Keys, JWKSFile, JWKSURL and
// PhoenixSecretKeyBase is set. Of durations, zero means the default.
type Config struct {
	// Keys verify JWTs, besides those of the JWKS. Several may be in force at a time:
	// to rotate, add the new key, let issuers sign with it, and remove the old one when
	// its last token has expired.
	Keys []Key

	// Algorithms are those that a JWT may be signed with, of HS256, HS384, HS512,
	// RS256, RS384, RS512, ES256, ES384 and ES512. None: HS256, RS256 and ES256. The
	// work to verify ES384 and ES512 is a multiple of the others', for strangers too.
	Algorithms []string

	// JWKSFile names a file with a JSON Web Key Set of public keys. It is read every
	// two seconds, so a new one is in force soon after it was written.
	JWKSFile string

	// JWKSURL is where an issuer publishes such a set, by https; http is for loopback
	// addresses only.
	JWKSURL string

	// Refresh is how often JWKSURL is loaded again. Default 15 minutes.
	Refresh time.Duration

	// Cooldown is how long after one load of a JWKS the next may begin, be it because
	// the last one failed or because a token names an unknown key. Default 10 seconds.
	Cooldown time.Duration

	// StaleAfter is for how long keys are trusted since the JWKS was last loaded with
	// success. After that its tokens are refused with ErrUnavailable. Default 6 hours.
	StaleAfter time.Duration

	// Issuer and Audience are what iss must be and aud must contain. "": anything will
	// do. They concern JWTs alone.
	Issuer, Audience string

	// Leeway is how far the clocks of issuers may be off, for any time in a token.
	// Default 10 seconds; negative: none.
	Leeway time.Duration

	// RequireExpiry refuses tokens that never expire.
	RequireExpiry bool

	// PhoenixSecretKeyBase makes tokens of Phoenix.Token.sign valid: it is the
	// secret_key_base of the Elixir application's endpoint, of at least 20 bytes.
	PhoenixSecretKeyBase Secret

	// PhoenixSalt is the salt that they are signed with, such as "user socket".
	PhoenixSalt string

	// PhoenixMaxAge is how old they may be, as the option max_age of
	// Phoenix.Token.verify: it replaces the age that the token was signed with. Zero:
	// the token's own.
	PhoenixMaxAge time.Duration

	// Transport loads JWKSURL. Nil: a transport of its own, as http.DefaultTransport.
	Transport http.RoundTripper

	// Log is told which keys are taken and which are not. Nil: nobody is.
	Log *slog.Logger
}

// Verifier checks tokens. All methods may be called at any time from any goroutine.
type Verifier struct {
	jwt     *jwtVerifier     // nil: no key for JWTs
	phoenix *phoenixVerifier // nil: no key for Phoenix.Token
	sources []*source

	accepted, expired, invalid, unavailable atomic.Uint64
}

// New returns a Verifier. It reads JWKSFile, so that a mistake there is found at the
// start; JWKSURL is loaded by [Verifier.Run]. The error says what to change.
func New(c Config) (*Verifier, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	v := &Verifier{}
	if c.JWKSFile != "" {
		s := newFileSource(c)
		if err := s.reload(context.Background()); err != nil {
			return nil, fmt.Errorf("load JWKS from %s: %w", c.JWKSFile, err)
		}
		if s.stats().Keys == 0 {
			return nil, fmt.Errorf("JWKS file %s has no key that can be used; expected public keys for %s",
				c.JWKSFile, strings.Join(c.Algorithms, ", "))
		}
		v.sources = append(v.sources, s)
	}
	if c.JWKSURL != "" {
		s, err := newURLSource(c)
		if err != nil {
			return nil, err
		}
		v.sources = append(v.sources, s)
	}
	if len(c.Keys)+len(v.sources) > 0 {
		if v.jwt, err = newJWTVerifier(c, v.sources); err != nil {
			return nil, err
		}
	}
	if !c.PhoenixSecretKeyBase.IsZero() {
		if v.phoenix, err = newPhoenixVerifier(c); err != nil {
			return nil, err
		}
	}
	if v.jwt == nil && v.phoenix == nil {
		return nil, errors.New("there is no key to verify tokens with; set a key, a JWKS or a secret_key_base")
	}
	return v, nil
}

// complete returns c with its defaults, or what is wrong with it.
func (c Config) complete() (Config, error) {
	for _, d := range []struct {
		name  string
		value *time.Duration
		zero  time.Duration
	}{
		{"refresh", &c.Refresh, 15 * time.Minute},
		{"cooldown", &c.Cooldown, 10 * time.Second},
		{"stale_after", &c.StaleAfter, 6 * time.Hour},
		{"max_age of Phoenix tokens", &c.PhoenixMaxAge, 0},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("%s is %v; expected a positive duration", d.name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.zero
		}
	}
	if c.StaleAfter < c.Refresh {
		return c, fmt.Errorf("stale_after is %v, less than refresh with %v: keys would be too old before they are loaded again",
			c.StaleAfter, c.Refresh)
	}
	if c.Leeway == 0 {
		c.Leeway = 10 * time.Second
	}
	c.Leeway = max(c.Leeway, 0)
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"HS256", "RS256", "ES256"}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Run keeps the keys of the JWKS up to date until ctx ends, and has then ended all
// that it started. Call it once. Before and after that, keys that were not loaded
// are unavailable, and what was loaded goes stale.
func (v *Verifier) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range v.sources {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
}

// Verify checks a token and returns what it says, or an error that wraps one of the
// Err values of this package. If the token names a key that no JWKS has, or the first
// load has not come back yet, it waits for a load, until ctx ends or the load
// does, which takes 5 seconds at most. Else it does not block.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	claims, err := v.verify(ctx, token)
	switch {
	case err == nil:
		v.accepted.Add(1)
	case errors.Is(err, ErrUnavailable):
		v.unavailable.Add(1)
	case errors.Is(err, ErrExpired):
		v.expired.Add(1)
	default:
		v.invalid.Add(1)
	}
	return claims, err
}

func (v *Verifier) verify(ctx context.Context, token string) (Claims, error) {
	switch {
	case token == "":
		return Claims{}, ErrMissing
	case len(token) > MaxToken:
		return Claims{}, invalid("it has more than %d bytes", MaxToken)
	case !threeParts(token):
		return Claims{}, invalid("it is not three parts in base64url")
	case strings.HasPrefix(token, phoenixPrefix):
		if v.phoenix == nil {
			return Claims{}, invalid("Phoenix tokens are not configured")
		}
		return v.phoenix.verify(token)
	case v.jwt == nil:
		return Claims{}, invalid("JWTs are not configured")
	}
	return v.jwt.verify(ctx, token)
}

// threeParts checks the alphabet too, as the base64 decoder skips line breaks: a
// token would have many spellings.
func threeParts(token string) bool {
	dots := 0
	for _, c := range []byte(token) {
		switch {
		case c == '.':
			dots++
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return dots == 2
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Stats are counts since the start and what is in force now.
type Stats struct {
	// Tokens by result. Invalid has the missing and the premature ones in it.
	Accepted, Expired, Invalid, Unavailable uint64

	// Sources are the JWKS, the file before the URL.
	Sources []SourceStats
}

// SourceStats is the state of one JWKS.
type SourceStats struct {
	Name     string        // the file, or the URL without query and password
	Keys     int           // usable keys of the last load, also when they are too old
	Age      time.Duration // since the last load with success; negative: there was none
	Failures uint64        // loads that failed
}

// Stats returns the counts and states as of now.
func (v *Verifier) Stats() Stats {
	s := Stats{
		Accepted:    v.accepted.Load(),
		Expired:     v.expired.Load(),
		Invalid:     v.invalid.Load(),
		Unavailable: v.unavailable.Load(),
	}
	for _, source := range v.sources {
		s.Sources = append(s.Sources, source.stats())
	}
	return s
}
