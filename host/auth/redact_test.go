package auth_test

import (
	"net/url"
	"reflect"
	"testing"

	"rtd/host/auth"
)

func TestRedactURL(t *testing.T) {
	for text, want := range map[string]string{
		"/socket/websocket?vsn=2.0.0":                         "/socket/websocket?vsn=2.0.0",
		"/socket/websocket?vsn=2.0.0&token=hush":              "/socket/websocket?token=[redacted]&vsn=2.0.0",
		"/s?auth_token=hush&Access-Token=hush&jwt=hush":       "/s?Access-Token=[redacted]&auth_token=[redacted]&jwt=[redacted]",
		"/s?user[token]=hush&user[name]=ada":                  "/s?user%5Bname%5D=ada&user%5Btoken%5D=[redacted]",
		"/s?%74oken=hush&a=%74oken":                           "/s?a=token&token=[redacted]",
		"/s?token=hush&token=hush":                            "/s?token=[redacted]&token=[redacted]",
		"/s?a=%zz&token=hush":                                 "/s?[redacted]",
		"/s?a=1;token=hush":                                   "/s?[redacted]",
		"https://ada:hush@id.example/keys?password=hush#hush": "https://id.example/keys?password=[redacted]",
	} {
		u := must(url.Parse(text))
		if got := auth.RedactURL(u); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
		if u.String() != must(url.Parse(text)).String() {
			t.Errorf("%s was changed to %s", text, u)
		}
	}
}

func TestRedactParams(t *testing.T) {
	params := object{"token": "hush", "vsn": "2.0.0", "n": 1.5,
		"user":  object{"Password": []any{"hush"}, "name": "ada"},
		"users": []any{object{"api_key": "hush", "id": "7"}, "x", []any{object{"jwt": nil}}}}
	want := object{"token": "[redacted]", "vsn": "2.0.0", "n": 1.5,
		"user":  object{"Password": "[redacted]", "name": "ada"},
		"users": []any{object{"api_key": "[redacted]", "id": "7"}, "x", []any{object{"jwt": "[redacted]"}}}}
	if got := auth.RedactParams(params); !reflect.DeepEqual(got, want) {
		t.Errorf("params become %v, want %v", got, want)
	}
	if params["user"].(object)["name"] != "ada" || params["token"] != "hush" {
		t.Errorf("params were changed to %v", params)
	}
}

func TestSensitiveNames(t *testing.T) {
	for name, want := range map[string]bool{
		"token": true, "auth_token": true, "authToken": true, "X-Phoenix-AuthToken": true, "Authorization": true, "Cookie": true,
		"Sec-WebSocket-Protocol": true, "_csrf_token": true, "client_secret": true, "apiKey": true,
		"vsn": false, "user_id": false, "room": false, "User-Agent": false, "": false,
	} {
		if auth.Sensitive(name) != want {
			t.Errorf("%q: %v, want %v", name, !want, want)
		}
	}
}
