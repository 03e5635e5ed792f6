package handshake_test

import (
	"testing"

	"rtd/host/gateway/handshake"
)

// Pages of apps have no host: what they send can be allowed, by itself and for nobody else.
func TestOriginsWithoutHost(t *testing.T) {
	for entry, judged := range map[string]map[string]bool{
		"null":                {"null": true, "file://": false, "https://null": false, "http://localhost": false},
		"file://":             {"file://": true, "FILE:///": true, "null": false, "file://x": false, "https://": false, "http://file": false},
		"app://":              {"app://": true, "app:///": true, "app://x": false, "://": false},
		"capacitor://app":     {"capacitor://app": true, "capacitor://": false, "https://app": false},
		"https://example.com": {"https://example.com": true, "null": false, "file://": false, "https://": false},
	} {
		o, err := handshake.NewOrigins([]string{entry})
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		for origin, want := range judged {
			if got := o.Allow(origin, "example.com"); got != want {
				t.Errorf("with %s, %s: %v, want %v", entry, origin, got, want)
			}
		}
	}
	var same handshake.Origins
	for _, origin := range []string{"null", "file://", "https://", "://"} {
		if same.Allow(origin, "null") || same.Allow(origin, "") {
			t.Errorf("%s is allowed by default", origin)
		}
	}
}
