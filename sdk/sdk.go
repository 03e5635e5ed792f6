// Package sdk holds the sources of the SDKs, so that whoever has the program rtd has
// them too: a new project gets a copy and builds without a network.
//
//	sdk/go/*.go ─┐
//	sdk/rust/ ───┤  go:embed     Copy("rust", "room/rtd")
//	sdk/as/ ─────┼────────────► rtd ───────────────────────► room/rtd/Cargo.toml, src/…
//	sdk/c/ ──────┘
//
// # The files of an SDK
//
// One thing has one file name in all four SDKs. A file that one of them has for itself has its
// reason in layers_test.go. Each layer imports itself and those above it, and no file imports one
// that needs it; tests hold the SDKs in Rust and AssemblyScript to both.
//
//	bytes       abi, record, json, payload, error, memory
//	way out     host: effects, operations, the log
//	processes   process, call, timer, clock, module, socket, presence, pubsub, migrate
//	callbacks   callbacks: what processes of all kinds can be told
//	behaviours  server, channel, connect, agent, task, event_handler, event_manager, supervisor
//	plugin      plugin: what the author registers
//	way in      entry: the inbox, and which part of the plugin takes an event
//
// # Questions
//
// Why a copy in each project, and not a package of a registry? A plugin must be of the
// same ABI as its SDK, and be there in ten years. The SDKs are small: 60 to 180 KB.
//
// Why is js not among them? It is for clients, and no SDK for plugins: [rtd/sdk/js] is a file that any page can load.
//
// Why without their tests? They need the rest of rtd's sources.
package sdk

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed go/*.go go/*.s suite/testdata/room/main.go
//go:embed rust/Cargo.toml rust/Cargo.lock rust/README.md rust/examples rust/src
//go:embed as/package.json as/asconfig.json as/README.md as/*.ts as/assembly as/examples
//go:embed c/README.md c/rtd.h c/src c/examples
var sources embed.FS

// Languages are those that there is an SDK for.
var Languages = []string{"go", "rust", "as", "c"}

var rooms = map[string]string{
	"go":   "suite/testdata/room/main.go",
	"rust": "rust/examples/room.rs",
	"as":   "as/examples/room.ts",
	"c":    "c/examples/room.c",
}

// Room returns the source of the RoomChannel in a language: a plugin in one file.
func Room(language string) ([]byte, error) {
	if !slices.Contains(Languages, language) {
		return nil, unknown(language)
	}
	return sources.ReadFile(rooms[language])
}

// Copy writes the SDK of a language into a folder, which it creates, with all that a build
// needs. It overwrites nothing: a file that is there already is an error.
func Copy(language, dir string) error {
	if !slices.Contains(Languages, language) {
		return unknown(language)
	}
	return fs.WalkDir(sources, language, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(file, language), "/")
		to := filepath.Join(dir, filepath.FromSlash(name))
		switch {
		case entry.IsDir() && path.Base(file) == "tests":
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o755)
		case strings.HasSuffix(file, "_test.go"):
			return nil
		}
		text, err := sources.ReadFile(file)
		if err != nil {
			return err
		}
		return writeNew(to, text)
	})
}

func writeNew(name string, text []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

func unknown(language string) error {
	return fmt.Errorf("no SDK for %q: want one of %s", language, strings.Join(Languages, ", "))
}
