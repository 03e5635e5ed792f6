package host_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"rtd/host"
	"rtd/host/config"
	"rtd/host/hosttest"
	"rtd/sandbox/sandboxtest"
)

const tokenSecret = "a secret of thirty-two bytes or more"

func signed(t *testing.T, subject string, life time.Duration) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": subject, "exp": time.Now().Add(life).Unix(),
	}).SignedString([]byte(tokenSecret))
	must(t, err)
	return token
}

// tokenTable lets nobody in without a token.
var tokenTable = fmt.Sprintf("[plugin.phx]\n"+phxAllows+`
[socket.main]
path = "/socket"
auth = "required"
[auth]
keys = [%q]
leeway = "0s"
notice = "1s"
grace = "1s"
`, tokenSecret)

func (s *server) connectWith(t *testing.T, token string) (*hosttest.Client, error) {
	t.Helper()
	c, err := hosttest.Dial(s.Socket("&token="+token), nil)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"phx": sandboxtest.BuildGo(t, "./testdata/phx")}, Config: tokenTable})
	for name, token := range map[string]string{
		"none": "", "nonsense": "x.y.z", "expired": signed(t, "ada", -time.Minute), "cut": signed(t, "ada", time.Hour)[:40],
	} {
		if status := s.refusal(t, "?vsn=2.0.0&token="+token, nil); status != 403 {
			t.Errorf("%s: status %d, want 403", name, status)
		}
	}
	c, err := s.connectWith(t, signed(t, "ada", time.Hour))
	must(t, err)
	c.MustJoin(t, "room:1", "{}")
	r, err := c.Call("room:1", "assigns", "{}")
	must(t, err)
	if r.Status != "ok" || !strings.Contains(string(r.Payload), "ada") {
		t.Errorf("assigns = %v, want the claims", r)
	}
	if strings.Contains(s.Log.Tail(1000), tokenSecret) || strings.Contains(s.Log.Tail(1000), "eyJ") {
		t.Error("a token or a secret is in the log")
	}
}

// A connection lives as long as its token. The client is told before, may send a new
// one, and is closed after the grace.
func TestTokensExpire(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: tokenTable})
	c, err := s.connectWith(t, signed(t, "ada", 20*time.Second))
	must(t, err)
	c.MustJoin(t, "echo:1", "{}")
	c.Expect(t, "phoenix", "token_expiring")
	for token, want := range map[string]string{
		signed(t, "eve", time.Hour): "another subject",
		"nonsense":                  "invalid",
	} {
		r, err := c.Call("phoenix", "token", fmt.Sprintf(`{"token":%q}`, token))
		must(t, err)
		if r.Status != "error" {
			t.Errorf("a token of %s was answered %v", want, r)
		}
	}
	begin := time.Now()
	r, err := c.Call("phoenix", "token", fmt.Sprintf(`{"token":%q}`, signed(t, "ada", 25*time.Second)))
	must(t, err)
	if r.Status != "ok" || !strings.Contains(string(r.Payload), `"expires_in":`) {
		t.Fatalf("a new token was answered %v", r)
	}
	c.WantReply(t, "echo:1", "x", `{"n":1}`, `ok {"n":1}`)
	c.Expect(t, "phoenix", "token_expiring")
	c.WantClosed(t, 4003)
	if lived := time.Since(begin); lived < 24*time.Second {
		t.Errorf("closed %v after the new token of 25 s", lived)
	}
}

func TestTokensNeedKeys(t *testing.T) {
	c, err := config.Parse("rtd.toml", []byte("[socket.main]\nauth = \"required\"\n"))
	must(t, err)
	if _, err := host.New(host.Options{Config: c}); err == nil || !strings.Contains(err.Error(), "no token is good") {
		t.Errorf("got %v", err)
	}
}
