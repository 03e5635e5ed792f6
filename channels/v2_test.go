package channels_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"rtd/channels"
)

func TestV2Encode(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   channels.Outgoing
		want string
	}{
		{
			"reply",
			channels.Outgoing{Kind: channels.Reply, JoinRef: []byte(`"1"`), Ref: []byte(`"2"`), Topic: "room:a", Name: "ok", Payload: []byte(`{"a": 1}`)},
			`["1","2","room:a","phx_reply",{"status":"ok","response":{"a": 1}}]`,
		},
		{
			"reply with another status and payload",
			channels.Outgoing{Kind: channels.Reply, Ref: []byte(`7`), Topic: "room:a", Name: "may\"be", Payload: []byte(`null`)},
			`[null,7,"room:a","phx_reply",{"status":"may\"be","response":null}]`,
		},
		{
			"push",
			channels.Outgoing{Kind: channels.Push, JoinRef: []byte(`"1"`), Topic: "room:a", Name: "news", Payload: []byte(`{}`)},
			`["1",null,"room:a","news",{}]`,
		},
		{
			"end of a channel",
			channels.Outgoing{Kind: channels.Push, JoinRef: []byte(`"1"`), Ref: []byte(`"1"`), Topic: "room:a", Name: "phx_close"},
			`["1","1","room:a","phx_close",{}]`,
		},
		{
			"broadcast",
			channels.Outgoing{Kind: channels.Broadcast, Topic: "room:a", Name: "said", Payload: []byte(`{"b":"é"}`)},
			`[null,null,"room:a","said",{"b":"é"}]`,
		},
		{
			"names that need escapes",
			channels.Outgoing{Kind: channels.Broadcast, Topic: "a\\b\x01", Name: "é\n\u2028<\""},
			`[null,null,"a\\b\u0001","é\n` + "\u2028" + `<\"",{}]`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := channels.V2.Encode(&tc.in)
			if err != nil || string(f.Data) != tc.want || f.Binary {
				t.Errorf("got %s, %v; want %s", f.Data, err, tc.want)
			}
		})
	}
}

func TestV2Decode(t *testing.T) {
	for _, tc := range []struct {
		frame, joinRef, ref, topic, event, payload string
	}{
		{`["1","2","room:a","new",{"body":"hi"}]`, `"1"`, `"2"`, "room:a", "new", `{"body":"hi"}`},
		{`[null,null,"","",null]`, ``, ``, "", "", `null`},
		{" [ 1 , 2.50,\t\"t\" ,\r\n\"e\", [1, 2] ] \n", `1`, `2.50`, "t", "e", `[1, 2]`},
		{`["1","2","t","e",{},"more",["elements"]]`, `"1"`, `"2"`, "t", "e", `{}`},
		{`["a\"],[","\\","t","e","\\\"]"]`, `"a\"],["`, `"\\"`, "t", "e", `"\\\"]"`},
		{`[{"a":[1,{}]},[[],[]],"t","e",0]`, `{"a":[1,{}]}`, `[[],[]]`, "t", "e", `0`},
		{`[1,2,"\u00e9\ud83d\ude00\/","\"\\\b",0]`, `1`, `2`, "é😀/", "\"\\\b", `0`},
		{`[98765432109876543210987654321098765432109876543210,2,"t","e",0.1e-400]`,
			`98765432109876543210987654321098765432109876543210`, `2`, "t", "e", `0.1e-400`},
	} {
		m, err := channels.V2.Decode([]byte(tc.frame), false)
		if err != nil {
			t.Errorf("decode %s: %v", tc.frame, err)
			continue
		}
		if string(m.JoinRef) != tc.joinRef || string(m.Ref) != tc.ref || m.Topic != tc.topic || m.Event != tc.event || string(m.Payload) != tc.payload || m.Binary {
			t.Errorf("decode %s: got %q %q %q %q %q", tc.frame, m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload)
		}
	}
}

func TestV2DecodeRefuses(t *testing.T) {
	for name, frame := range map[string]string{
		"nothing":               ``,
		"space":                 `  `,
		"no JSON":               `["1","2","t","e",{}`,
		"two texts":             `["1","2","t","e",{}] []`,
		"an object":             `{"topic":"t"}`,
		"a string":              `"[1,2,3,4,5]"`,
		"an empty array":        `[ ]`,
		"four elements":         `["1","2","t","e"]`,
		"half a pair":           `["1","2","t","e","\ud83d"]`,
		"half a pair, escape":   `["1","2","t","e","\ud83d\n"]`,
		"half a pair, letter":   `["1","2","t","e","\ud83d\u0061"]`,
		"the other half":        `["1","2","t\ude00","e",{}]`,
		"pair the wrong way":    `["1","2","t","\ude00\ud83d",{}]`,
		"a number too large":    `["1","2","t","e",1e999]`,
		"a large fraction":      `["1","2","t","e",-` + strings.Repeat("9", 400) + `.5]`,
		"a ref too large":       `[1E+400,"2","t","e",{}]`,
		"a byte order mark":     "\ufeff" + `["1","2","t","e",{}]`,
		"control in a string":   "[\"1\",\"2\",\"t\x00\",\"e\",{}]",
		"more depth than sense": `["1","2","t","e",` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `]`,
	} {
		if m, err := channels.V2.Decode([]byte(frame), false); !errors.Is(err, channels.ErrDecode) || errors.Is(err, channels.ErrUTF8) {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
	_, err := channels.V2.Decode([]byte("[\"1\",\"2\",\"t\",\"e\",\"\xc3\"]"), false)
	if !errors.Is(err, channels.ErrDecode) || !errors.Is(err, channels.ErrUTF8) {
		t.Errorf("invalid UTF-8: %v", err)
	}
}

func FuzzV2Decode(f *testing.F) {
	for _, seed := range []string{
		`["1","2","room:a","new",{"body":"hi"}]`, `[-0.5,tru,{"a":{}},[],"\t\u00eF"]`, `[null,1,"\ud83d\ude00","e",[[1.5e3,"\\\""]],0]`, `[]`, `[1,2,3,4,5]`, `{"a":[`, "[\"\xff\"]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := channels.V2.Decode(frame, false)
		if err != nil {
			if !errors.Is(err, channels.ErrDecode) {
				t.Fatalf("decode %q: %v is no ErrDecode", frame, err)
			}
			// A second opinion: nothing but what encoding/json does not mind.
			var elements []json.RawMessage
			if !errors.Is(err, channels.ErrUTF8) && json.Unmarshal(frame, &elements) == nil && len(elements) >= 5 &&
				!bytes.Contains(frame, []byte(`\u`)) && !bytes.ContainsAny(frame, "eE") && len(frame) < 300 {
				t.Fatalf("decode %q: %v", frame, err)
			}
			return
		}
		// And on what the frame says.
		var elements []json.RawMessage
		if err := json.Unmarshal(frame, &elements); err != nil || len(elements) < 5 {
			t.Fatalf("decode %q: accepted, but %v, %d elements", frame, err, len(elements))
		}
		if !bytes.Equal(m.Payload, elements[4]) {
			t.Fatalf("decode %q: payload %q, want %q", frame, m.Payload, elements[4])
		}
		if m.Topic == "" {
			return // it may have been no string
		}
		// A push has the shape of what clients send.
		o := channels.Outgoing{Kind: channels.Push, JoinRef: m.JoinRef, Ref: m.Ref, Topic: m.Topic, Name: m.Event, Payload: m.Payload}
		encoded, err := channels.V2.Encode(&o)
		if err != nil {
			t.Fatalf("encode what %q says: %v", frame, err)
		}
		again, err := channels.V2.Decode(encoded.Data, false)
		if err != nil {
			t.Fatalf("decode %q, encoded from %q: %v", encoded.Data, frame, err)
		}
		if !bytes.Equal(again.JoinRef, m.JoinRef) || !bytes.Equal(again.Ref, m.Ref) || again.Topic != m.Topic || again.Event != m.Event || !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("%q became %q", frame, encoded.Data)
		}
	})
}
