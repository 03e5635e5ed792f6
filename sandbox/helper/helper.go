package helper

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Limits bound a child. Both are needed.
type Limits struct {
	CPU    time.Duration // of the processor, all threads together; in whole seconds, rounded up
	Memory int64         // resident bytes
}

// CPUError says that a child was ended because it had used up its time.
type CPUError struct{ Limit time.Duration }

func (e *CPUError) Error() string {
	return fmt.Sprintf("it took more than %v of processor time", e.Limit)
}

// MemoryError says that a child was ended because it had grown too large.
type MemoryError struct{ Limit int64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("it took more than %d MiB of memory", e.Limit>>20)
}

// StartError says that a child could not be started.
type StartError struct{ Err error }

func (e *StartError) Error() string { return fmt.Sprintf("start a child process: %v", e.Err) }
func (e *StartError) Unwrap() error { return e.Err }

const (
	maxAnswer    = 64 << 10 // bytes; the rest is dropped
	maxLastWords = 2 << 10
	headerSize   = 24 // seconds, bytes of memory, bytes of the request
	// lookEvery is how often the memory of a child is looked at.
	lookEvery = 50 * time.Millisecond
)

// Run starts command as a child, hands it the request, and returns its answer. It returns when the child
// is gone. The errors are [*CPUError], [*MemoryError], [*StartError], the cause of ctx, or another reason for the
// child's death.
func Run(ctx context.Context, command []string, l Limits, request []byte) (answer []byte, err error) {
	seconds := (l.CPU + time.Second - 1) / time.Second
	wall, cancel := context.WithTimeout(ctx, wallFactor*seconds*time.Second)
	defer cancel()
	out, words := head{most: maxAnswer}, head{most: maxLastWords}
	cmd := exec.CommandContext(wall, command[0], command[1:]...)
	cmd.Env = []string{"GOMAXPROCS=2", "GOTRACEBACK=none"}
	cmd.Stdout, cmd.Stderr = &out, &words
	cmd.WaitDelay = time.Second
	input, err := cmd.StdinPipe() // Wait closes it
	if err != nil {
		return nil, &StartError{err}
	}
	isolate(cmd)
	// The kernel takes the end of the thread that started the child for the end of its parent.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		input.Close()
		return nil, &StartError{err}
	}
	header := make([]byte, 0, headerSize)
	header = binary.LittleEndian.AppendUint64(header, uint64(seconds))
	header = binary.LittleEndian.AppendUint64(header, uint64(l.Memory))
	header = binary.LittleEndian.AppendUint64(header, uint64(len(request)))
	written := make(chan struct{})
	go func() { // Wait closes the pipe, which ends it
		defer close(written)
		if _, err := input.Write(header); err == nil {
			_, _ = input.Write(request) // of a child that is gone, Wait tells more
		}
	}()
	ended, watched := make(chan struct{}), make(chan bool, 1)
	go func() { watched <- watch(cmd, l.Memory, ended) }()
	err = cmd.Wait()
	close(ended)
	tooLarge := <-watched
	<-written

	switch {
	case err == nil:
		return out.kept.Bytes(), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case tooLarge || cmd.ProcessState.ExitCode() == exitMemory:
		return nil, &MemoryError{l.Memory}
	case cmd.ProcessState.ExitCode() == exitCPU || wall.Err() != nil:
		return nil, &CPUError{seconds * time.Second}
	}
	if said := words.String(); said != "" {
		return nil, fmt.Errorf("child process: %w: %s", err, said)
	}
	return nil, fmt.Errorf("child process: %w", err)
}

// watch kills a child that takes more memory than it may, and reports whether it did.
func watch(cmd *exec.Cmd, most int64, ended <-chan struct{}) bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return false
		case <-tick.C:
			if resident(cmd.Process.Pid) > most {
				return cmd.Process.Kill() == nil
			}
		}
	}
}

// head is a writer that keeps the beginning.
type head struct {
	kept bytes.Buffer
	most int
}

func (h *head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), h.most-h.kept.Len())])
	return len(p), nil
}

// String returns the beginning as one line.
func (h *head) String() string {
	return strings.Join(strings.Fields(h.kept.String()), " ")
}

// argument tells the program that it is to be a helper. No program has a command of this name.
const argument = "rtd:helper"

// consent is set by Main in a process that is no helper.
var consent bool

// Exit codes of a child that has found that it is beyond its limits.
const (
	exitMemory = 77
	exitCPU    = 78
)

// Main is to be called first in main. In a child process of [Run] it does the work and ends the process. In
// any other it returns, and from then on [Command] says how such a child is started.
//
// The result of work is the answer. It has no error: a failure is told in the answer.
func Main(work func(request []byte) (answer []byte)) {
	if len(os.Args) != 2 || os.Args[1] != argument {
		keepDescriptors()
		consent = true
		return
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(os.Stdin, header[:]); err != nil {
		fmt.Fprintln(os.Stderr, "this is for rtd itself, when it compiles")
		os.Exit(2)
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(header[8*i:]) }
	if err := takeOn(Limits{time.Duration(field(0)) * time.Second, int64(field(1))}); err != nil {
		fmt.Fprintln(os.Stderr, "take on limits:", err)
		os.Exit(1)
	}
	request := make([]byte, field(2))
	if _, err := io.ReadFull(os.Stdin, request); err != nil {
		os.Exit(1) // the parent is gone
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // the same
	}()
	if _, err := os.Stdout.Write(work(request)); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// Command is how this program starts itself as a helper, for [Run]; nil if it has not called [Main], or if
// the system does not say where it is.
func Command() []string {
	if !consent {
		return nil
	}
	path := self()
	if path == "" {
		return nil
	}
	return []string{path, argument}
}
