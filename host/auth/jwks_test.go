package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/auth"
)

func write(t testing.TB, content string) string {
	path := filepath.Join(t.TempDir(), "jwks.json")
	must(0, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func with(key object, name string, value any) object {
	key[name] = value
	return key
}

// remote returns a Verifier whose keys come from the issuer, in memory.
func remote(t testing.TB, i *issuer) (*auth.Verifier, *logs) {
	l := &logs{}
	return newVerifier(t, auth.Config{
		JWKSURL: "https://user:hush@id.example/keys?code=hush", Transport: i, Log: l.logger(),
		Refresh: time.Minute, Cooldown: 10 * time.Second, StaleAfter: 5 * time.Minute,
	}), l
}

func TestFileIsReadAgain(t *testing.T) {
	old, next := newEC(), newEC()
	path := write(t, jwks(jwkOf("old", &old.PublicKey)))
	synctest.Test(t, func(t *testing.T) {
		l := &logs{}
		v := newVerifier(t, auth.Config{JWKSFile: path, Log: l.logger(), Refresh: time.Hour})
		expect(t, v, es("old", old), nil) // before Run
		stop := run(t, v)
		synctest.Wait()

		must(0, os.WriteFile(path, []byte(`{"keys":`), 0o600)) // half written
		time.Sleep(5 * time.Second)
		expect(t, v, es("old", old), nil)
		if n := strings.Count(l.String(), "could not be loaded"); n != 1 {
			t.Errorf("%d lines about the broken file, want 1:\n%s", n, l)
		}
		must(0, os.WriteFile(path, []byte(jwks(jwkOf("next", &next.PublicKey))), 0o600))
		time.Sleep(3 * time.Second)
		expect(t, v, es("next", next), nil)
		expect(t, v, es("old", old), auth.ErrInvalid)

		must(0, os.Remove(path))
		time.Sleep(7 * time.Hour)
		expect(t, v, es("next", next), auth.ErrUnavailable)
		stop()
	})
}

func TestUnknownKeyIsLookedFor(t *testing.T) {
	old, next := newEC(), newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: jwks(jwkOf("old", &old.PublicKey))}
		v, _ := remote(t, i)
		run(t, v)
		synctest.Wait()
		expect(t, v, es("old", old), nil)
		time.Sleep(15 * time.Second)

		i.set(200, jwks(jwkOf("old", &old.PublicKey), jwkOf("next", &next.PublicKey)))
		before := i.loads.Load()
		var all sync.WaitGroup
		for range 50 { // wait for one load
			all.Go(func() { expect(t, v, es("next", next), nil) })
		}
		all.Wait()
		if n := i.loads.Load() - before; n != 1 {
			t.Errorf("%d loads for one unknown key, want 1", n)
		}

		// Strangers cannot cause more than a load in ten seconds.
		for range 100 {
			expect(t, v, es("made up", next), auth.ErrInvalid)
			time.Sleep(100 * time.Millisecond)
		}
		if n := i.loads.Load() - before; n > 2 {
			t.Errorf("%d loads in ten seconds, want 2 at most", n)
		}
	})
}

func TestBackgroundRefreshRemovesKeys(t *testing.T) {
	old, next := newEC(), newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: jwks(jwkOf("old", &old.PublicKey))}
		v, _ := remote(t, i)
		run(t, v)
		synctest.Wait()
		expect(t, v, es("old", old), nil)
		i.set(200, jwks(jwkOf("next", &next.PublicKey)))
		time.Sleep(61 * time.Second)
		expect(t, v, es("old", old), auth.ErrInvalid)
		i.set(200, jwks()) // nobody
		time.Sleep(61 * time.Second)
		expect(t, v, es("next", next), auth.ErrInvalid)
	})
}

func TestKeysFailClosed(t *testing.T) {
	key := newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 503}
		v, l := remote(t, i)
		token := es("k", key)
		expect(t, v, token, auth.ErrUnavailable) // nobody loads
		stop := run(t, v)
		synctest.Wait()
		expect(t, v, token, auth.ErrUnavailable) // never loaded
		if s := v.Stats().Sources[0]; s.Age >= 0 || s.Failures != 1 || s.Name != "https://id.example/keys" {
			t.Errorf("stats %+v", s)
		}

		i.set(200, jwks(jwkOf("k", &key.PublicKey)))
		time.Sleep(11 * time.Second)
		if s := v.Stats().Sources[0]; s.Age < 0 || s.Age > 11*time.Second || s.Keys != 1 {
			t.Errorf("stats %+v", s)
		}
		expect(t, v, token, nil)

		for _, broken := range []struct {
			status int
			body   string
		}{
			{500, ""}, {404, jwks()}, {302, "https://id.example/other"}, {200, ""}, {200, "<html>"}, {200, "{}"}, {200, "[]"},
			{200, `{"keys":[` + strings.Repeat(`{},`, 64) + `{}]}`}, {200, jwks() + strings.Repeat(" ", 256<<10)},
		} {
			i.set(broken.status, broken.body)
			time.Sleep(10 * time.Second)
			expect(t, v, token, nil) // from the last good load
		}
		time.Sleep(5 * time.Minute)
		expect(t, v, token, auth.ErrUnavailable) // too old
		i.set(200, jwks(jwkOf("k", &key.PublicKey)))
		time.Sleep(11 * time.Second)
		expect(t, v, token, nil)

		stop()
		time.Sleep(6 * time.Minute)
		expect(t, v, token, auth.ErrUnavailable) // nobody loads any more
		if strings.Contains(l.String(), "hush") {
			t.Errorf("log tells the password of the URL:\n%s", l)
		}
		if !strings.Contains(l.String(), "loaded again") {
			t.Errorf("log does not tell of the recovery:\n%s", l)
		}
	})
}

// A server that is up before its issuer has answered waits for that, not for ever.
func TestFirstLoadIsWaitedFor(t *testing.T) {
	key := newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: jwks(jwkOf("k", &key.PublicKey))}
		i.before = func(*http.Request) { time.Sleep(2 * time.Second) }
		v, _ := remote(t, i)
		run(t, v)
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := v.Verify(ctx, es("k", key)); err == nil || time.Since(begun) != time.Second {
			t.Errorf("error %v after %v, want one after 1s", err, time.Since(begun))
		}
		expect(t, v, es("k", key), nil)
		if waited := time.Since(begun); waited != 2*time.Second {
			t.Errorf("waited %v, want 2s", waited)
		}
	})
}

// A client that goes before the keys are there cannot be told that the token is bad.
func TestWaitEndsWithItsContext(t *testing.T) {
	key := newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: jwks(jwkOf("k", &key.PublicKey))}
		v, _ := remote(t, i)
		run(t, v)
		synctest.Wait()
		i.before = func(*http.Request) { time.Sleep(2 * time.Second) }
		time.Sleep(15 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, es("new", key)); !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want unavailable for the deadline", err)
		}
		expect(t, v, es("new", key), auth.ErrInvalid)
	})
}

func TestLoadHasATimeout(t *testing.T) {
	key := newEC()
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{status: 200, body: jwks(jwkOf("k", &key.PublicKey))}
		i.before = func(r *http.Request) { <-r.Context().Done() }
		v, _ := remote(t, i)
		run(t, v)
		synctest.Wait()
		begun := time.Now()
		expect(t, v, es("k", key), auth.ErrUnavailable)
		if waited := time.Since(begun); waited != 5*time.Second {
			t.Errorf("waited %v, want 5s", waited)
		}
	})
}

// What does not belong in a public set is left out, and the rest is taken.
func TestKeysThatAreLeftOut(t *testing.T) {
	good, key := newEC(), newEC()
	point := func(change func(object)) object {
		k := jwkOf("bad", &key.PublicKey)
		change(k)
		return k
	}
	for cause, bad := range map[string]object{
		"private":                          point(func(k object) { k["d"] = "AAAA" }),
		"shared secret":                    {"kty": "oct", "kid": "bad", "k": b64([]byte(secret))},
		"not for signatures":               point(func(k object) { k["use"] = "enc" }),
		"not for signatures, by operation": point(func(k object) { k["key_ops"] = []string{"sign"} }),
		"another type":                     point(func(k object) { k["alg"] = "RS256" }),
		"type is not supported":            {"kty": "OKP", "kid": "bad", "crv": "Ed25519", "x": "AAAA"},
		"curve is not supported":           point(func(k object) { k["crv"] = "secp256k1" }),
		"no point":                         point(func(k object) { k["y"] = k["x"] }),
		"x or y":                           point(func(k object) { k["x"] = "AAAA" }),
		"has 1024 bits":                    {"kty": "RSA", "kid": "bad", "n": b64(append([]byte{0x80}, make([]byte, 127)...)), "e": "AQAB"},
		"has 16384 bits":                   {"kty": "RSA", "kid": "bad", "n": b64(append([]byte{0x80}, make([]byte, 2047)...)), "e": "AQAB"},
		"exponent 1,":                      with(jwkOf("bad", &rsaKey().PublicKey), "e", "AQ"),
		"e is too large":                   with(jwkOf("bad", &rsaKey().PublicKey), "e", "_____w"),
		"n or e":                           with(jwkOf("bad", &rsaKey().PublicKey), "n", "!"),
		"malformed":                        with(jwkOf("bad", &rsaKey().PublicKey), "kid", 1),
		"allowed":                          with(jwkOf("bad", &rsaKey().PublicKey), "alg", "RS512"),
		"id has more":                      with(jwkOf("bad", &rsaKey().PublicKey), "kid", strings.Repeat("k", 257)),
	} {
		t.Run(cause, func(t *testing.T) {
			l := &logs{}
			v := newVerifier(t, auth.Config{JWKSFile: write(t, jwks(bad, jwkOf("good", &good.PublicKey))), Log: l.logger(),
				Keys: []auth.Key{{ID: "shared", Value: hide(secret)}}})
			expect(t, v, es("good", good), nil)
			expect(t, v, es("bad", key), auth.ErrInvalid)
			expect(t, v, mint(object{"alg": "HS256", "kid": "bad"}, object{}, secret), auth.ErrInvalid)
			cause, _, _ := strings.Cut(cause, ", by")
			if !strings.Contains(l.String(), cause) {
				t.Errorf("log does not say %q:\n%s", cause, l)
			}
		})
	}
}

// Over a real connection, with the transport that is used by default.
func TestLoopbackServer(t *testing.T) {
	key := newEC()
	i := &issuer{status: 200, body: jwks(jwkOf("k", &key.PublicKey))}
	server := httptest.NewServer(i)
	defer server.Close()
	load := func(config auth.Config) (*auth.Verifier, *logs) {
		l := &logs{}
		config.JWKSURL, config.Log = server.URL, l.logger()
		v := newVerifier(t, config)
		run(t, v)
		for v.Stats().Sources[0].Age < 0 && v.Stats().Sources[0].Failures == 0 {
			time.Sleep(time.Millisecond)
		}
		return v, l
	}
	v, _ := load(auth.Config{})
	expect(t, v, es("k", key), nil)

	elsewhere := httptest.NewServer(&issuer{status: 200, body: jwks(jwkOf("k", &key.PublicKey))})
	defer elsewhere.Close()
	i.set(302, elsewhere.URL)
	v, l := load(auth.Config{})
	expect(t, v, es("k", key), auth.ErrUnavailable)
	if !strings.Contains(l.String(), "302") {
		t.Errorf("log does not tell of the redirect:\n%s", l)
	}

	server.Close()
	v, _ = load(auth.Config{})
	expect(t, v, es("k", key), auth.ErrUnavailable)
}
