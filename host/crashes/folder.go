package crashes

import (
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
	"time"
)

const (
	suffix       = ".json"
	memorySuffix = ".memory.gz"
	unfinished   = ".new-" // how files begin that are being written
	maxFile      = 4 << 20 // bytes of a report that are read
)

// Dir returns the folder of crash reports for a server whose config says dir, and
// whose plugins are in a folder of their own. It is "" if there are to be none.
func Dir(dir, plugins string) string {
	if dir == "auto" {
		return filepath.Join(plugins, ".rtd", "crashes")
	}
	return dir
}

// List returns the reports in a folder, the last crash first, without their events.
// There may be no such folder. Files that cannot be read are left out, and joined
// into the error.
func List(dir string) ([]*Report, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list crash reports: %w", err)
	}
	var all []*Report
	var errs []error
	for _, entry := range entries {
		if !isID(strings.TrimSuffix(entry.Name(), suffix)) || filepath.Ext(entry.Name()) != suffix {
			continue
		}
		r, err := ReadFile(filepath.Join(dir, entry.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just made room
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.ID, r.Opening, r.Events = strings.TrimSuffix(entry.Name(), suffix), nil, nil
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Report) int { return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.ID, b.ID)) })
	return all, errors.Join(errs...)
}

// Read returns the report with an id, of which the first digits will do if no other
// begins with them.
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
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read crash report: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
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

// save writes a report, and the memory that belongs to it unless it is nil. It returns
// the bytes that they take. Whoever reads finds the old report or the new one.
func save(dir string, r *Report, memory []byte) (size int64, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	if memory != nil {
		n, err := replace(filepath.Join(dir, r.Memory.File), func(w io.Writer) error {
			packer, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is right
			_, err := packer.Write(memory)
			return errors.Join(err, packer.Close())
		})
		if err != nil {
			return 0, err
		}
		size += n
	}
	n, err := replace(filepath.Join(dir, r.ID+suffix), func(w io.Writer) error {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		out.SetIndent("", "  ")
		return out.Encode(r)
	})
	return size + n, err
}

// replace writes a file in one step. Only its owner can read it.
func replace(file string, write func(io.Writer) error) (size int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(file), unfinished) // of mode 0600
	if err != nil {
		return 0, err
	}
	err = write(f)
	if info, failed := f.Stat(); failed == nil {
		size = info.Size()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return 0, errors.Join(err, os.Remove(f.Name()))
	}
	return size, nil
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

// sizeOf is how many bytes a report takes.
func sizeOf(dir, id string) (size int64) {
	for _, name := range []string{id + suffix, id + memorySuffix} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// sweep deletes what a server left unfinished that was killed. What is younger may
// belong to another one.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, unfinished+"*")) // the pattern is right, unless dir has its own
	for _, file := range left {
		if info, err := os.Stat(file); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(file) // the next start tries again
		}
	}
}
