package auth_test

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rtd/host/auth"
)

// The tokens of testdata/phoenix.txt are made by OTP 25, of the terms below, as Plug.Crypto.sign does it:
//
//	Key = crypto:pbkdf2_hmac(sha256, SecretKeyBase, <<"user socket">>, 1000, 32),
//	Signed = <<"SFMyNTY.", (base64url(term_to_binary({Data, 1750000000123, 86400})))/binary>>,
//	<<Signed/binary, ".", (base64url(crypto:mac(hmac, sha256, Key, Signed)))/binary>>.
//
// with {Data, 1750000000123, infinity} and so on where the name says so.
const (
	secretKeyBase = "Zk3vQ8yT1nB6wR0pL5xC9dF2gH7jK4mS8uV1aE6iO3qX0tY5bN9hD2rJ7cW4lG6z"
	salt          = "user socket"
	signedAt      = 1750000000123 // milliseconds
)

func phoenix() auth.Config {
	return auth.Config{PhoenixSecretKeyBase: hide(secretKeyBase), PhoenixSalt: salt, Leeway: -1}
}

// at runs a test a time after signedAt.
func at(t *testing.T, after time.Duration, test func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.UnixMilli(signedAt).Add(after)))
		test(t)
	})
}

func ofOTP(t testing.TB, name string) string {
	for line := range strings.Lines(golden("phoenix.txt")) {
		if n, token, _ := strings.Cut(strings.TrimSpace(line), " "); n == name {
			return token
		}
	}
	t.Fatalf("no token %s", name)
	return ""
}

var phoenixKey = sync.OnceValue(func() []byte { return must(pbkdf2.Key(sha256.New, secretKeyBase, []byte(salt), 1000, 32)) })

// phoenixToken signs a payload whatever it is.
func phoenixToken(payload []byte) string {
	signed := "SFMyNTY." + b64(payload)
	mac := hmac.New(sha256.New, phoenixKey())
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

// data is a payload by hand: {DATA, 1750000000123, 86400} with DATA in hex, after
// https://www.erlang.org/doc/apps/erts/erl_ext_dist.html.
func data(term string) []byte {
	return must(hex.DecodeString("83" + "6803" + strings.ReplaceAll(term, " ", "") + "6e06007bdc20749701" + "6200015180"))
}

func TestTokensOfPhoenix(t *testing.T) {
	at(t, time.Hour, func(t *testing.T) {
		v := newVerifier(t, phoenix())
		day := time.UnixMilli(signedAt + 86400_000)
		for _, test := range []struct {
			name, json, subject string
			expires             time.Time
		}{
			{"integer", `42`, "42", day},                    // 42
			{"binary", `"user-1"`, "user-1", day},           // "user-1"
			{"infinity", `"user-1"`, "user-1", time.Time{}}, // the same, for ever
			{"two", `7`, "7", day},                          // {7, At}, as it was before Plug.Crypto 1.2
			{"atom", `"admin"`, "admin", day},               // :admin
			{"latin", `"aé"`, "aé", day},                    // an atom in Latin-1
			{"map", // 13 entries; 3 => [1, 2, 3] and raw => <<255, 0>> among them
				`{"3":[1,2,3],"admin":true,"big":1267650600228229401496703205376,"empty":[],"gone":null,"list":["a",300,""],` +
					`"name":"Zoë","neg":-1180591620717411303424,"nested":{"t":["x","y"]},"pi":3.25,"raw":"/wA=","small":-5,"user_id":1}`,
				"", day},
		} {
			t.Log(test.name)
			claims := expect(t, v, ofOTP(t, test.name), nil)
			if test.subject == "" {
				test.subject = test.json
			}
			if string(claims.JSON) != test.json || claims.Subject != test.subject || !claims.Expires.Equal(test.expires) {
				t.Errorf("%s of %q until %v, want %s of %q until %v",
					claims.JSON, claims.Subject, claims.Expires, test.json, test.subject, test.expires)
			}
		}
		for _, name := range []string{"pid", "ref", "extfun", "bits", "improper", "tuplekey", "twice", "compressed"} {
			t.Log(name)
			expect(t, v, ofOTP(t, name), auth.ErrInvalid)
		}
	})
}

func TestTermsByHand(t *testing.T) {
	at(t, time.Hour, func(t *testing.T) {
		v := newVerifier(t, phoenix())
		deep := func(n int) string { return strings.Repeat("6801", n) + "6a" }
		for _, test := range []struct{ name, term, json string }{
			{"small integer", "61 ff", `255`},
			{"integer", "62 ffffffff", `-1`},
			{"smallest integer", "62 80000000", `-2147483648`},
			{"largest of 64 bits", "6e 08 00 ffffffffffffff7f", `9223372036854775807`},
			{"beyond 64 bits", "6e 08 00 ffffffffffffffff", `18446744073709551615`},
			{"smallest of 64 bits", "6e 08 01 0000000000000080", `-9223372036854775808`},
			{"big of no bytes", "6e 00 00", `0`},
			{"large big", "6f 00000001 01 05", `-5`},
			{"float", "46 3ff8000000000000", `1.5`},
			{"negative zero", "46 8000000000000000", `-0`},
			{"binary", "6d 00000003 e282ac", `"€"`},
			{"binary with quotes", "6d 00000003 225c0a", `"\"\\\n"`},
			{"binary no UTF-8", "6d 00000002 fffe", `"//4="`},
			{"empty binary", "6d 00000000", `""`},
			{"atom", "77 02 6f6b", `"ok"`}, // as OTP writes them from 26
			{"long atom", "76 0002 6f6b", `"ok"`},
			{"small Latin-1 atom", "73 01 e9", `"é"`},
			{"nil", "77 03 6e696c", `null`},
			{"true", "77 04 74727565", `true`},
			{"empty tuple", "68 00", `[]`},
			{"large tuple", "69 00000001 61 07", `[7]`},
			{"empty list", "6a", `[]`},
			{"list of bytes", "6b 0002 01 ff", `[1,255]`},
			{"list", "6c 00000001 61 01 6a", `[1]`},
			{"empty map", "74 00000000", `{}`},
			{"map", "74 00000003 7704 74727565 6101 6103 6102 6d0000000162 6103", `{"3":2,"b":3,"true":1}`},
			{"64 deep", deep(63), strings.Repeat("[", 64) + strings.Repeat("]", 64)},

			{"nothing", "", ""},
			{"65 deep", deep(64), ""},
			{"NaN", "46 7ff8000000000001", ""},
			{"infinite float", "46 7ff0000000000000", ""},
			{"float as text", "63" + strings.Repeat("30", 31), ""},
			{"atom no UTF-8", "77 01 ff", ""},
			{"atom too long", "76 0100" + strings.Repeat("61", 256), ""},
			{"big too large", "6f 00000401 00" + strings.Repeat("ff", 1025), ""},
			{"big of 4 GiB", "6f ffffffff 00", ""},
			{"binary of 4 GiB", "6d ffffffff 61", ""},
			{"list of 4 G", "6c ffffffff", ""},
			{"tuple of 4 G", "69 ffffffff", ""},
			{"map of 4 G", "74 ffffffff", ""},
			{"map that ends early", "74 00000002 6101 6101", ""},
			{"improper list", "6c 00000001 61 01 61 02", ""},
			{"key twice", "74 00000002 6101 6101 6101 6102", ""},
			{"key twice in JSON", "74 00000002 6101 6101 6d0000000131 6102", ""},
			{"key a float", "74 00000001 463ff8000000000000 6101", ""},
			{"key a list", "74 00000001 6a 6101", ""},
			{"bit string", "4d 00000001 03 20", ""},
			{"pid", "58 770161 00000001 00000000 00000001", ""},
			{"port", "59 770161 00000001 00000001", ""},
			{"reference", "5a 0001 770161 00000001 00000001", ""},
			{"fun", "70 00000000", ""},
			{"fun M:F/A", "71 770161 770162 6101", ""},
			{"atom cache", "52 00", ""},
			{"term within a term", "83 6101", ""},
			{"compressed", "50 00000001 789c4b04000062 0062", ""},
			{"unknown tag", "ff", ""},
		} {
			t.Log(test.name)
			if test.json == "" {
				expect(t, v, phoenixToken(data(test.term)), auth.ErrInvalid)
			} else if claims := expect(t, v, phoenixToken(data(test.term)), nil); string(claims.JSON) != test.json {
				t.Errorf("%s, want %s", claims.JSON, test.json)
			}
		}
		whole := data("6107")
		for n := range len(whole) {
			expect(t, v, phoenixToken(whole[:n]), auth.ErrInvalid)
		}
		expect(t, v, phoenixToken(append(whole, 0x6a)), auth.ErrInvalid)
		expect(t, v, phoenixToken(whole[1:]), auth.ErrInvalid)
		for _, payload := range []string{"836a", "83680161 07", "83680461016102 61036104", "8368036107 6d0000000131 6101",
			"8368036107 62ffffffff 6101", "8368036107 6e0800ffffffffffffff7f 6101", "8368036107 6101 770361626364", "8368036107 6101 6a"} {
			expect(t, v, phoenixToken(must(hex.DecodeString(strings.ReplaceAll(payload, " ", "")))), auth.ErrInvalid)
		}
	})
}

func TestSubjectsOfPhoenix(t *testing.T) {
	at(t, time.Hour, func(t *testing.T) {
		v := newVerifier(t, phoenix())
		for term, want := range map[string]string{
			"7703 6e696c":                            "",
			"61 07":                                  "7",
			"6d 00000001 37":                         "7",
			"74 00000001 7703 737562 6d 00000001 61": "a",          // %{sub: "a"}
			"74 00000001 7703 737562 6107":           `{"sub":7}`,  // no text
			"68 02 7704 75736572 6107":               `["user",7]`, // {:user, 7}
			"74 00000001 7702 6964 6107":             `{"id":7}`,
		} {
			if claims := expect(t, v, phoenixToken(data(term)), nil); claims.Subject != want {
				t.Errorf("subject %q, want %q", claims.Subject, want)
			}
		}
	})
}

func TestTimesOfPhoenix(t *testing.T) {
	type verdict struct {
		after time.Duration
		want  error
	}
	const day, ms = 24 * time.Hour, time.Millisecond
	aged := func(change func(*auth.Config)) auth.Config {
		c := phoenix()
		change(&c)
		return c
	}
	twoWeeks := aged(func(c *auth.Config) { c.PhoenixMaxAge = 14 * day })
	minute := aged(func(c *auth.Config) { c.PhoenixMaxAge = time.Minute })
	lenient := aged(func(c *auth.Config) { c.Leeway = time.Second })
	strict := aged(func(c *auth.Config) { c.RequireExpiry = true })
	zero := phoenixToken(must(hex.DecodeString("836803" + "6107" + "6e06007bdc20749701" + "6100")))
	negative := phoenixToken(must(hex.DecodeString("836803" + "6107" + "6e06007bdc20749701" + "62ffffffff")))
	huge := phoenixToken(must(hex.DecodeString("836803" + "6107" + "6e06007bdc20749701" + "6e0a00ffffffffffffffffffff")))
	for i, test := range []struct {
		config   auth.Config
		token    string
		verdicts []verdict
	}{
		{phoenix(), "integer", []verdict{{-ms, auth.ErrNotYet}, {0, nil}, {day - ms, nil}, {day, auth.ErrExpired}}},
		{phoenix(), "float_age", []verdict{{0, nil}, {499 * ms, nil}, {500 * ms, auth.ErrExpired}}},
		{phoenix(), "infinity", []verdict{{-ms, auth.ErrNotYet}, {10000 * day, nil}}},
		{phoenix(), zero, []verdict{{0, auth.ErrExpired}}},
		{phoenix(), negative, []verdict{{0, auth.ErrExpired}}},
		{phoenix(), huge, []verdict{{0, nil}, {10000 * day, nil}}},
		{lenient, zero, []verdict{{0, auth.ErrExpired}}},
		{lenient, "integer", []verdict{{-1001 * ms, auth.ErrNotYet}, {-1000 * ms, nil}, {day + 999*ms, nil}, {day + 1000*ms, auth.ErrExpired}}},
		{twoWeeks, "integer", []verdict{{14*day - ms, nil}, {14 * day, auth.ErrExpired}}},
		{twoWeeks, "infinity", []verdict{{14 * day, auth.ErrExpired}}},
		{minute, "integer", []verdict{{59 * time.Second, nil}, {time.Minute, auth.ErrExpired}}},
		{strict, "infinity", []verdict{{0, auth.ErrInvalid}}},
		{strict, "integer", []verdict{{0, nil}}},
	} {
		for _, verdict := range test.verdicts {
			at(t, verdict.after, func(t *testing.T) {
				token := test.token
				if !strings.Contains(token, ".") {
					token = ofOTP(t, token)
				}
				t.Log(strconv.Itoa(i), test.token, verdict.after)
				expect(t, newVerifier(t, test.config), token, verdict.want)
			})
		}
	}
}

func TestForgedTokensOfPhoenix(t *testing.T) {
	at(t, time.Hour, func(t *testing.T) {
		both := phoenix()
		both.Keys = []auth.Key{{ID: "shared", Value: hide(secret)}}
		v := newVerifier(t, both)
		token := ofOTP(t, "integer")
		expect(t, v, token, nil)
		expect(t, v, hs(object{}), nil)
		parts := strings.Split(token, ".")
		for name, forged := range map[string]string{
			"no signature":        parts[0] + "." + parts[1] + ".",
			"cut signature":       token[:len(token)-2],
			"other payload":       parts[0] + "." + b64(data("612b")) + "." + parts[2],
			"signed by a JWT key": "SFMyNTY." + parts[1] + "." + b64(sign("HS256", "SFMyNTY."+parts[1], secret)),
			"as a JWT":            b64([]byte(`{"alg":"HS256"}`)) + "." + parts[1] + "." + parts[2],
			"other header":        "SFMzODQ." + parts[1] + "." + parts[2],
			"another spelling":    token[:len(token)-1] + string(token[len(token)-1]+1), // of the same bytes, to a lenient decoder
		} {
			t.Log(name)
			expect(t, v, forged, auth.ErrInvalid)
		}

		// Neither kind is taken without its key.
		expect(t, newVerifier(t, phoenix()), hs(object{}), auth.ErrInvalid)
		expect(t, newVerifier(t, shared()), token, auth.ErrInvalid)
		wrong := phoenix()
		wrong.PhoenixSalt = "user"
		expect(t, newVerifier(t, wrong), token, auth.ErrInvalid)
	})
}
