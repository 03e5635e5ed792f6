package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

// phoenixPrefix is base64url of HS256, the header of each Phoenix.Token. The header of a
// JWT is a JSON object, so that no token is both.
const phoenixPrefix = "SFMyNTY."

// phoenixVerifier checks tokens of Phoenix.Token.sign, which is Plug.Crypto.sign.
type phoenixVerifier struct {
	key           []byte
	maxAge        time.Duration // 0: the token's own
	leeway        time.Duration
	requireExpiry bool
}

func newPhoenixVerifier(c Config) (*phoenixVerifier, error) {
	if n := len(c.PhoenixSecretKeyBase.Reveal()); n < 20 {
		return nil, fmt.Errorf("secret_key_base has %d bytes, and Phoenix wants at least 20; "+
			"expected that of the application's endpoint", n)
	}
	if c.PhoenixSalt == "" {
		return nil, errors.New("the salt of Phoenix tokens is not set; expected what the application gives to Phoenix.Token.sign")
	}
	key, err := pbkdf2.Key(sha256.New, c.PhoenixSecretKeyBase.Reveal(), []byte(c.PhoenixSalt), 1000, 32)
	if err != nil {
		return nil, fmt.Errorf("derive key of Phoenix tokens: %w", err)
	}
	return &phoenixVerifier{key, c.PhoenixMaxAge, c.Leeway, c.RequireExpiry}, nil
}

// verify checks a token of three parts whose first is phoenixPrefix.
func (v *phoenixVerifier) verify(token string) (Claims, error) {
	dot := strings.LastIndexByte(token, '.')
	signature, err := segment(token[dot+1:])
	if err != nil {
		return Claims{}, invalid("it is malformed")
	}
	mac := hmac.New(sha256.New, v.key)
	mac.Write([]byte(token[:dot]))
	if !hmac.Equal(mac.Sum(nil), signature) {
		return Claims{}, invalid("its signature does not match; check secret_key_base and salt")
	}
	payload, err := segment(token[len(phoenixPrefix):dot])
	if err != nil {
		return Claims{}, invalid("it is malformed")
	}
	term, err := decodeTerm(payload)
	if err != nil {
		return Claims{}, invalid("its payload cannot be taken: %v", err)
	}
	signed, expires, data, err := v.times(term)
	if err != nil {
		return Claims{}, err
	}
	now := time.Now()
	switch {
	case now.Before(signed.Add(-v.leeway)):
		return Claims{}, fmt.Errorf("%w: it was signed in the future", ErrNotYet)
	case expires.IsZero() && v.requireExpiry:
		return Claims{}, invalid("it never expires")
	case !expires.IsZero() && (!expires.After(signed) || !now.Before(expires.Add(v.leeway))):
		return Claims{}, ErrExpired
	}
	text, err := encodeJSON(data)
	if err != nil {
		return Claims{}, invalid("its data cannot be said in JSON")
	}
	return Claims{JSON: text, Subject: phoenixSubject(data, text), Expires: expires}, nil
}

// times takes {data, signed_at_ms, max_age_s} apart, or {data, signed_at_ms} as it
// was before Plug.Crypto 1.2. Without an age, expires is zero.
func (v *phoenixVerifier) times(term any) (signed, expires time.Time, data any, err error) {
	fields, _ := term.(tuple)
	age := any(int64(86400))
	switch len(fields) {
	case 3:
		age = fields[2]
	case 2:
	default:
		return signed, expires, nil, invalid("its payload is not {data, signed_at, max_age}")
	}
	at, ok := fields[1].(int64)
	if !ok || at < 0 || at >= endOfTime*1000 {
		return signed, expires, nil, invalid("its time of signing is none")
	}
	signed = time.UnixMilli(at)
	if v.maxAge > 0 {
		return signed, signed.Add(v.maxAge), fields[0], nil
	}
	var seconds float64
	switch age := age.(type) {
	case int64:
		seconds = float64(age)
	case float64:
		seconds = age
	case *big.Int:
		seconds, _ = age.Float64()
	case atom:
		if age != "infinity" {
			return signed, expires, nil, invalid("its age is none")
		}
		return signed, time.Time{}, fields[0], nil
	default:
		return signed, expires, nil, invalid("its age is none")
	}
	milliseconds := min(math.Trunc(max(seconds, 0)*1000), float64(endOfTime*1000-at))
	return signed, time.UnixMilli(at + int64(milliseconds)), fields[0], nil
}

func phoenixSubject(data any, text []byte) string {
	switch data := data.(type) {
	case nil:
		return ""
	case string:
		return data
	case atom:
		return string(data)
	case map[string]any:
		if subject, ok := data["sub"].(string); ok {
			return subject
		}
	}
	return string(text) // of an integer, its digits
}
