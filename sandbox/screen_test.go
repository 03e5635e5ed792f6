package sandbox_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// Modules of a few bytes that would have a decoder allocate gigabytes.
func TestCountsAreBounded(t *testing.T) {
	e := sandboxtest.Engine(t)
	const million, billions = "\xc0\x84\x3d", "\xff\xff\xff\xff\x0f"
	for name, module := range map[string]string{
		"types":              section(1, billions),
		"parameters":         section(1, "\x01\x60"+billions),
		"imports":            section(2, billions),
		"name of an import":  section(2, "\x01"+billions),
		"functions":          section(3, billions),
		"tables":             section(4, billions),
		"elements of tables": section(4, "\x01\x70\x00"+billions),
		"many large tables":  section(4, "\x02"+"\x70\x00"+million+"\x70\x00"+million),
		"globals":            section(6, billions),
		"exports":            section(7, billions),
		"segments":           section(9, billions),
		"elements":           section(9, "\x01\x00\x41\x00\x0b"+billions),
		"element expression": section(9, "\x01\x05\x70"+billions),
		"typed elements":     section(9, "\x01\x05\x63\x70"+billions),
		"bodies":             section(10, billions),
		"locals":             section(10, "\x01\x08\x01"+billions+"\x7f\x0b"),
		"locals of all":      section(10, "\x80\x02"+strings.Repeat("\x06\x01\xd0\x86\x03\x7f\x0b", 256)),
		"data":               section(11, billions),
		"bytes of data":      section(11, "\x01\x00\x41\x00\x0b"+billions),
		"section size":       "\x01" + billions,
		"custom name":        section(0, billions),
		"function names":     section(0, "\x04name\x01\x05"+billions),
		"local names":        section(0, "\x04name\x02\x07\x01\x00"+billions),
		"names beyond":       section(0, "\x04name\x01\x01\x00") + section(0, "\x04name"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := e.Load(t.Context(), []byte("\x00asm\x01\x00\x00\x00"+module), sandbox.LoadOptions{})
			if err == nil {
				t.Fatal("no error")
			}
			if name != "names beyond" && !strings.Contains(err.Error(), " at byte ") && !strings.Contains(err.Error(), "truncated") {
				t.Errorf("found by wazero only: %v", err)
			}
		})
	}
}

func section(id byte, content string) string {
	return string(binary.AppendUvarint([]byte{id}, uint64(len(content)))) + content
}

// Damaged files are what a folder watcher sees. Whatever they have in them, the
// process survives.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		if strings.Contains(file, "loop") {
			continue // takes its whole deadline each time
		}
		wasm, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wasm)
	}
	e, err := sandbox.NewEngine(sandbox.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		p, err := e.Load(t.Context(), wasm, sandbox.LoadOptions{
			Limits: sandbox.Limits{Memory: 1 << 20, Deadline: 20 * time.Millisecond},
		})
		if err != nil {
			return
		}
		defer p.Close()
		if i, err := p.Start("", nil); err == nil {
			i.Handle(message("echo", "0"))
			i.Close()
		}
	})
}
