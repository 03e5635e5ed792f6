package backup

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rtd/host/disk"
	"rtd/host/names"
)

// ErrNoBackup says that a file is no backup, or not a whole one.
var ErrNoBackup = errors.New("it is no whole backup of rtd")

// Backup is a file that Write has written, as a whole.
type Backup struct {
	Made time.Time
	file *os.File
}

// Open looks through a file. The error is [ErrNoBackup] with the cause if it is not fit.
func Open(name string) (*Backup, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b := &Backup{file: file}
	if err := b.check(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// Close closes the file.
func (b *Backup) Close() error { return b.file.Close() }

func (b *Backup) check() error {
	var is, was end
	begun, ended := false, false
	err := b.each(func(h *tar.Header, content io.Reader) error {
		dir, _, _ := strings.Cut(h.Name, "/")
		switch {
		case ended:
			return fmt.Errorf("%w: %s comes after its end", ErrNoBackup, h.Name)
		case h.Name == headName:
			var about head
			if err := read(content, &about); err != nil {
				return err
			}
			if about.Format != Format {
				return fmt.Errorf("%w: it has the format %d, and this rtd reads %d", ErrNoBackup, about.Format, Format)
			}
			b.Made, begun = about.Made, true
		case !begun:
			return fmt.Errorf("%w: it begins with %s", ErrNoBackup, h.Name)
		case h.Name == endName:
			ended = true
			return read(content, &was)
		case dir == statesDir:
			is.Pieces++
		case dir == versionDir:
			is.Files++
			_, err := within(h.Name)
			return err
		default:
			return fmt.Errorf("%w: it has %s", ErrNoBackup, h.Name)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !ended || is != was:
		return fmt.Errorf("%w: it is cut", ErrNoBackup)
	}
	return nil
}

// each calls f for all entries, from the beginning.
func (b *Backup) each(f func(h *tar.Header, content io.Reader) error) error {
	if _, err := b.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for t := tar.NewReader(b.file); ; {
		h, err := t.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrNoBackup, err)
		case h.Typeflag != tar.TypeReg || h.Size > maxFile:
			return fmt.Errorf("%w: %s is no file, or too large", ErrNoBackup, h.Name)
		}
		if err := f(h, t); err != nil {
			return err
		}
	}
}

// States copies what is stored of durable actors, as it was written.
func (b *Backup) States(to io.Writer) error {
	return b.each(func(h *tar.Header, content io.Reader) error {
		if !strings.HasPrefix(h.Name, statesDir+"/") {
			return nil
		}
		_, err := io.Copy(to, content)
		return err
	})
}

// Versions writes the versions into a versions folder, beside those that it has. A file that is there stays, if its content is the
// same; else nothing is written, and the error names it. Lists of versions are not taken over where there is one: a plugin's own is
// newer. undo removes what was written, and nothing else.
func (b *Backup) Versions(dir string) (undo func(), err error) {
	w := &written{}
	err = b.each(func(h *tar.Header, content io.Reader) error {
		if !strings.HasPrefix(h.Name, versionDir+"/") {
			return nil
		}
		below, err := within(h.Name)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoBackup, err)
		}
		return w.restore(filepath.Join(dir, filepath.FromSlash(below)), text)
	})
	if err != nil {
		w.undo()
		return nil, err
	}
	return w.undo, nil
}

// written are the folders and files that were made, in order.
type written struct{ paths []string }

// undo removes them. A folder stays in which somebody else has put something.
func (w *written) undo() {
	for _, path := range slices.Backward(w.paths) {
		_ = os.Remove(path)
	}
}

func (w *written) restore(file string, content []byte) error {
	there, err := os.ReadFile(file)
	switch {
	case err == nil && (bytes.Equal(there, content) || strings.HasSuffix(file, ".json")):
		return nil
	case err == nil:
		return fmt.Errorf("%s is there with another content; restore into a folder that no server has used", file)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := w.mkdir(filepath.Dir(file)); err != nil {
		return err
	}
	if _, err = disk.Replace(file, 0o600, disk.Bytes(content)); err == nil {
		w.paths = append(w.paths, file)
	}
	return err
}

// mkdir makes a folder, and those above it, if they are not there.
func (w *written) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := w.mkdir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	switch {
	case err == nil:
		w.paths = append(w.paths, dir)
	case errors.Is(err, fs.ErrExist):
		return nil
	}
	return err
}

// within is a file of the versions folder, from the name of its entry: PLUGIN/FILE, or PLUGIN/FOLDER/FILE.
func within(entry string) (string, error) {
	below := strings.TrimPrefix(entry, versionDir+"/")
	plugin, rest, ok := strings.Cut(below, "/")
	if !ok || names.Check(plugin) != nil || rest == "" || path.Clean(below) != below || strings.Count(rest, "/") > 1 ||
		strings.ContainsAny(below, `\:`) || !filepath.IsLocal(filepath.FromSlash(below)) {
		return "", fmt.Errorf("%w: %.200q is no file of a versions folder", ErrNoBackup, entry)
	}
	return below, nil
}

func read(content io.Reader, into any) error {
	if err := json.NewDecoder(io.LimitReader(content, 1<<16)).Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrNoBackup, err)
	}
	return nil
}
