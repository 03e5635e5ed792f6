package sections_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"rtd/sandbox/sections"
)

// Every beginning of a module is complete up to the end of a section, or truncated: a folder waits for the rest.
func TestBeginnings(t *testing.T) {
	module := echo(t)
	ends := map[int]bool{len(sections.Header): true}
	for s, err := range sections.Of(module) {
		if err != nil {
			t.Fatal(err)
		}
		ends[s.Offset+len(s.Whole)] = true
	}
	if len(ends) < 5 || !ends[len(module)] {
		t.Fatalf("sections end at %v", ends)
	}
	for n := 1; n < len(module); n++ {
		_, err := read(module[:n])
		if ends[n] && err != nil || !ends[n] && !errors.Is(err, sections.ErrTruncated) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
}

func TestAppend(t *testing.T) {
	custom := append(sections.AppendName(nil, "mine"), "content"...)
	module := sections.Append(sections.Append([]byte(sections.Header), sections.Type, []byte{0}), sections.Custom, custom)
	found, err := read(module)
	if err != nil || len(found) != 2 || found[0].ID != sections.Type || found[0].Name != "" ||
		found[1].Name != "mine" || string(found[1].Content.Rest()) != "content" {
		t.Errorf("%+v, %v", found, err)
	}
}

// Whatever the bytes are, there are sections that make up the module, or an error that says where.
func FuzzOf(f *testing.F) {
	module := echo(f)
	f.Add(module)
	f.Add(module[:len(module)-1])
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Add([]byte(sections.Header + "\x00\xff\xff\xff\xff\x0f"))
	f.Add([]byte(sections.Header + "\x00\xff\xff\xff\xff\xff"))
	f.Add([]byte(sections.Header + "\x00\x02\x05a"))
	f.Fuzz(func(t *testing.T, module []byte) {
		found, err := read(module)
		if fault, ok := errors.AsType[*sections.Error](err); err != nil && (!ok || fault.Offset > len(module)) {
			t.Fatalf("%v", err)
		}
		whole := []byte(sections.Header)
		for _, s := range found {
			whole = append(whole, s.Whole...)
		}
		if len(found) > 0 && !bytes.HasPrefix(module, whole) || err == nil && len(whole) != len(module) {
			t.Errorf("%d sections of %d bytes, the module has %d", len(found), len(whole), len(module))
		}
	})
}

func read(module []byte) (found []sections.Section, err error) {
	for s, err := range sections.Of(module) {
		if err != nil {
			return found, err
		}
		found = append(found, s)
	}
	return found, nil
}

func echo(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
