package channels_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"rtd/channels"
)

func TestV1Encode(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   channels.Outgoing
		want string
	}{
		{
			"reply",
			channels.Outgoing{Kind: channels.Reply, JoinRef: []byte(`"1"`), Ref: []byte(`"2"`), Topic: "room:a", Name: "ok", Payload: []byte(`{"a": 1}`)},
			`{"topic":"room:a","event":"phx_reply","payload":{"status":"ok","response":{"a": 1}},"ref":"2"}`,
		},
		{
			"push",
			channels.Outgoing{Kind: channels.Push, JoinRef: []byte(`"1"`), Topic: "room:a", Name: "news"},
			`{"topic":"room:a","event":"news","payload":{},"ref":null}`,
		},
		{
			"end of a channel",
			channels.Outgoing{Kind: channels.Push, JoinRef: []byte(`7`), Ref: []byte(`7`), Topic: "room:a", Name: "phx_close"},
			`{"topic":"room:a","event":"phx_close","payload":{},"ref":7}`,
		},
		{
			"broadcast, names that need escapes",
			channels.Outgoing{Kind: channels.Broadcast, Topic: "a\\\"é", Name: "\t\x7f", Payload: []byte(`{"b":"é"}`)},
			`{"topic":"a\\\"é","event":"\u0009` + "\x7f" + `","payload":{"b":"é"},"ref":null}`,
		},
	} {
		f, err := channels.V1.Encode(&tc.in)
		if err != nil || string(f.Data) != tc.want || f.Binary || channels.V1.Check(&tc.in) != nil {
			t.Errorf("%s: got %s, %v; want %s", tc.name, f.Data, err, tc.want)
		}
	}
	for _, kind := range []channels.OutgoingKind{channels.Reply, channels.Push, channels.Broadcast} {
		o := &channels.Outgoing{Kind: kind, Binary: true}
		if f, err := channels.V1.Encode(o); err == nil || channels.V1.Check(o) == nil {
			t.Errorf("a binary payload was encoded: %q", f.Data)
		}
	}
}

func TestV1Decode(t *testing.T) {
	for _, tc := range []struct{ frame, joinRef, ref, topic, event, payload string }{
		{`{"topic":"room:a","event":"new","payload":{"body":"hi"},"ref":"2"}`, ``, `"2"`, "room:a", "new", `{"body":"hi"}`},
		{`{"topic":"t","event":"e","payload":null,"ref":null,"join_ref":"1"}`, `"1"`, ``, "t", "e", `null`},
		{`{"ref":12345678901234567890123,"payload":[1, [2,"}"]] ,"event":"e","topic":"t","join_ref":null}`, ``, `12345678901234567890123`, "t", "e", `[1, [2,"}"]]`},
		{" { \"topic\"\t:\r\n\"t\" , \"event\" : \"e\" , \"payload\" : -1.5e3 , \"ref\" : true } ", ``, `true`, "t", "e", `-1.5e3`},
		{`{"\u0074opic":"\u00e9","event":"\"","payload":"\\","ref":"1","topi":0,"":{"topic":1}}`, ``, `"1"`, "é", `"`, `"\\"`},
		{`{"topic":"first","topic":"t","event":"e","payload":{},"ref":"1"}`, ``, `"1"`, "t", "e", `{}`},
	} {
		for _, binary := range []bool{false, true} { // a binary frame is read as text
			m, err := channels.V1.Decode([]byte(tc.frame), binary)
			if err != nil {
				t.Errorf("decode %s: %v", tc.frame, err)
				continue
			}
			if string(m.JoinRef) != tc.joinRef || string(m.Ref) != tc.ref || m.Topic != tc.topic || m.Event != tc.event || string(m.Payload) != tc.payload || m.Binary {
				t.Errorf("decode %s: got %q %q %q %q %q", tc.frame, m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload)
			}
		}
	}
}

func TestV1DecodeRefuses(t *testing.T) {
	for name, frame := range map[string]string{
		"nothing":        ``,
		"an array":       `["1","2","t","e",{}]`,
		"no topic":       `{"event":"e","payload":{},"ref":"1"}`,
		"no event":       `{"topic":"t","payload":{},"ref":"1"}`,
		"no payload":     `{"topic":"t","event":"e","ref":"1"}`,
		"no ref":         `{"topic":"t","event":"e","payload":{}}`,
		"an empty one":   ` { } `,
		"half a pair":    `{"topic":"t","event":"e","payload":"\ud800","ref":"1"}`,
		"no JSON":        `{"topic":"t","event":"e","payload":{},"ref":"1"`,
		"a binary frame": "\x00\x01\x01\x01\x0111te",
	} {
		if m, err := channels.V1.Decode([]byte(frame), false); !errors.Is(err, channels.ErrDecode) {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
}

func FuzzV1Decode(f *testing.F) {
	for _, seed := range []string{
		`{"topic":"room:a","event":"new","payload":{"body":"hi"},"ref":"2"}`,
		`{"topic":"t","event":"e","payload":[[1.5e3,"\\\""]],"ref":null,"join_ref":"1"}`,
		` { "ref" : 1 , "payload":-0 ,"event":"e","\u0074opic":"t","topic":"u","x":[{}]} `, `{}`, `[]`, `{"a":[`, "{\"topic\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := channels.V1.Decode(frame, false)
		if err != nil {
			if !errors.Is(err, channels.ErrDecode) {
				t.Fatalf("decode %q: %v is no ErrDecode", frame, err)
			}
			return
		}
		// A second opinion on what the frame says.
		var object map[string]json.RawMessage
		if err := json.Unmarshal(frame, &object); err != nil {
			t.Fatalf("decode %q: accepted, but %v", frame, err)
		}
		for key, got := range map[string][]byte{"payload": m.Payload, "ref": m.Ref, "join_ref": m.JoinRef} {
			want := object[key]
			if string(want) == "null" && key != "payload" {
				want = nil
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("decode %q: %s %q, want %q", frame, key, got, want)
			}
		}
		if m.Topic == "" {
			return // it may have been no string
		}
		// A push has the shape of what clients send.
		o := channels.Outgoing{Kind: channels.Push, Ref: m.Ref, Topic: m.Topic, Name: m.Event, Payload: m.Payload}
		encoded, err := channels.V1.Encode(&o)
		if err != nil {
			t.Fatalf("encode what %q says: %v", frame, err)
		}
		again, err := channels.V1.Decode(encoded.Data, false)
		if err != nil {
			t.Fatalf("decode %q, encoded from %q: %v", encoded.Data, frame, err)
		}
		if !bytes.Equal(again.Ref, m.Ref) || again.Topic != m.Topic || again.Event != m.Event || !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("%q became %q", frame, encoded.Data)
		}
	})
}

func TestCodecFor(t *testing.T) {
	for vsn, want := range map[string]channels.Codec{
		"1.0.0": channels.V1, "1.0.7": channels.V1, "1.0.10+build.007": channels.V1,
		"2.0.0": channels.V2, "2.0.5": channels.V2, "2.0.123456789012345678901234567890": channels.V2,
		"2.0.5-rc.1": channels.V2, "2.0.1--": channels.V2, "2.0.1-0.x0.01a+1-": channels.V2, "2.0.0+x": channels.V2,

		"": nil, "1": nil, "2": nil, "2.0": nil, "2.0.0.0": nil, "2.0.": nil, "1.1.0": nil, "2.1.0": nil, "3.0.0": nil,
		"9.9.9": nil, "0.9.9": nil, "12.0.0": nil, "02.0.0": nil, "2.00.0": nil, "2.0.00": nil, "2.0.01": nil,
		"2.0.0-rc.1": nil, "2.0.1-": nil, "2.0.1-01": nil, "2.0.1-a..b": nil, "2.0.1-a_b": nil, "2.0.1+": nil, "2.0.1+a+b": nil,
		"2.1.0-rc.1": nil, " 2.0.0": nil, "2.0.0\n": nil, "v2.0.0": nil, "2.0.x": nil, "~> 2.0.0": nil, "2.-0.0": nil,
	} {
		if codec, ok := channels.CodecFor(vsn); codec != want || ok != (want != nil) {
			t.Errorf("vsn %q: got %T, %t, want %T", vsn, codec, ok, want)
		}
	}
}
