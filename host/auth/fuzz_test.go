package auth_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"rtd/host/auth"
)

// Whatever a client sends, the answer is claims that are JSON or an error of this package.
func FuzzVerify(f *testing.F) {
	c := shared()
	c.JWKSFile, c.Algorithms = "testdata/jwks.json", allAlgorithms
	c.PhoenixSecretKeyBase, c.PhoenixSalt = hide(secretKeyBase), salt
	v := newVerifier(f, c)
	for line := range strings.Lines(golden("tokens.txt") + golden("phoenix.txt")) {
		_, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) { check(t, v, token) })
}

// Claims and header of an issuer that is trusted and mad.
func FuzzJWT(f *testing.F) {
	v := newVerifier(f, shared())
	f.Add(`{"alg":"HS256","kid":"shared"}`, `{"sub":"a","exp":4102444800}`)
	f.Add(`{"alg":"HS256","typ":"JWT"}`, `{"aud":["a"],"iat":1e3,"nbf":0.5,"iss":"x"}`)
	f.Fuzz(func(t *testing.T, header, claims string) { check(t, v, mint(header, claims, secret)) })
}

// The same for the terms of Phoenix tokens, which sign anything here.
func FuzzTerm(f *testing.F) {
	c := phoenix()
	c.PhoenixMaxAge = 100 * 365 * 24 * time.Hour
	v := newVerifier(f, c)
	for _, term := range []string{"61ff", "6e0800ffffffffffffffff", "463ff8000000000000", "6d0000000161", "77026f6b", "6b000201ff",
		"6c0000000161016a", "740000000161016102", "6801680161ff", "690000000161ff"} {
		f.Add(data(term))
	}
	f.Fuzz(func(t *testing.T, payload []byte) { check(t, v, phoenixToken(payload)) })
}

func check(t *testing.T, v *auth.Verifier, token string) {
	claims, err := v.Verify(t.Context(), token)
	if err != nil {
		if claims.JSON != nil {
			t.Errorf("claims beside the error %v", err)
		}
		return
	}
	if !json.Valid(claims.JSON) || len(claims.JSON) > 8*len(token) {
		t.Errorf("%d bytes of claims from a token of %d: %q", len(claims.JSON), len(token), claims.JSON)
	}
}
