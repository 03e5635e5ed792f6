package host

import (
	"crypto/sha256"
	"io"
	"os"
	"time"
)

// stamp tells whether a small file has changed. Content counts: a mounted volume that is
// swapped may hold another file of the same size and time. Time counts too: who touches
// a file wants it to be read.
type stamp struct {
	modified time.Time
	content  [sha256.Size]byte
}

// maxStamped is how many bytes of a file count: more than one that is good has.
const maxStamped = 1 << 20

// stampOf returns the zero stamp for a file that cannot be read.
func stampOf(path string) (s stamp) {
	file, err := os.Open(path)
	if err != nil {
		return s
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return s
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(file, maxStamped)); err != nil {
		return s
	}
	s.modified = info.ModTime()
	sum.Sum(s.content[:0])
	return s
}
