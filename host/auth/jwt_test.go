package auth_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/auth"
)

var allAlgorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"}

// The tokens are made by testdata/mint.sh, and expire in the year 2100.
func TestTokensOfOpenSSL(t *testing.T) {
	c := shared()
	c.Algorithms, c.JWKSFile = allAlgorithms, "testdata/jwks.json"
	c.Issuer, c.Audience, c.RequireExpiry = "https://id.example", "rtd", true
	v := newVerifier(t, c)
	for line := range strings.Lines(golden("tokens.txt")) {
		alg, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		t.Run(alg, func(t *testing.T) {
			claims := expect(t, v, token, nil)
			const want = `{"aud":"rtd","exp":4102444800,"iat":1750000000,"iss":"https://id.example","role":"admin","sub":"user-1"}`
			if string(claims.JSON) != want {
				t.Errorf("claims %s, want %s", claims.JSON, want)
			}
			if claims.Subject != "user-1" || claims.Issuer != "https://id.example" || claims.Expires.Unix() != 4102444800 {
				t.Errorf("subject %q, issuer %q, expires %v", claims.Subject, claims.Issuer, claims.Expires)
			}

			// A bit of the signature, and one of the claims.
			last := len(token) - 5
			expect(t, v, token[:last]+flip(token[last:last+1])+token[last+1:], auth.ErrInvalid)
			dot := strings.IndexByte(token, '.') + 10
			expect(t, v, token[:dot]+flip(token[dot:dot+1])+token[dot+1:], auth.ErrInvalid)
		})
	}
}

func flip(letter string) string {
	if letter == "A" {
		return "B"
	}
	return "A"
}

// With the defaults, algorithms beyond the three usual ones are off.
func TestAlgorithmsAreAllowedOneByOne(t *testing.T) {
	c := shared()
	c.JWKSFile = "testdata/jwks.json"
	v := newVerifier(t, c)
	for line := range strings.Lines(golden("tokens.txt")) {
		alg, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		want := auth.ErrInvalid
		if strings.HasSuffix(alg, "256") {
			want = nil
		}
		expect(t, v, token, want)
	}
}

func TestPublicKeysAsPEM(t *testing.T) {
	v := newVerifier(t, auth.Config{Keys: []auth.Key{
		{Value: hide("file:testdata/rsa.pem")},
		{ID: "ecP-256", Value: hide("file:testdata/ecP-256.pem")},
	}})
	for line := range strings.Lines(golden("tokens.txt")) {
		alg, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		if alg == "RS256" || alg == "ES256" {
			expect(t, v, token, nil)
		} else {
			expect(t, v, token, auth.ErrInvalid)
		}
	}
}

func TestRefusedTokens(t *testing.T) {
	c := shared()
	c.Issuer, c.Audience, c.RequireExpiry = "me", "rtd", true
	v := newVerifier(t, c)
	good := func(change object) object {
		claims := object{"iss": "me", "aud": "rtd", "sub": "ada", "exp": in(60), "iat": in(0)}
		for name, value := range change {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return claims
	}
	header := func(change object) object {
		h := object{"alg": "HS256"}
		for name, value := range change {
			h[name] = value
		}
		return h
	}
	signed := func(change object) string { return hs(good(change)) }
	headed := func(change object) string { return mint(header(change), good(nil), secret) }
	text := string(must(json.Marshal(good(nil))))
	whole := signed(nil)
	parts := strings.Split(whole, ".")

	for _, ok := range []string{
		whole,
		signed(object{"aud": []string{"other", "rtd"}}),
		signed(object{"exp": in(60.5), "nbf": in(-5)}),
		headed(nil),
		headed(object{"typ": "application/at+JWT", "kid": "shared"}),
		signed(object{"sub": nil}),
	} {
		expect(t, v, ok, nil)
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"missing":                {"", auth.ErrMissing},
		"no parts":               {"token", auth.ErrInvalid},
		"two parts":              {parts[0] + "." + parts[1], auth.ErrInvalid},
		"four parts":             {whole + ".x", auth.ErrInvalid},
		"no signature":           {parts[0] + "." + parts[1] + ".", auth.ErrInvalid},
		"empty parts":            {"..", auth.ErrInvalid},
		"padding":                {whole + "=", auth.ErrInvalid},
		"line break":             {parts[0] + ".\n" + parts[1] + "." + parts[2], auth.ErrInvalid},
		"space":                  {" " + whole, auth.ErrInvalid},
		"line break at the end":  {whole + "\n", auth.ErrInvalid},
		"another spelling":       {whole[:len(whole)-1] + string(whole[len(whole)-1]+1), auth.ErrInvalid}, // of the same bytes, to a lenient decoder
		"long":                   {signed(object{"pad": strings.Repeat("a", auth.MaxToken*3/4-250)}), nil},
		"too long":               {signed(object{"pad": strings.Repeat("a", auth.MaxToken*3/4)}), auth.ErrInvalid},
		"header no JSON":         {mint("HS256", good(nil), secret), auth.ErrInvalid},
		"header null":            {mint("null", good(nil), secret), auth.ErrInvalid},
		"header list":            {mint("[]", good(nil), secret), auth.ErrInvalid},
		"no algorithm":           {mint(object{"typ": "JWT"}, good(nil), secret), auth.ErrInvalid},
		"algorithm a number":     {headed(object{"alg": 256}), auth.ErrInvalid},
		"unknown algorithm":      {headed(object{"alg": "HS257"}), auth.ErrInvalid},
		"algorithm in lower":     {headed(object{"alg": "hs256"}), auth.ErrInvalid},
		"PSS":                    {headed(object{"alg": "PS256"}), auth.ErrInvalid},
		"critical extension":     {headed(object{"crit": []string{"b64"}, "b64": false}), auth.ErrInvalid},
		"kid a number":           {headed(object{"kid": 1}), auth.ErrInvalid},
		"kid too long":           {headed(object{"kid": strings.Repeat("k", 257)}), auth.ErrInvalid},
		"unknown kid":            {headed(object{"kid": "other"}), auth.ErrInvalid},
		"kid empty is no kid":    {headed(object{"kid": ""}), nil},
		"typ of a logout":        {headed(object{"typ": "logout+jwt"}), auth.ErrInvalid},
		"typ a number":           {headed(object{"typ": 1}), auth.ErrInvalid},
		"another secret":         {mint(header(nil), good(nil), secret+"x"), auth.ErrInvalid},
		"claims null":            {mint(header(nil), "null", secret), auth.ErrInvalid},
		"claims list":            {mint(header(nil), "["+text+"]", secret), auth.ErrInvalid},
		"claims and more":        {mint(header(nil), text+"{}", secret), auth.ErrInvalid},
		"claims not UTF-8":       {mint(header(nil), strings.Replace(text, "ada", "\xff", 1), secret), auth.ErrInvalid},
		"names in upper case":    {mint(header(nil), strings.Replace(text, `"exp"`, `"EXP"`, 1), secret), auth.ErrInvalid},
		"issuer missing":         {signed(object{"iss": nil}), auth.ErrInvalid},
		"issuer another":         {signed(object{"iss": "you"}), auth.ErrInvalid},
		"issuer a list":          {signed(object{"iss": []string{"me"}}), auth.ErrInvalid},
		"audience missing":       {signed(object{"aud": nil}), auth.ErrInvalid},
		"audience another":       {signed(object{"aud": []string{"a", "b"}}), auth.ErrInvalid},
		"audience a number":      {signed(object{"aud": 1}), auth.ErrInvalid},
		"audience list of mixed": {signed(object{"aud": []any{"rtd", 1}}), auth.ErrInvalid},
		"subject a number":       {signed(object{"sub": 7}), auth.ErrInvalid},
		"expiry missing":         {signed(object{"exp": nil}), auth.ErrInvalid},
		"expiry text":            {signed(object{"exp": "4102444800"}), auth.ErrInvalid},
		"expiry null":            {mint(header(nil), `{"iss":"me","aud":"rtd","exp":null}`, secret), auth.ErrInvalid},
		"expiry milliseconds":    {signed(object{"exp": in(60) * 1000}), auth.ErrInvalid},
		"expiry huge":            {signed(object{"exp": 1e300}), auth.ErrInvalid},
		"expiry negative":        {signed(object{"exp": -1}), auth.ErrInvalid},
		"expired":                {signed(object{"exp": in(-60)}), auth.ErrExpired},
		"expired and not ours":   {signed(object{"exp": in(-60), "aud": "b"}), auth.ErrInvalid},
		"issued in the future":   {signed(object{"iat": in(60)}), auth.ErrNotYet},
		"not before":             {signed(object{"nbf": in(30)}), auth.ErrNotYet},
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, test.token, test.want) })
	}
}

// Attacks that make a verifier use a key for what it is not.
func TestAlgorithmConfusion(t *testing.T) {
	key, curve := rsaKey(), newEC()
	pem := golden("rsa.pem")
	c := auth.Config{
		Algorithms: allAlgorithms,
		JWKSFile:   write(t, jwks(jwkOf("r", &key.PublicKey), jwkOf("e", &curve.PublicKey), with(jwkOf("r256", &key.PublicKey), "alg", "RS256"))),
		Keys:       []auth.Key{{ID: "pem", Value: hide(pem)}, {ID: "shared", Value: hide(secret)}, {ID: "short", Value: hide(secret[:40])}},
	}
	v := newVerifier(t, c)
	claims := object{"sub": "mallory"}
	as := func(alg, kid string, key any) string { return mint(object{"alg": alg, "kid": kid}, claims, key) }
	expect(t, v, as("RS256", "r", key), nil)
	expect(t, v, as("RS512", "r", key), nil)
	expect(t, v, as("RS256", "r256", key), nil)
	expect(t, v, as("HS256", "short", secret[:40]), nil)

	set := golden("jwks.json")
	for name, token := range map[string]string{
		"PEM as secret":             as("HS256", "pem", pem),
		"trimmed PEM as secret":     as("HS256", "pem", strings.TrimSpace(pem)),
		"PEM as secret, no kid":     mint(object{"alg": "HS256"}, claims, pem),
		"modulus as secret":         as("HS256", "r", string(key.N.Bytes())),
		"set as secret":             as("HS256", "r", set),
		"empty secret":              as("HS256", "r", ""),
		"none":                      as("none", "shared", nil),
		"None":                      as("None", "shared", nil),
		"empty":                     as("", "shared", nil),
		"RSA key for ES256":         as("ES256", "r", curve),
		"EC key for RS256":          as("RS256", "e", key),
		"P-256 for ES384":           as("ES384", "e", curve),
		"RS512 with a key of RS256": as("RS512", "r256", key),
		"secret too short for 512":  as("HS512", "short", secret[:40]),
		"key in the header": mint(object{"alg": "ES256", "kid": "x", "jwk": jwkOf("x", &curve.PublicKey),
			"jku": "https://mallory.example/jwks"}, claims, newEC()),
		"PSS of an RSA key": as("PS256", "r", key),
	} {
		t.Run(name, func(t *testing.T) { expect(t, v, token, auth.ErrInvalid) })
	}
}

func TestSeveralKeysAtOnce(t *testing.T) {
	const next = "another secret, of thirty-two bytes or more"
	c := shared()
	c.Keys = append(c.Keys, auth.Key{ID: "next", Value: hide(next)})
	v := newVerifier(t, c)
	by := func(kid, key string) string { return mint(object{"alg": "HS256", "kid": kid}, object{}, key) }
	bare := func(key string) string { return mint(object{"alg": "HS256"}, object{}, key) }
	expect(t, v, by("shared", secret), nil)
	expect(t, v, by("next", next), nil)
	expect(t, v, bare(secret), nil)
	expect(t, v, bare(next), nil)
	expect(t, v, by("next", secret), auth.ErrInvalid)
	expect(t, v, by("old", secret), auth.ErrInvalid)

	// A key without an id is for any kid that is not another's.
	c.Keys[1].ID = ""
	v = newVerifier(t, c)
	expect(t, v, by("whatever", next), nil)
	expect(t, v, by("shared", next), auth.ErrInvalid)
}

func TestLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := shared()
		c.Leeway = 5 * time.Second
		lenient := newVerifier(t, c)
		c.Leeway = -1
		exact := newVerifier(t, c)
		for _, test := range []struct {
			claim         string
			seconds       float64
			lenient, then error
		}{
			{"exp", 1, nil, nil},
			{"exp", 0, nil, auth.ErrExpired},
			{"exp", -4, nil, auth.ErrExpired},
			{"exp", -5, auth.ErrExpired, auth.ErrExpired},
			{"nbf", 0, nil, nil},
			{"nbf", 5, nil, auth.ErrNotYet},
			{"nbf", 6, auth.ErrNotYet, auth.ErrNotYet},
			{"iat", 5, nil, auth.ErrNotYet},
			{"iat", 6, auth.ErrNotYet, auth.ErrNotYet},
		} {
			token := hs(object{test.claim: in(test.seconds)})
			expect(t, lenient, token, test.lenient)
			expect(t, exact, token, test.then)
		}
	})
}

func TestClaimsAreAnObject(t *testing.T) {
	v := newVerifier(t, shared())
	for claims, want := range map[string]error{"{}": nil, "null": auth.ErrInvalid, "[]": auth.ErrInvalid, `"a"`: auth.ErrInvalid, "1": auth.ErrInvalid, "": auth.ErrInvalid} {
		expect(t, v, mint(object{"alg": "HS256"}, claims, secret), want)
	}
}

// A guest decodes the claims that were checked.
func TestClaimsAreWrittenAnew(t *testing.T) {
	v := newVerifier(t, shared())
	token := mint(object{"alg": "HS256"}, `{"sub":"a", "n":12345678901234567890.50, "html":"<&>", "sub":"b" , "o":{"z":1,"a":[ ]}}`, secret)
	claims := expect(t, v, token, nil)
	const want = `{"html":"<&>","n":12345678901234567890.50,"o":{"z":1,"a":[]},"sub":"b"}`
	if string(claims.JSON) != want || claims.Subject != "b" {
		t.Errorf("claims %s of %q, want %s of b", claims.JSON, claims.Subject, want)
	}
	if !claims.Expires.IsZero() {
		t.Errorf("expires %v, want never", claims.Expires)
	}
}

func TestStatsCountResults(t *testing.T) {
	v := newVerifier(t, shared())
	expect(t, v, hs(object{}), nil)
	expect(t, v, hs(object{"exp": in(-60)}), auth.ErrExpired)
	expect(t, v, "x", auth.ErrInvalid)
	expect(t, v, "", auth.ErrMissing)
	s := v.Stats()
	if s.Accepted != 1 || s.Expired != 1 || s.Invalid != 2 || s.Unavailable != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestConfigMistakes(t *testing.T) {
	key := func(text string) []auth.Key { return []auth.Key{{ID: "k", Value: hide(text)}} }
	private := "-----BEGIN PRIVATE " + "KEY-----\nAAAA\n-----END PRIVATE " + "KEY-----"
	for _, test := range []struct {
		config auth.Config
		says   string
	}{
		{auth.Config{}, "no key"},
		{auth.Config{Keys: []auth.Key{{ID: "k"}}}, "0 bytes"},
		{auth.Config{Keys: key("short")}, "openssl rand"},
		{auth.Config{Keys: key(private)}, `type "PRIVATE KEY"`},
		{auth.Config{Keys: key("-----BEGIN PUBLIC KEY-----")}, "not PEM"},
		{auth.Config{Keys: key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")}, "parse public key"},
		{auth.Config{Keys: key(secret), Algorithms: []string{"none"}}, `"none" is not supported`},
		{auth.Config{Keys: key(secret), Algorithms: []string{"RS256"}}, "allowed are RS256"},
		{auth.Config{Keys: key(secret), Refresh: -1}, "refresh"},
		{auth.Config{Keys: key(secret), Refresh: time.Hour, StaleAfter: time.Minute}, "stale_after"},
		{auth.Config{JWKSURL: "http://id.example/keys?password=hush"}, "https"},
		{auth.Config{JWKSURL: "http://127.0.0.1.id.example/keys"}, "https"},
		{auth.Config{JWKSURL: "https://u:hush@id.example:x/"}, "malformed"},
		{auth.Config{JWKSURL: "file:///etc/passwd"}, "malformed"},
		{auth.Config{JWKSFile: "testdata/absent.json"}, "absent.json"},
		{auth.Config{JWKSFile: "testdata/tokens.txt"}, "parse JWKS"},
		{auth.Config{JWKSFile: "testdata/jwks.json", Algorithms: []string{"HS256"}}, "no key that can be used"},
		{auth.Config{PhoenixSecretKeyBase: hide("too short"), PhoenixSalt: "s"}, "at least 20"},
		{auth.Config{PhoenixSecretKeyBase: hide(secret)}, "salt"},
	} {
		_, err := auth.New(test.config)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("error %v, want one with %q", err, test.says)
		}
		if err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), secret)) {
			t.Errorf("error tells a secret: %v", err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := shared()
	c.Algorithms, c.JWKSFile = allAlgorithms, "testdata/jwks.json"
	v := newVerifier(b, c)
	for line := range strings.Lines(golden("tokens.txt")) {
		alg, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		b.Run(alg, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
