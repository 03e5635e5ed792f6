package backup

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// Format is the format that Write writes, and the latest that Open reads.
const Format = 1

const (
	headName   = "rtd-backup.json"
	endName    = "end.json"
	statesDir  = "states"
	versionDir = "versions"

	pieceSize = 4 << 20
	maxFile   = 1 << 30 // bytes of a file of the versions folder, about
)

type head struct {
	Format int       `json:"format"`
	Made   time.Time `json:"made"`
}

type end struct {
	Pieces int `json:"pieces"`
	Files  int `json:"files"`
}

// Write writes a backup. states writes what is stored of durable actors; versions is the versions folder, of which
// that of each plugin is copied. It may be called while a server works.
func Write(ctx context.Context, w io.Writer, states func(io.Writer) error, versions string, plugins []string) error {
	t := &writer{tar: tar.NewWriter(w), now: time.Now().UTC().Truncate(time.Second)}
	if err := t.json(headName, head{Format, t.now}); err != nil {
		return err
	}
	pieces := &pieces{to: t}
	if err := states(pieces); err != nil {
		return fmt.Errorf("back up states: %w", err)
	}
	if err := pieces.flush(); err != nil {
		return err
	}
	for _, plugin := range plugins {
		if err := t.folder(ctx, filepath.Join(versions, plugin), path.Join(versionDir, plugin)); err != nil {
			return fmt.Errorf("back up versions of %s: %w", plugin, err)
		}
	}
	if err := t.json(endName, end{pieces.n, t.files}); err != nil {
		return err
	}
	return t.tar.Close()
}

type writer struct {
	tar   *tar.Writer
	now   time.Time
	files int
}

func (t *writer) entry(name string, size int64) error {
	return t.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: t.now})
}

func (t *writer) json(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := t.entry(name, int64(len(text))); err != nil {
		return err
	}
	_, err = t.tar.Write(text)
	return err
}

// folder copies the files of a folder, and of those in it. One that has gone since it was listed was not needed.
func (t *writer) folder(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !d.Type().IsRegular():
			return nil
		}
		below, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		return t.file(file, path.Join(to, filepath.ToSlash(below)))
	})
}

func (t *writer) file(file, name string) error {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.entry(name, int64(len(content))); err != nil {
		return err
	}
	t.files++
	_, err = t.tar.Write(content)
	return err
}

// pieces cuts a stream into entries of the tar file, which want to know their size before.
type pieces struct {
	to     *writer
	buffer []byte
	n      int
}

// Write implements [io.Writer].
func (p *pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		take := min(len(b), pieceSize-len(p.buffer))
		p.buffer = append(p.buffer, b[:take]...)
		b, n = b[take:], n+take
		if len(p.buffer) == pieceSize {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (p *pieces) flush() error {
	if len(p.buffer) == 0 {
		return nil
	}
	if err := p.to.entry(fmt.Sprintf("%s/%06d", statesDir, p.n), int64(len(p.buffer))); err != nil {
		return err
	}
	_, err := p.to.tar.Write(p.buffer)
	p.n, p.buffer = p.n+1, p.buffer[:0]
	return err
}
