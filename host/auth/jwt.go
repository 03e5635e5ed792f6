package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// jwtVerifier checks JSON Web Tokens (RFC 7519, with the advice of RFC 8725).
type jwtVerifier struct {
	parser     *jwt.Parser
	algorithms []string
	keys       keySet // of the config
	sources    []*source
}

func newJWTVerifier(c Config, sources []*source) (*jwtVerifier, error) {
	for _, a := range c.Algorithms {
		if !slices.Contains([]string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}, a) {
			return nil, fmt.Errorf("algorithm %q is not supported; expected HS, RS or ES with 256, 384 or 512", a)
		}
	}
	v := &jwtVerifier{algorithms: c.Algorithms, sources: sources}
	for i, k := range c.Keys {
		parsed, err := k.parse()
		if err != nil {
			return nil, fmt.Errorf("key %d (id %q): %w", i+1, k.ID, err)
		}
		if !slices.ContainsFunc(parsed.algorithms, func(a string) bool { return slices.Contains(c.Algorithms, a) }) {
			return nil, fmt.Errorf("key %d (id %q): it is for %s, and allowed are %s; change algorithms or the key",
				i+1, k.ID, strings.Join(parsed.algorithms, ", "), strings.Join(c.Algorithms, ", "))
		}
		v.keys = append(v.keys, parsed)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(c.Algorithms), jwt.WithStrictDecoding(), jwt.WithLeeway(c.Leeway), jwt.WithIssuedAt(),
	}
	if c.Issuer != "" {
		options = append(options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		options = append(options, jwt.WithAudience(c.Audience))
	}
	if c.RequireExpiry {
		options = append(options, jwt.WithExpirationRequired())
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

func (v *jwtVerifier) verify(ctx context.Context, token string) (Claims, error) {
	var set claimsSet
	var cause error // why there is no key
	allowed := false
	_, err := v.parser.ParseWithClaims(token, &set, func(t *jwt.Token) (any, error) {
		allowed = true
		if cause = checkHeader(t.Header); cause != nil {
			return nil, cause
		}
		kid, _ := t.Header["kid"].(string)
		var keys jwt.VerificationKeySet
		keys, cause = v.find(ctx, t.Method.Alg(), kid)
		return keys, cause
	})
	switch {
	case err == nil:
		return set.claims()
	case cause != nil:
		return Claims{}, cause
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && !allowed:
		return Claims{}, invalid("its algorithm is not allowed")
	}
	return Claims{}, refusal(err)
}

// checkHeader refuses a token with a header that is not understood here.
func checkHeader(header map[string]any) error {
	if _, ok := header["crit"]; ok {
		return invalid("it has critical extensions, of which none is supported")
	}
	if kid, ok := header["kid"]; ok {
		if text, ok := kid.(string); !ok || len(text) > maxKeyID {
			return invalid("its kid is no string of at most %d bytes", maxKeyID)
		}
	}
	if typ, ok := header["typ"]; ok {
		text, _ := typ.(string)
		// Other kinds of JWT, such as that of a logout, may be signed with the same key.
		switch strings.TrimPrefix(strings.ToLower(text), "application/") {
		case "jwt", "at+jwt":
		default:
			return invalid("its typ is neither JWT nor at+jwt")
		}
	}
	return nil
}

// find returns the keys that a token may be signed with: keys with its kid, or keys
// without an id, or keys that appear when the JWKS are loaded again.
func (v *jwtVerifier) find(ctx context.Context, alg, kid string) (jwt.VerificationKeySet, error) {
	keys, fresh := v.look(alg, kid)
	if len(keys.Keys) > 0 {
		return keys, nil
	}
	loaded := false
	if !strings.HasPrefix(alg, "HS") { // a JWKS has no secrets
		for _, s := range v.sources {
			loaded = s.again(ctx) || loaded
		}
	}
	if loaded {
		keys, fresh = v.look(alg, kid)
	}
	switch {
	case len(keys.Keys) > 0:
		return keys, nil
	case ctx.Err() != nil:
		return keys, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case !fresh && !strings.HasPrefix(alg, "HS"):
		return keys, fmt.Errorf("%w: a JWKS was never loaded or is too old", ErrUnavailable)
	}
	return keys, invalid("there is no key of that algorithm and id")
}

// look searches the loaded keys. It also says whether all of them are fresh.
func (v *jwtVerifier) look(alg, kid string) (found jwt.VerificationKeySet, fresh bool) {
	named, others := v.keys.find(alg, kid)
	fresh = true
	for _, s := range v.sources {
		keys, ok := s.current()
		n, o := keys.find(alg, kid)
		named, others, fresh = append(named, n...), append(others, o...), fresh && ok
	}
	if len(named) == 0 {
		named = others
	}
	for _, k := range named {
		found.Keys = append(found.Keys, k.material)
	}
	return found, fresh
}

// refusals are the parser's errors, whose text may quote the token, and ours in their
// place. Errors that are final come before those that depend on time.
var refusals = []struct{ is, becomes error }{
	{jwt.ErrTokenMalformed, invalid("it is malformed")},
	{jwt.ErrTokenUnverifiable, invalid("its algorithm is unknown")},
	{jwt.ErrTokenSignatureInvalid, invalid("its signature does not match")},
	{ErrInvalid, invalid("one of exp, nbf, iat, iss and aud is malformed; times are in seconds since 1970")},
	{jwt.ErrTokenRequiredClaimMissing, invalid("one of exp, iss and aud is required and missing")},
	{jwt.ErrTokenInvalidIssuer, invalid("its iss is another")},
	{jwt.ErrTokenInvalidAudience, invalid("its aud is another")},
	{jwt.ErrTokenNotValidYet, fmt.Errorf("%w: its nbf is in the future", ErrNotYet)},
	{jwt.ErrTokenUsedBeforeIssued, fmt.Errorf("%w: its iat is in the future", ErrNotYet)},
	{jwt.ErrTokenExpired, ErrExpired},
}

func refusal(err error) error {
	for _, r := range refusals {
		if errors.Is(err, r.is) {
			return r.becomes
		}
	}
	return invalid("it is refused for another reason")
}
