package auth_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rtd/host/auth"
)

func TestSecretSources(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		must(0, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("RTD_TEST_SECRET", secret)
	t.Setenv("RTD_TEST_EMPTY", "")

	// Each must verify what is signed with secret.
	t.Setenv("RTD_TEST_FROM_A_FILE", "\ufeff"+secret+"\r\n")
	for _, text := range []string{secret, "env:RTD_TEST_SECRET", "file:" + file("good", "\n "+secret+"\r\n"),
		"env:RTD_TEST_FROM_A_FILE", "file:" + file("marked", "\ufeff"+secret+"\n"), "file:" + file("spaced", "\ufeff \n"+secret)} {
		value, err := auth.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, newVerifier(t, auth.Config{Keys: []auth.Key{{Value: value}}}), hs(object{}), nil)
	}
	for text, says := range map[string]string{
		"":                                 "empty",
		"env:RTD_TEST_UNSET":               `"RTD_TEST_UNSET" is not set`,
		"env:RTD_TEST_EMPTY":               `"RTD_TEST_EMPTY" is empty`,
		"env:":                             "not set",
		"file:" + dir + "/absent":          "absent",
		"file:" + dir:                      "directory",
		"file:" + file("blank", " \n"):     "is empty",
		"file:" + file("mark", "\ufeff\n"): "is empty",
		"file:" + file("wide", "\xff\xfeh\x00i\x00"):           "is in UTF-16; save it as UTF-8",
		"file:" + file("large", strings.Repeat("x", 64<<10+1)): "more than 65536",
	} {
		if _, err := auth.ParseSecret(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one with %q", text, err, says)
		}
	}
}

func TestSecretDoesNotShow(t *testing.T) {
	s := hide("hush-hush")
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10.3s"} {
		fmt.Fprintf(&out, verb+verb+verb, s, &s, struct{ key auth.Key }{auth.Key{ID: "k", Value: s}})
	}
	fmt.Fprintln(&out, s.String(), string(must(json.Marshal(auth.Config{PhoenixSecretKeyBase: s}.PhoenixSecretKeyBase))))
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	logger.Info("x", "secret", s, "pointer", &s, "in", auth.Key{Value: s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "in", auth.Key{Value: s})
	text := out.String()
	for _, shown := range []string{"hush", fmt.Sprintf("%x", "hush"), fmt.Sprintf("%X", "hush"), "104 117 115"} {
		if strings.Contains(text, shown) {
			t.Errorf("the secret shows as %s in:\n%s", shown, text)
		}
	}
	if !strings.Contains(text, "[secret]") {
		t.Errorf("no sign of the secret in:\n%s", text)
	}
	if zero := fmt.Sprint(auth.Secret{}); zero != "" || !(auth.Secret{}).IsZero() {
		t.Errorf("no secret shows as %q", zero)
	}
}

func TestSecretInConfigFiles(t *testing.T) {
	t.Setenv("RTD_TEST_SECRET", secret)
	var key auth.Key
	must(0, json.Unmarshal([]byte(`{"Value":"env:RTD_TEST_SECRET"}`), &key))
	expect(t, newVerifier(t, auth.Config{Keys: []auth.Key{key}}), hs(object{}), nil)
	if err := json.Unmarshal([]byte(`{"Value":"env:RTD_TEST_UNSET"}`), &key); err == nil {
		t.Error("no error for a variable that is not set")
	}
}
