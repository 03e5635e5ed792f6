package bus

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// A server that finds a damaged record cuts its file there, with all behind it, goes on with what is left, and says nothing.
// A survey of the files before it starts tells what it cuts.
//
// What was being written when a process or its machine ended is cut too, and that is right: nobody was told that it is
// stored. In a log that is one record, as one is written at a time.
type survey struct {
	clean  bool // the last end was proper: nothing was being written
	blocks map[string]block
}

// block is a file of records before the server starts.
type block struct {
	size int64
	log  bool   // of a log
	tail []byte // its end, as far as a record that was being written may reach; of the last one of a log, after an end that was not proper
}

// longest is how many bytes a record of a stream has at the most, with what the server adds.
const longest = MaxData + 2*headroom

// streams are the folders of all streams, in the folder of a bus.
func (f *folder) streams() ([]string, error) {
	return filepath.Glob(filepath.Join(f.dir, alone, "jetstream", "*", "streams", "*"))
}

// survey looks at the files before the server does. From now on the end is no proper one.
func (f *folder) survey() (s survey, err error) {
	clean := filepath.Join(f.dir, cleanName)
	if _, err := os.Stat(clean); err == nil {
		s.clean = true
		if err := os.Remove(clean); err != nil {
			return s, fmt.Errorf("write to folder: %w", err)
		}
	}
	if err := f.examine(s.clean); err != nil {
		return s, err
	}
	paths, err := filepath.Glob(filepath.Join(f.dir, alone, "jetstream", "*", "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return s, err
	}
	s.blocks = make(map[string]block, len(paths))
	last := map[string]string{} // of each log
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return s, fmt.Errorf("read folder: %w", err)
		}
		dir := filepath.Dir(path)
		b := block{size: info.Size(), log: strings.Contains(dir, "_"+kindLog+"_")}
		s.blocks[path] = b
		if b.log && number(path) >= number(last[dir]) {
			last[dir] = path
		}
	}
	if s.clean {
		return s, nil
	}
	for _, path := range last {
		b := s.blocks[path]
		if b.tail, err = tail(path, b.size); err != nil {
			return s, fmt.Errorf("read folder: %w", err)
		}
		s.blocks[path] = b
	}
	return s, nil
}

// number is the number of a file of records, which is its name.
func number(path string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk")) // of others 0
	return n
}

// tail returns the end of a file.
func tail(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data := make([]byte, min(size, longest))
	_, err = file.ReadAt(data, size-int64(len(data)))
	return data, err
}

// note marks the streams that the server has not read whole. read has those that it has read.
func (f *folder) note(s survey, read map[string]*server.LostStreamData) error {
	folders, err := f.streams()
	if err != nil {
		return err
	}
	for _, path := range folders {
		name := filepath.Base(path)
		if strings.HasPrefix(name, ".") {
			continue // it is being removed
		}
		lost, known := read[name]
		switch {
		case !known:
			err = f.mark(name, "the server could not read it at all; put "+path+" back from a backup, or move it away")
		case lost != nil && len(lost.Msgs) > 0:
			err = f.mark(name, fmt.Sprintf("%d records could not be read", len(lost.Msgs)))
		}
		if err != nil {
			return err
		}
	}
	for path, before := range s.blocks {
		info, err := os.Stat(path)
		if err != nil || info.Size() >= before.size {
			continue // a file that is gone held what was purged, or leaves a gap that readers see
		}
		if cut := before.size - info.Size(); !s.unwritten(before, cut) {
			name := filepath.Base(filepath.Dir(filepath.Dir(path)))
			if err := f.mark(name, fmt.Sprintf("%d bytes at the end of %s could not be read", cut, filepath.Base(path))); err != nil {
				return err
			}
		}
	}
	return nil
}

// unwritten reports whether what was cut off was no more than what was being written.
func (s survey) unwritten(before block, cut int64) bool {
	switch {
	case s.clean:
		return false
	case !before.log:
		return true // a batch of a store may be any number of records
	case cut > int64(len(before.tail)):
		return false
	}
	// A record begins with its length, of which the highest bit says whether it has headers.
	record := before.tail[int64(len(before.tail))-cut:]
	return len(record) < 4 || int64(binary.LittleEndian.Uint32(record)&^(1<<31)) >= cut
}

// ended says that nothing is being written any more.
func (f *folder) ended() error {
	if err := os.WriteFile(filepath.Join(f.dir, cleanName), nil, 0o600); err != nil {
		return fmt.Errorf("note the end: %w", err)
	}
	return nil
}

// height is the largest sequence that a stream is known to have had: it never has a smaller one again.
type height struct{ atomic.Uint64 }

// reached notes a sequence.
func (h *height) reached(sequence uint64) {
	for now := h.Load(); sequence > now; now = h.Load() {
		if h.CompareAndSwap(now, sequence) {
			return
		}
	}
}

// heightOf returns the height of a stream.
func (b *Bus) heightOf(stream string) *height {
	h, _ := b.heights.LoadOrStore(stream, &height{})
	return h.(*height)
}

// at takes note of the sequence that a stream has now, and returns an error if it had a larger one before.
func (s *stream) at(last, before uint64) error {
	if last >= before {
		s.height.reached(last)
		return nil
	}
	text := fmt.Sprintf("it ends with record %d, and has had %d", last, before)
	if e := s.bus.engine; e != nil {
		if err := e.mark(s.name, text); err != nil {
			text += "; " + err.Error()
		}
	}
	return fmt.Errorf("%w: %s: %s", ErrDamaged, s.name, text)
}
