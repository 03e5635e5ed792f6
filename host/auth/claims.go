package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Claims are the claims of a verified token.
type Claims struct {
	// JSON is the claims set of a JWT as an object with sorted keys, each once; or the
	// data of a Phoenix.Token, which is any JSON value (see the package's doc). It has
	// at most eight times the bytes of the token.
	JSON []byte

	// Subject names the person or program of the token. For a JWT it is sub, "" without
	// one. For a Phoenix.Token it is the data if that is text, an atom or an integer, the
	// text under sub if the data is a map with one, "" for nil, and else all of JSON.
	Subject string

	// Issuer is the iss of a JWT, or "".
	Issuer string

	// Expires is when the token expires, without leeway. Zero: never.
	Expires time.Time
}

// endOfTime is the first second of the year 10000. Later times are mistakes, such as
// milliseconds.
const endOfTime = 253402300800

// claimsSet is the payload of a JWT. It implements the parser's interface, as the
// parser's own types match names without regard to case and take any number for a time.
type claimsSet struct {
	members map[string]json.RawMessage
}

// UnmarshalJSON takes the payload apart. The signature is not checked yet.
func (c *claimsSet) UnmarshalJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("claims are not UTF-8")
	}
	return json.Unmarshal(data, &c.members)
}

// claims returns the claims that the rest of rtd needs. The signature is checked.
func (c *claimsSet) claims() (Claims, error) {
	if c.members == nil {
		return Claims{}, invalid("its claims are no object")
	}
	subject, err1 := c.GetSubject()
	issuer, err2 := c.GetIssuer()
	expires, err3 := c.GetExpirationTime()
	if err := errors.Join(err1, err2, err3); err != nil {
		return Claims{}, invalid("its sub or iss is no text")
	}
	// Written anew: of two members of one name, another decoder could see the other.
	text, err := encodeJSON(c.members)
	if err != nil {
		return Claims{}, invalid("its claims are malformed")
	}
	claims := Claims{JSON: text, Subject: subject, Issuer: issuer}
	if expires != nil {
		claims.Expires = expires.Time
	}
	return claims, nil
}

func (c *claimsSet) GetExpirationTime() (*jwt.NumericDate, error) { return c.date("exp") }
func (c *claimsSet) GetNotBefore() (*jwt.NumericDate, error)      { return c.date("nbf") }
func (c *claimsSet) GetIssuedAt() (*jwt.NumericDate, error)       { return c.date("iat") }
func (c *claimsSet) GetIssuer() (string, error)                   { return c.text("iss") }
func (c *claimsSet) GetSubject() (string, error)                  { return c.text("sub") }

// GetAudience returns aud, which is a string or a list of them.
func (c *claimsSet) GetAudience() (jwt.ClaimStrings, error) {
	raw, ok := c.members["aud"]
	if !ok {
		return nil, nil
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list, nil
	}
	one, err := c.text("aud")
	return jwt.ClaimStrings{one}, err
}

// date returns nil if there is no such claim.
func (c *claimsSet) date(name string) (*jwt.NumericDate, error) {
	raw, ok := c.members[name]
	if !ok {
		return nil, nil
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds >= endOfTime {
		return nil, invalid("%s is no time in seconds", name)
	}
	whole, fraction := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(fraction*1e9))}, nil
}

// text returns "" if there is no such claim.
func (c *claimsSet) text(name string) (string, error) {
	raw, ok := c.members[name]
	if !ok {
		return "", nil
	}
	if raw[0] != '"' {
		return "", invalid("%s is no text", name)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", invalid("%s is malformed", name)
	}
	return text, nil
}

func encodeJSON(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
