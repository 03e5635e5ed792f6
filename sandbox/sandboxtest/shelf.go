package sandboxtest

import (
	"errors"
	"os"
	"path/filepath"
)

// Shelf keeps snapshots in a folder, for [sandbox.LoadOptions].Snapshots: the simplest that can be.
type Shelf string

// Get implements [sandbox.Snapshots].
func (s Shelf) Get(key string) ([]byte, error) { return os.ReadFile(s.File(key)) }

// Put implements [sandbox.Snapshots].
func (s Shelf) Put(key string, snapshot []byte) error {
	file, err := os.CreateTemp(string(s), "*.new")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(snapshot)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), s.File(key)) // whole, and in place of none
}

// SetAside implements [sandbox.Snapshots].
func (s Shelf) SetAside(key string) (to string, err error) {
	to = s.File(key) + ".bad"
	return to, os.Rename(s.File(key), to)
}

// File is where a snapshot is.
func (s Shelf) File(key string) string { return filepath.Join(string(s), key) }
