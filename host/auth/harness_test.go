package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rtd/host/auth"
)

// secret is the one of testdata/mint.sh.
const secret = "9f2c1d7a5be84630b1c4d8e7f6a5930212ab34cd56ef7890a1b2c3d4e5f60718"

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func hide(text string) auth.Secret { return must(auth.ParseSecret(text)) }

func newVerifier(t testing.TB, c auth.Config) *auth.Verifier {
	t.Helper()
	v, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shared is a Config with one secret, by the id "shared".
func shared() auth.Config {
	return auth.Config{Keys: []auth.Key{{ID: "shared", Value: hide(secret)}}}
}

// run runs v until the test ends, or the returned function is called.
func run(t testing.TB, v *auth.Verifier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { v.Run(ctx) })
	stop = func() { cancel(); wait.Wait() }
	t.Cleanup(stop)
	return stop
}

// expect checks what Verify says, and that errors tell nothing of the token.
func expect(t testing.TB, v *auth.Verifier, token string, want error) auth.Claims {
	t.Helper()
	claims, err := v.Verify(t.Context(), token)
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("error %v, want %v", err, want)
	}
	if err == nil {
		return claims
	}
	if claims.JSON != nil || claims.Subject != "" || !claims.Expires.IsZero() {
		t.Errorf("claims %v beside the error %v", claims, err)
	}
	for part := range strings.SplitSeq(token, ".") {
		decoded, _ := base64.RawURLEncoding.DecodeString(part)
		if len(part) > 8 && (strings.Contains(err.Error(), part) || len(decoded) > 8 && strings.Contains(err.Error(), string(decoded))) {
			t.Errorf("error quotes the token: %v", err)
		}
	}
	return claims
}

type object = map[string]any

// in returns a NumericDate some seconds from now.
func in(seconds float64) float64 { return float64(time.Now().Unix()) + seconds }

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

// mint signs a JWT without the library that the package uses. Header and claims may be text, to be taken as it is.
func mint(header, claims any, key any) string {
	text := func(v any) string {
		if s, ok := v.(string); ok {
			return b64([]byte(s))
		}
		return b64(must(json.Marshal(v)))
	}
	signed := text(header) + "." + text(claims)
	return signed + "." + b64(sign(fmt.Sprint(header), signed, key))
}

// sign takes the hash from the name of the algorithm in header.
func sign(header, text string, key any) []byte {
	hash := crypto.SHA256
	if strings.Contains(header, "S384") {
		hash = crypto.SHA384
	} else if strings.Contains(header, "S512") {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(text))
	sum := h.Sum(nil)
	switch key := key.(type) {
	case string:
		mac := hmac.New(hash.New, []byte(key))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	case *rsa.PrivateKey:
		return must(rsa.SignPKCS1v15(rand.Reader, key, hash, sum))
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum)
		size := (key.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		must(0, err)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out
	}
	return nil
}

func hs(claims object) string {
	return mint(object{"alg": "HS256", "typ": "JWT", "kid": "shared"}, claims, secret)
}

func es(kid string, key *ecdsa.PrivateKey) string {
	return mint(object{"alg": "ES256", "kid": kid}, object{"sub": "ada"}, key)
}

var newEC = func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// jwkOf returns the JWK of a public key.
func jwkOf(kid string, public any) object {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return object{"kty": "RSA", "kid": kid, "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(k.Bytes())[1:]
		return object{"kty": "EC", "crv": k.Params().Name, "kid": kid, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
	}
	panic("no key")
}

func jwks(keys ...object) string {
	return string(must(json.Marshal(object{"keys": append([]object{}, keys...)})))
}

// issuer serves a JWKS. As a transport it does so in memory, for tests with a fake clock.
type issuer struct {
	mu     sync.Mutex
	body   string
	status int
	loads  atomic.Int32
	before func(*http.Request) // called before each answer
}

func (i *issuer) set(status int, body string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = status, body
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.loads.Add(1)
	if i.before != nil {
		i.before(r)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.status/100 == 3 {
		w.Header().Set("Location", i.body)
	}
	w.WriteHeader(i.status)
	w.Write([]byte(i.body))
}

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	i.ServeHTTP(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// logs collects what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func golden(name string) string { return string(must(os.ReadFile("testdata/" + name))) }
