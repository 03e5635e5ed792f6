package deflate_test

import (
	"bytes"
	stdlib "compress/flate"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"rtd/host/gateway/deflate"
)

// The answers to offers, by RFC 7692, section 7.1.
func TestNegotiate(t *testing.T) {
	const plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, test := range []struct {
		offer  string
		answer string
		window int // 0: any
	}{
		{"", "", 0},
		{"permessage-deflate", plain, 0},
		{"permessage-deflate; client_max_window_bits", plain, 0}, // Chromium, Firefox, ws
		{"Permessage-Deflate; Client_Max_Window_Bits=10", plain, 0},
		{"permessage-deflate; client_no_context_takeover; server_no_context_takeover", plain, 0},
		{"permessage-deflate; server_max_window_bits=15", plain + "; server_max_window_bits=15", 0},
		{"permessage-deflate; server_max_window_bits=10", plain + "; server_max_window_bits=10", 1 << 10},
		{`permessage-deflate; server_max_window_bits="10"`, plain + "; server_max_window_bits=10", 1 << 10},
		{`permessage-deflate; server_max_window_bits="\1\0"`, plain + "; server_max_window_bits=10", 1 << 10},
		{"permessage-deflate;server_max_window_bits =\t8 ;client_max_window_bits", plain + "; server_max_window_bits=8", 1 << 8},
		{"x-webkit-deflate-frame, permessage-deflate", plain, 0},
		{`other; a="b", ,permessage-deflate,`, plain, 0},
		{"permessage-deflate; server_max_window_bits=9, permessage-deflate", plain + "; server_max_window_bits=9", 1 << 9},
		// An offer that cannot be accepted is declined, and the next one is looked at.
		{"permessage-deflate; server_max_window_bits=7, permessage-deflate", plain, 0},
		{"permessage-deflate; unknown, permessage-deflate; client_max_window_bits", plain, 0},
		{"permessage-deflate; unknown", "", 0},
		{"permessage-deflate; unknown=15", "", 0},
		{"permessage-deflate; server_max_window_bits", "", 0},
		{"permessage-deflate; server_max_window_bits=7", "", 0},
		{"permessage-deflate; server_max_window_bits=16", "", 0},
		{"permessage-deflate; server_max_window_bits=010", "", 0},
		{"permessage-deflate; server_max_window_bits=+10", "", 0},
		{"permessage-deflate; client_max_window_bits=16", "", 0},
		{"permessage-deflate; client_max_window_bits=x", "", 0},
		{"permessage-deflate; client_no_context_takeover=true", "", 0},
		{"permessage-deflate; server_no_context_takeover=1", "", 0},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", 0},
		{"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", "", 0},
		{"permessage-bzip2", "", 0},
		// What is no list of extensions offers nothing.
		{"permessage-deflate; =", "", 0},
		{"permessage-deflate; server_max_window_bits=", "", 0},
		{`permessage-deflate; server_max_window_bits=""`, "", 0},
		{`permessage-deflate; server_max_window_bits="10`, "", 0},
		{"permessage-deflate x", "", 0},
		{"permessage-deflate, other;", "", 0},
		{"permessage-deflate, (", "", 0},
	} {
		a := deflate.Negotiate(http.Header{"Sec-Websocket-Extensions": {test.offer}})
		if a.Answer != test.answer || test.window != 0 && a.Window != test.window || test.window == 0 && test.answer != "" && a.Window < 1<<30 {
			t.Errorf("%s: %+v", test.offer, a)
		}
	}
	two := deflate.Negotiate(http.Header{"Sec-Websocket-Extensions": {"other", "permessage-deflate"}})
	if two.Answer != plain {
		t.Errorf("in the second of two headers: %+v", two)
	}
}

// The examples of RFC 7692, section 7.2.3, are all "Hello".
func TestInflateExamples(t *testing.T) {
	for name, payload := range map[string]string{
		"7.2.3.1, one block":           "\xf2\x48\xcd\xc9\xc9\x07\x00",
		"7.2.3.3, not compressed":      "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
		"7.2.3.4, the last block":      "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"7.2.3.5, two blocks":          "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
		"the last block, nothing else": "\xf3\x48\xcd\xc9\xc9\x07\x00",
	} {
		if m, err := deflate.Inflate([]byte(payload), 5); err != nil || string(m) != "Hello" {
			t.Errorf("%s: %q, %v", name, m, err)
		}
		if m, err := deflate.Inflate([]byte(payload), 4); !errors.Is(err, deflate.ErrTooLarge) {
			t.Errorf("%s, with a limit of 4: %q, %v", name, m, err)
		}
	}
	if m, err := deflate.Inflate([]byte("\x00"), 0); err != nil || len(m) != 0 { // section 7.2.3.6
		t.Errorf("an empty message: %q, %v", m, err)
	}
	// A further block refers to what was before the last one.
	again := "\xf3\x48\xcd\xc9\xc9\x07\x00" + "\xf3\x48\xcd\xc9\xc9\x07\x00"
	if m, err := deflate.Inflate([]byte(again), 10); err != nil || string(m) != "HelloHello" {
		t.Errorf("two last blocks: %q, %v", m, err)
	}
}

func TestInflateCorrupt(t *testing.T) {
	whole, _ := deflate.Append(nil, []byte(strings.Repeat("something that was said ", 20)))
	for n := range len(whole) - 1 {
		if m, err := deflate.Inflate(whole[:n], 1<<20); err == nil && n > 0 {
			t.Errorf("%d of %d bytes are %q", n, len(whole), m)
		}
	}
	for _, payload := range []string{"\x07", "\xff\xff\xff", "\x00\x05\x00\xfa\xfe\x48", strings.Repeat("\x03\x00", 1000)} {
		if m, err := deflate.Inflate([]byte(payload), 1<<20); !errors.Is(err, deflate.ErrCorrupt) {
			t.Errorf("%q: %q, %v", payload[:2], m, err)
		}
	}
}

// A bomb is given up at the limit, before much memory is taken for it.
func TestBomb(t *testing.T) {
	bomb, _ := deflate.Append(nil, make([]byte, 64<<20))
	const limit = 64 << 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		if _, err := deflate.Inflate(bomb, limit); !errors.Is(err, deflate.ErrTooLarge) {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / 10; each > 8*limit {
		t.Errorf("a bomb of %d bytes takes %d bytes, with a limit of %d", len(bomb), each, limit)
	}
}

// Whatever the length, a message comes back from this package and from the standard library.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{1, 10, 100, 1000, 32 << 10, 33 << 10, 100_000, 1 << 20} {
		message := said(r, size)
		packed, ok := deflate.Append([]byte("before"), message)
		if !ok {
			if size > 100 || string(packed) != "before" {
				t.Errorf("%d bytes are not compressed, and %q is appended", size, packed)
			}
			continue
		}
		packed, before := packed[len("before"):], packed[:len("before")]
		if string(before) != "before" || len(packed) >= size {
			t.Errorf("%d bytes became %d behind %q", size, len(packed), before)
		}
		if m, err := deflate.Inflate(packed, size); err != nil || !bytes.Equal(m, message) {
			t.Errorf("%d bytes came back as %d: %v", size, len(m), err)
		}
		m, err := io.ReadAll(stdlib.NewReader(io.MultiReader(bytes.NewReader(packed), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
		if err != nil || !bytes.Equal(m, message) {
			t.Errorf("%d bytes came back from compress/flate as %d: %v", size, len(m), err)
		}
	}
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	if _, ok := deflate.Append(nil, noise); ok {
		t.Error("noise became shorter")
	}
}

// said is a broadcast of about size bytes, as handlers send them.
func said(r *rand.Rand, size int) []byte {
	b := []byte(`[null,null,"room:lobby","new_message",{"messages":[`)
	for len(b) < size {
		b = fmt.Appendf(b, `{"user":"user-%d","body":"message %d of %d, and some text","at":%d},`, r.IntN(100), r.IntN(1000), r.IntN(1000), r.Uint64())
	}
	return b[:size]
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"), 100)
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 3)
	bomb, _ := deflate.Append(nil, make([]byte, 1<<20))
	f.Add(bomb, 1000)
	f.Fuzz(func(t *testing.T, payload []byte, limit int) {
		limit = min(max(limit, 0), 1<<20)
		message, err := deflate.Inflate(payload, limit)
		switch {
		case err == nil && len(message) > limit:
			t.Errorf("%d bytes, with a limit of %d", len(message), limit)
		case err != nil && !errors.Is(err, deflate.ErrCorrupt) && !errors.Is(err, deflate.ErrTooLarge):
			t.Error(err)
		case err == nil:
			if packed, ok := deflate.Append(nil, message); ok {
				if again, err := deflate.Inflate(packed, limit); err != nil || !bytes.Equal(again, message) {
					t.Errorf("%q came back as %q, %v", message, again, err)
				}
			}
		}
	})
}

func FuzzNegotiate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits")
	f.Add(`permessage-deflate; server_max_window_bits="1\0", x`)
	f.Fuzz(func(t *testing.T, offer string) {
		a := deflate.Negotiate(http.Header{"Sec-Websocket-Extensions": {offer}})
		if a.Answer == "" {
			return
		}
		if !strings.Contains(strings.ToLower(offer), "permessage-deflate") || a.Window < 1<<8 {
			t.Errorf("%q: %+v", offer, a)
		}
		if again := deflate.Negotiate(http.Header{"Sec-Websocket-Extensions": {a.Answer}}); again != a {
			t.Errorf("the answer %+v is answered by %+v", a, again)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{300, 2000, 20_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			message, out := said(rand.New(rand.NewPCG(1, 2)), size), []byte(nil)
			b.ReportAllocs()
			for b.Loop() {
				out, _ = deflate.Append(out[:0], message)
			}
			b.ReportMetric(float64(len(out))/float64(size), "size")
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, size := range []int{300, 2000, 20_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			packed, _ := deflate.Append(nil, said(rand.New(rand.NewPCG(1, 2)), size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := deflate.Inflate(packed, size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
