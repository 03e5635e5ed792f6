package manifest_test

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"

	"rtd/sandbox/manifest"
	"rtd/sandbox/sandboxtest"
	"rtd/sandbox/sections"

	"rtd/sandbox"
)

var full = manifest.Manifest{
	Name: "room", Version: "1.2.3", Topics: []string{"room:*"}, Durable: []string{"room:*", "process:counter"}, History: []string{"room:*"}, ABI: "rtd_v1",
	Capabilities: manifest.Capabilities{
		Topics: []string{"audit:*"}, Depends: []string{"accounts"}, Connect: true, Disconnect: true,
	},
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	wasm := echo(t)
	if m, err := manifest.Read(wasm); m != nil || err != nil {
		t.Fatalf("Read without a manifest = %v, %v", m, err)
	}
	for _, m := range []manifest.Manifest{{Name: "first"}, full, full} { // each in place of the one before
		var err error
		if wasm, err = manifest.Write(wasm, m); err != nil {
			t.Fatal(err)
		}
		got, err := manifest.Read(wasm)
		if err != nil || !reflect.DeepEqual(*got, m) {
			t.Errorf("Read = %+v, %v, want %+v", got, err, m)
		}
	}
	if n := bytes.Count(wasm, []byte(`"abi"`)); n != 1 {
		t.Errorf("%d manifests in the module", n)
	}
}

// The sandbox runs a module with a manifest as the one without.
func TestModuleStaysGood(t *testing.T) {
	wasm, err := manifest.Write(echo(t), full)
	if err != nil {
		t.Fatal(err)
	}
	p, err := sandboxtest.Engine(t).Load(t.Context(), wasm, sandbox.LoadOptions{Name: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// Strip leaves what runs, and what it is told to.
func TestStrip(t *testing.T) {
	wasm := append(append(echo(t), section("producers", "some compiler")...), section("name", "")...)
	got, err := manifest.Strip(wasm, "name")
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range sections.Of(got) {
		if err != nil || s.ID == sections.Custom && s.Name != "name" {
			t.Errorf("section %d %s, %v", s.ID, s.Name, err)
		}
	}
	if want := append(stripped(t, echo(t)), section("name", "")...); !bytes.HasSuffix(got, section("name", "")) || len(got) < len(want) {
		t.Errorf("%d bytes are left, want %d or more", len(got), len(want))
	}
	if _, err := manifest.Strip([]byte("text")); err == nil {
		t.Error("text was stripped")
	}
}

func stripped(t *testing.T, wasm []byte) []byte {
	t.Helper()
	wasm, err := manifest.Strip(wasm)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func TestRefusals(t *testing.T) {
	wasm := echo(t)
	good, err := manifest.Write(wasm, full)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]struct {
		wasm []byte
		want string
	}{
		"no module":           {[]byte("#!/bin/sh\n"), "does not begin with"},
		"nothing":             {nil, "does not begin with"},
		"a component":         {[]byte("\x00asm\x0d\x00\x01\x00"), "a component, not a core module"},
		"truncated":           {good[:len(good)-1], "truncated"},
		"endless length":      {append(bytes.Clone(wasm), 0, 0xff, 0xff, 0xff, 0xff, 0xff), "too long"},
		"length beyond":       {append(bytes.Clone(wasm), 0, 0xff, 0xff, 0xff, 0xff, 0x0f), "section 0 has 4294967295 bytes"},
		"two manifests":       {append(bytes.Clone(good), section("rtd", "{}")...), "two sections"},
		"no JSON":             {append(bytes.Clone(wasm), section("rtd", "{")...), "JSON"},
		"unknown capability":  {append(bytes.Clone(wasm), section("rtd", `{"capabilities":{"files":["/"]}}`)...), `unknown field "files"`},
		"more than is needed": {append(bytes.Clone(wasm), section("rtd", strings.Repeat(" ", manifest.MaxSize+1))...), "at most"},
	} {
		if m, err := manifest.Read(bad.wasm); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: Read = %v, %v, want an error with %q", name, m, err, bad.want)
		}
	}
	if m, err := manifest.Read(append(bytes.Clone(wasm), section("rtd", `{"name":"x","since":1}`)...)); err != nil || m.Name != "x" {
		t.Errorf("a key that is not known yet: %v, %v", m, err)
	}
}

func FuzzRead(f *testing.F) {
	wasm := echo(f)
	f.Add(wasm)
	good, err := manifest.Write(wasm, full)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, wasm []byte) {
		if _, err := manifest.Read(wasm); err != nil {
			return
		}
		again, err := manifest.Write(wasm, full)
		if err != nil {
			t.Fatalf("what could be read cannot be written: %v", err)
		}
		if m, err := manifest.Read(again); err != nil || !reflect.DeepEqual(*m, full) {
			t.Errorf("Read after Write = %+v, %v", m, err)
		}
	})
}

// section is a custom section with a length of five bytes, as linkers write it.
func section(name, content string) []byte {
	n := 1 + len(name) + len(content)
	b := []byte{0, byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n>>14)&0x7f | 0x80, 0x80, 0, byte(len(name))}
	return append(append(b, name...), content...)
}

func echo(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile("../testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}
