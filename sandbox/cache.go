package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/cpu"
)

// wazeroVersion is the version in go.mod. wazero names its cache by it too, but
// calls it "dev" in test binaries, and would then run another version's code.
const wazeroVersion = "v1.12.0"

const wazeroPath = "github.com/tetratelabs/wazero"

// maxCode is how large the machine code of a module may be: the largest module of a real compiler that
// rtd takes has less than half of it.
const maxCode = 512 << 20

// sealEnding ends the name of the file that says what another one holds.
const sealEnding = ".seal"

// errAltered says that a file of the cache is not what was written.
var errAltered = errors.New("it is not what was written")

// codeCache is a folder of machine code. wazero makes the files and reads them, but it trusts them: it
// allocates what a damaged one announces, and its own checksum covers a part. So each has a seal beside it, the
// hash of all of it, and no file is read by wazero whose seal has not been compared before.
//
// Several processes may use it. A file comes into its place as a whole, and so does its seal; one
// without the other is none.
type codeCache struct {
	dir     string
	placing sync.Mutex // so that a file and its seal come from one and the same
}

// openCache makes the folder.
func openCache(dir string) (*codeCache, error) {
	c := &codeCache{dir: dir}
	if err := os.MkdirAll(filepath.Dir(c.file("")), 0o700); err != nil {
		return nil, err
	}
	return c, nil
}

// wazeroFolder is the folder that wazero makes in the one that it is given.
var wazeroFolder = sync.OnceValue(func() string {
	version := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, wazeroPath) {
				version = dep.Version
			}
		}
		if version == "" || version == "(devel)" {
			version = info.Main.Version
		}
	}
	if version == "" || version == "(devel)" {
		version = "dev"
	}
	return "wazero-" + version + "-" + runtime.GOARCH + "-" + runtime.GOOS
})

// compiles says whether wazero compiles on this processor. Elsewhere it interprets, and there is nothing to keep.
const compiles = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// codeKey is the name that wazero gives to the file of a module's machine code: a hash of the module and of
// what it uses of the processor. A test holds it to what wazero does.
func codeKey(wasm []byte) string {
	var features uint64
	switch runtime.GOARCH {
	case "amd64":
		if cpu.X86.HasSSE41 {
			features |= 1
		}
		if cpu.X86.HasBMI1 {
			features |= 2
		}
		if cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT {
			features |= 4
		}
	case "arm64":
		if cpu.ARM64.HasATOMICS {
			features |= 1
		}
	}
	hash := sha256.New()
	hash.Write(wasm)
	hash.Write([]byte{0}) // no check for the end of a context
	module := hash.Sum(nil)
	hash.Reset()
	hash.Write(module)
	hash.Write([]byte("WAZEVO"))
	hash.Write(binary.LittleEndian.AppendUint64(nil, features))
	return hex.EncodeToString(hash.Sum(nil))
}

// codeFile is where wazero has the machine code of a module, in a folder that it is given.
func codeFile(dir, key string) string { return filepath.Join(dir, wazeroFolder(), key) }

func (c *codeCache) file(key string) string { return codeFile(c.dir, key) }

// holds reports whether the cache has the machine code of a module, whole and as it was written. An error says
// that there is something else in its place.
func (c *codeCache) holds(key string) (bool, error) {
	seal, err := readSeal(c.file(key) + sealEnding)
	if errors.Is(err, fs.ErrNotExist) {
		// Without it the file is none, but not a reason for alarm: whoever wrote it was killed, or is about to.
		return false, nil
	}
	if err != nil {
		return false, err
	}
	switch found, err := sealOf(c.file(key), key); {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case found != seal:
		return false, errAltered
	}
	return true, nil
}

// place moves the machine code of a module from a workplace in the cache to where it belongs.
func (c *codeCache) place(work, key string) error {
	seal, err := sealOf(codeFile(work, key), key)
	if err != nil {
		return err
	}
	c.placing.Lock()
	defer c.placing.Unlock()
	to := c.file(key)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil { // somebody has emptied the cache
		return err
	}
	if err := replaceFile(codeFile(work, key), to); err != nil {
		return err
	}
	written := filepath.Join(work, "seal")
	if err := writeSynced(written, seal); err != nil {
		return err
	}
	return replaceFile(written, to+sealEnding)
}

// replaceFile moves a file over whatever is there.
func replaceFile(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		return nil
	}
	if info, there := os.Lstat(to); there != nil || info.Mode().IsRegular() {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func writeSynced(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

// discard removes a file that is of no use, as far as possible: it is replaced later in any case.
func (c *codeCache) discard(key string) {
	_ = os.RemoveAll(c.file(key) + sealEnding)
	_ = os.RemoveAll(c.file(key))
}

// openRegular opens a file for reading, unless it is something that could block, or never end.
func openRegular(name string, most int64) (*os.File, error) {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", name)
	case info.Size() > most:
		return nil, fmt.Errorf("%s has %s, at most %s are allowed", name, byteSize(info.Size()), byteSize(most))
	}
	return os.Open(name)
}

func readSeal(name string) (string, error) {
	const most = 1 << 10
	file, err := openRegular(name, most)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, most))
	return string(text), err
}

// sealOf is what the seal of a file says. It is of one module, so that no file can stand in for another.
func sealOf(name, key string) (string, error) {
	file, err := openRegular(name, maxCode)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	fmt.Fprintln(hash, key)
	if _, err := io.Copy(hash, io.LimitReader(file, maxCode)); err != nil {
		return "", err
	}
	return fmt.Sprintf("sha256 %x\n", hash.Sum(nil)), nil
}

// workPrefix begins the names of workplaces.
const workPrefix = "rtd-compile-"

// workplace makes a folder of its own for one module, which only this user may read. The caller removes it.
func workplace(in string) (string, error) { return os.MkdirTemp(in, workPrefix) }

// sweep removes workplaces that somebody has left behind. No module takes an hour.
func sweep(dir string) {
	entries, _ := os.ReadDir(dir) // of a folder that cannot be read: none
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && info.IsDir() && strings.HasPrefix(entry.Name(), workPrefix) && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}
