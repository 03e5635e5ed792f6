package auth

import (
	"net/url"
	"strings"
)

// redacted stands in a log for a value that does not belong there.
const redacted = "[redacted]"

// sensitive are parts of the names of what must not be logged.
var sensitive = []string{"token", "secret", "password", "passwd", "authorization", "cookie", "jwt", "api_key", "apikey",
	"api-key", "credential", "signature", "csrf", "sec-websocket-protocol"}

// Sensitive reports whether the value of a query parameter, a header or a field
// of this name must not be logged. It errs on the safe side: token_count is sensitive too.
func Sensitive(name string) bool {
	name = strings.ToLower(name)
	for _, part := range sensitive {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// RedactURL returns a URL for logs: sensitive parameters are replaced, name and password
// and the fragment are left out, and so is a query that cannot be parsed.
func RedactURL(u *url.URL) string {
	shown := *u
	shown.User, shown.Fragment, shown.RawFragment = nil, "", ""
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		shown.RawQuery = redacted
		return shown.String()
	}
	changed := false
	for name, values := range query {
		if Sensitive(name) {
			for i := range values {
				values[i] = redacted
			}
			changed = true
		}
	}
	if changed {
		// The brackets stay readable; the names are escaped all the same.
		shown.RawQuery = strings.ReplaceAll(query.Encode(), url.QueryEscape(redacted), redacted)
	}
	return shown.String()
}

// RedactParams returns a copy of decoded parameters for logs, in which the values under
// sensitive names are replaced, at any depth.
func RedactParams(params map[string]any) map[string]any {
	shown := make(map[string]any, len(params))
	for name, value := range params {
		if Sensitive(name) {
			value = redacted
		}
		shown[name] = redactValue(value)
	}
	return shown
}

func redactValue(value any) any {
	switch value := value.(type) {
	case map[string]any:
		return RedactParams(value)
	case []any:
		shown := make([]any, len(value))
		for i := range value {
			shown[i] = redactValue(value[i])
		}
		return shown
	}
	return value
}
