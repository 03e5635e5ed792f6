package channels_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"rtd/channels"
)

func TestV2EncodeBinary(t *testing.T) {
	long := strings.Repeat("é", 127) + "x" // 255 bytes
	for _, tc := range []struct {
		name string
		in   channels.Outgoing
		want string
	}{
		{
			"push",
			channels.Outgoing{Kind: channels.Push, JoinRef: []byte(`"12"`), Topic: "room:a", Name: "news", Payload: []byte{0, 0xff, 1}},
			"\x00\x02\x06\x0412room:anews\x00\xff\x01",
		},
		{
			"reply",
			channels.Outgoing{Kind: channels.Reply, JoinRef: []byte(`"12"`), Ref: []byte(`"345"`), Topic: "room:é", Name: "ok", Payload: []byte(`x`)},
			"\x01\x02\x03\x07\x0212345room:éokx",
		},
		{
			"reply with numbers and null for refs, and without data",
			channels.Outgoing{Kind: channels.Reply, Ref: []byte(`12345678901234567890`), Topic: "t", Name: "error"},
			"\x01\x00\x14\x01\x0512345678901234567890terror",
		},
		{
			"reply to a ref with escapes",
			channels.Outgoing{Kind: channels.Reply, JoinRef: []byte(`""`), Ref: []byte(`"\"\u00e9"`), Topic: "", Name: ""},
			"\x01\x00\x03\x00\x00\"é",
		},
		{
			"broadcast",
			channels.Outgoing{Kind: channels.Broadcast, JoinRef: []byte(`"1"`), Topic: "room:a", Name: "said", Payload: []byte(`{}`)},
			"\x02\x06\x04room:asaid{}",
		},
		{
			"the longest names",
			channels.Outgoing{Kind: channels.Broadcast, Topic: long, Name: long},
			"\x02\xff\xff" + long + long,
		},
	} {
		tc.in.Binary = true
		f, err := channels.V2.Encode(&tc.in)
		if err != nil || string(f.Data) != tc.want || !f.Binary || channels.V2.Check(&tc.in) != nil {
			t.Errorf("%s: got %q, %v; want %q", tc.name, f.Data, err, tc.want)
		}
	}
	for name, o := range map[string]channels.Outgoing{
		"topic":    {Kind: channels.Broadcast, Topic: long + "y"},
		"event":    {Kind: channels.Push, Name: long + "y"},
		"status":   {Kind: channels.Reply, Name: long + "y"},
		"join_ref": {Kind: channels.Push, JoinRef: []byte(`"` + long + `y"`)},
		"ref":      {Kind: channels.Reply, Ref: []byte(strings.Repeat("1", 256))},
		"an array": {Kind: channels.Reply, Ref: []byte(`[1]`)},
		"object":   {Kind: channels.Push, JoinRef: []byte(`{}`)},
	} {
		o.Binary = true
		f, err := channels.V2.Encode(&o)
		if check := channels.V2.Check(&o); err == nil || check == nil || check.Error() != err.Error() {
			t.Errorf("%s: got %q, %v, and %v of Check", name, f.Data, err, check)
		}
		o.Binary = false
		if err := channels.V2.Check(&o); err != nil {
			t.Errorf("%s in text: %v", name, err)
		}
	}
}

func TestV2DecodeBinary(t *testing.T) {
	for _, tc := range []struct{ frame, joinRef, ref, topic, event, payload string }{
		{"\x00\x02\x01\x06\x03127room:anew\x00\xff", `"12"`, `"7"`, "room:a", "new", "\x00\xff"},
		{"\x00\x00\x00\x00\x00", `""`, `""`, "", "", ""},
		{"\x00\x01\x04\x02\x01\"a\\<béé{}", `"\""`, `"a\\<b"`, "é", "\xc3", "\xa9{}"},
		{"\x00\x00\x00\xff\x01" + strings.Repeat("t", 255) + "e", `""`, `""`, strings.Repeat("t", 255), "e", ""},
	} {
		if tc.event == "\xc3" { // half of a character is no name
			if _, err := channels.V2.Decode([]byte(tc.frame), true); !errors.Is(err, channels.ErrDecode) || errors.Is(err, channels.ErrUTF8) {
				t.Errorf("decode %q: %v", tc.frame, err)
			}
			continue
		}
		m, err := channels.V2.Decode([]byte(tc.frame), true)
		if err != nil {
			t.Errorf("decode %q: %v", tc.frame, err)
			continue
		}
		if string(m.JoinRef) != tc.joinRef || string(m.Ref) != tc.ref || m.Topic != tc.topic || m.Event != tc.event || string(m.Payload) != tc.payload || !m.Binary {
			t.Errorf("decode %q: got %q %q %q %q %q", tc.frame, m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload)
		}
	}
	for _, frame := range []string{
		"", "\x00", "\x00\x00\x00\x00", "\x00\x01\x00\x00\x00", "\x00\x00\x00\x00\x01", "\x00\xff\xff\xff\xffabc",
		"\x01\x00\x00\x00\x00", "\x02\x00\x00\x00\x00", "\x03\x00\x00\x00\x00\x00", "\x04\x00\x00\x00\x00", `["1","2","t","e",{}]`,
	} {
		if m, err := channels.V2.Decode([]byte(frame), true); !errors.Is(err, channels.ErrDecode) {
			t.Errorf("decode %q: got %+v, %v", frame, m, err)
		}
	}
}

func FuzzV2DecodeBinary(f *testing.F) {
	for _, seed := range []string{"\x00\x02\x01\x06\x03127room:anew\x00\xff", "\x00\x00\x00\x00\x00", "\x00\x01\x01\x01\x01\"\\\n\x1f", "\x01\x00", "\x00\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		m, err := channels.V2.Decode(frame, true)
		if err != nil {
			if !errors.Is(err, channels.ErrDecode) {
				t.Fatalf("decode %q: %v is no ErrDecode", frame, err)
			}
			return
		}
		// A reply has the same fields, with a status for the event.
		o := channels.Outgoing{Kind: channels.Reply, JoinRef: m.JoinRef, Ref: m.Ref, Topic: m.Topic, Name: m.Event, Payload: m.Payload, Binary: true}
		encoded, err := channels.V2.Encode(&o)
		if err != nil {
			t.Fatalf("encode what %q says: %v", frame, err)
		}
		if want := append([]byte{1}, frame[1:]...); !bytes.Equal(encoded.Data, want) {
			t.Fatalf("%q became %q", frame, encoded.Data)
		}
		// In text the refs are JSON strings.
		o = channels.Outgoing{Kind: channels.Push, JoinRef: m.JoinRef, Ref: m.Ref, Topic: m.Topic, Name: m.Event}
		text, err := channels.V2.Encode(&o)
		if err != nil {
			t.Fatalf("encode what %q says as text: %v", frame, err)
		}
		again, err := channels.V2.Decode(text.Data, false)
		if err != nil || !bytes.Equal(again.JoinRef, m.JoinRef) || !bytes.Equal(again.Ref, m.Ref) || again.Topic != m.Topic || again.Event != m.Event {
			t.Fatalf("%q became %q: %v", frame, text.Data, err)
		}
	})
}
