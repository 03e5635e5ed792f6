package rtd

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

func TestFind(t *testing.T) {
	const text = ` { "a" : "one" , "b":{"c":[1,"]",{"x":"}"}],"d":"\"two\""},"n":-12.5e3,"nil":null,"a\u0062":"esc", "a":"again","e":{}}`
	for _, test := range []struct {
		path []string
		want string
	}{
		{[]string{"a"}, `"one"`},
		{[]string{"b", "c"}, `[1,"]",{"x":"}"}]`},
		{[]string{"b", "d"}, `"\"two\""`},
		{[]string{"n"}, `-12.5e3`},
		{[]string{"nil"}, `null`},
		{[]string{"ab"}, `"esc"`},
		{[]string{"e"}, `{}`},
		{[]string{"c"}, ""},
		{[]string{"b", "c", "x"}, ""},
		{[]string{"a", "one"}, ""},
		{[]string{""}, ""},
	} {
		if got := find([]byte(text), test.path...); string(got) != test.want {
			t.Errorf("find %q = %q, want %q", test.path, got, test.want)
		}
	}
}

// FuzzFind holds find and unquote to encoding/json wherever that reads a text, and to an
// end everywhere.
func FuzzFind(f *testing.F) {
	for _, text := range []string{
		`{"key":"a\"\\\/\b\f\n\r\tz"}`, `{"key":"\u00e9\ud83d\ude00\ud83dx\ude00\ud83d\u0041"}`,
		`{"other":{"key":1},"key":"x"}`, ` {"a":[{"key":"}"}], "\u006bey" : "y" } `, `{"key":`, `{"key":"\u12`, `{"key":,,]`, `{"key":"a"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := find(text, "key")
		var want map[string]json.RawMessage
		if !utf8.Valid(text) || json.Unmarshal(text, &want) != nil {
			return
		}
		if value, ok := want["key"]; !ok && got != nil {
			t.Fatalf("found %q in %q", got, text)
		} else if ok && got == nil {
			t.Fatalf("did not find %q in %q", value, text)
		}
		// Of a key that comes twice it has the first, encoding/json the last.
		var value, s string
		if got != nil && json.Unmarshal(got, &value) == nil {
			s = unquote(got)
		}
		if s != value {
			t.Fatalf("%q in %q is %q, want %q", got, text, s, value)
		}
	})
}
