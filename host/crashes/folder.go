package crashes

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rtd/host/disk"
)

const (
	suffix       = ".json"
	memorySuffix = ".memory.gz"
	maxFile      = 4 << 20 // bytes of a report that are read
)

// Dir returns the folder of crash reports for a server with these folders in its config;
// "" if reports are off.
func Dir(dir, plugins string) string {
	if dir == "auto" {
		return filepath.Join(plugins, ".rtd", "crashes")
	}
	return dir
}

// List returns the reports in a folder, the last crash first, without their events. The
// folder may be missing. Files that cannot be read are left out, and their errors joined.
func List(dir string) ([]*Report, error) {
	var errs []error
	all, err := list(dir, func(_ string, err error) { errs = append(errs, err) })
	return all, errors.Join(append(errs, err)...)
}

// list is List, and calls bad for each file that cannot be read.
func list(dir string, bad func(file string, err error)) ([]*Report, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list crash reports: %w", err)
	}
	var all []*Report
	for _, entry := range entries {
		if !isID(strings.TrimSuffix(entry.Name(), suffix)) || filepath.Ext(entry.Name()) != suffix {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		r, err := ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just made room
		}
		if err != nil {
			bad(file, err)
			continue
		}
		r.ID, r.Opening, r.Events = strings.TrimSuffix(entry.Name(), suffix), nil, nil
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Report) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// Read returns the report with an id. The first digits are enough if no other id begins
// with them.
func Read(dir, id string) (*Report, error) {
	var found []string
	if isID(id) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("find crash report: %w", err)
		}
		for _, entry := range entries {
			if name, ok := strings.CutSuffix(entry.Name(), suffix); ok && isID(name) && strings.HasPrefix(name, id) {
				found = append(found, name)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no crash report %.80q in %s; rtd crash list shows those there are", id, dir)
	case 1:
		r, err := ReadFile(filepath.Join(dir, found[0]+suffix))
		if err != nil {
			return nil, err
		}
		r.ID = found[0]
		return r, nil
	}
	return nil, fmt.Errorf("several crash reports begin with %s: %s; give more digits", id, strings.Join(found, ", "))
}

func isID(id string) bool {
	return id != "" && len(id) <= idSize && strings.Trim(id, "0123456789abcdef") == ""
}

// ReadFile returns the report in a file.
func ReadFile(file string) (*Report, error) {
	text, err := disk.Read(file, maxFile)
	r := &Report{}
	if err == nil {
		err = json.Unmarshal(text, r)
	}
	if err == nil && r.Plugin == "" {
		err = errors.New("it names no plugin: it is no crash report")
	}
	if err != nil {
		return nil, fmt.Errorf("read crash report %s: %w", file, err)
	}
	return r, nil
}

// packedPiece is how many bytes of a memory are packed at once, in some 100 µs.
const packedPiece = 32 << 10

// save writes a report, and the memory that belongs to it unless it is nil. It returns
// their size in bytes. A reader finds the old report or the new one. Between two pieces of the memory
// breathe is called.
func save(dir string, r *Report, memory []byte, breathe func()) (size int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	if memory != nil {
		n, err := disk.ReplaceLater(filepath.Join(dir, r.Memory.File), 0o600, func(w io.Writer) error {
			out := bufio.NewWriterSize(w, packedPiece)            // the packer writes some hundred bytes at a time
			packer, _ := gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is right
			for piece := range slices.Chunk(memory, packedPiece) {
				if _, err := packer.Write(piece); err != nil {
					return err
				}
				breathe()
			}
			return errors.Join(packer.Close(), out.Flush())
		})
		if err != nil {
			return 0, err
		}
		size += n
	}
	n, err := disk.ReplaceLater(filepath.Join(dir, r.ID+suffix), 0o600, func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(r)
	})
	return size + n, err
}

// remove deletes a report. Somebody may have done so before.
func remove(dir, id string) error {
	var errs []error
	for _, name := range []string{id + suffix, id + memorySuffix} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sizeOf returns the size of a report in bytes.
func sizeOf(dir, id string) (size int64) {
	for _, name := range []string{id + suffix, id + memorySuffix} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}
