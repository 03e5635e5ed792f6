package sandbox_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"rtd/sandbox"
	"rtd/sandbox/abi"
)

// Errors of WASI.
const (
	badFD  = 8
	fault  = 21
	inval  = 28
	noSys  = 52
	notSup = 58
)

// Addresses in testdata/wasi.wat, of whose memory there are three pages.
const (
	scratch = 18 // its first 64 bytes are in each reply
	inbox   = 0x10000
	free    = 0x20000
	end     = 0x30000
)

// prober calls imports through testdata/wasi.wat.
type prober struct {
	*testing.T
	plugin   *sandbox.Module
	instance *sandbox.Instance
	number   map[string]byte
	params   map[string]string // a letter for each: i or I
	log      func() string
}

var wasiImport = regexp.MustCompile(`(?m)^  \(import "[^"]+" "(\w+)" \(func \$\w+(?: \(param ([i0-9 ]*)\))?`)

func newProber(t *testing.T) *prober {
	log, text := logged()
	p := &prober{T: t, number: map[string]byte{}, params: map[string]string{}, log: text}
	p.plugin = load(t, fixture(t, "wasi"), sandbox.LoadOptions{
		Log: log, Limits: sandbox.Limits{Deadline: 5 * time.Second, LogLines: 1e6},
	})
	p.instance = start(t, p.plugin)
	source, err := os.ReadFile("testdata/wasi.wat")
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range wasiImport.FindAllStringSubmatch(string(source), -1) {
		p.number[m[1]] = byte(n)
		p.params[m[1]] = strings.NewReplacer("i32", "i", "i64", "I", " ", "").Replace(m[2])
	}
	if len(p.number) != 47 {
		t.Fatalf("wasi.wat imports %d functions, want 47", len(p.number))
	}
	return p
}

// call calls an import and returns its result and 64 bytes of scratch memory.
// data lies behind the arguments, at [prober.dataAt].
func (p *prober) call(name string, data []byte, args ...uint64) (int32, []byte, error) {
	p.Helper()
	n, ok := p.number[name]
	if !ok || len(args) != len(p.params[name]) {
		p.Fatalf("%s takes %q, not %d arguments", name, p.params[name], len(args))
	}
	payload := []byte{n}
	for _, a := range args {
		payload = binary.LittleEndian.AppendUint64(payload, a)
	}
	effects, err := p.instance.Handle(&abi.Event{Kind: abi.EventMessage, Name: "call", Payload: append(payload, data...)})
	if err != nil {
		return 0, nil, err
	}
	for _, e := range effects { // op may have made some before
		if len(e.Payload) == 68 {
			return int32(binary.LittleEndian.Uint32(e.Payload)), e.Payload[4:], nil
		}
	}
	p.Fatalf("no reply to %s: %+v", name, effects)
	return 0, nil, nil
}

// dataAt is the address of call's data: behind header, name and arguments.
func (p *prober) dataAt(name string) uint64 {
	return inbox + 4 + 4 + uint64(len("call")) + 4 + 1 + 8*uint64(len(p.params[name]))
}

func (p *prober) want(want int32, name string, args ...uint64) []byte {
	p.Helper()
	got, memory, err := p.call(name, nil, args...)
	if err != nil || got != want {
		p.Fatalf("%s(%#x) = %d, %v, want %d", name, args, got, err, want)
	}
	return memory
}

func TestWASI(t *testing.T) {
	p := newProber(t)
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64

	t.Run("clocks", func(t *testing.T) {
		begin := time.Now()
		wall := int64(u64(p.want(0, "clock_time_get", 0, 1, scratch)))
		if wall < begin.UnixNano() || wall > time.Now().UnixNano() {
			t.Errorf("wall clock is %v away", time.Duration(wall-begin.UnixNano()))
		}
		one := u64(p.want(0, "clock_time_get", 1, 1, scratch))
		two := u64(p.want(0, "clock_time_get", 1, 1, scratch))
		if two <= one || two-one > uint64(time.Minute) {
			t.Errorf("monotonic clock goes from %d to %d", one, two)
		}
		if res := u64(p.want(0, "clock_res_get", 0, scratch)); res == 0 {
			t.Error("no resolution")
		}
		p.want(inval, "clock_time_get", 2, 1, scratch)
		p.want(inval, "clock_res_get", 9, scratch)
	})
	t.Run("random", func(t *testing.T) {
		one := bytes.Clone(p.want(0, "random_get", scratch, 64))
		two := p.want(0, "random_get", scratch, 64)
		if bytes.Equal(one, two) || bytes.Count(one, []byte{0}) > 16 {
			t.Errorf("random bytes are %x and %x", one, two)
		}
		p.want(0, "random_get", free, 0x10000)
	})
	t.Run("no arguments", func(t *testing.T) {
		if memory := p.want(0, "args_sizes_get", scratch, scratch+4); u64(memory) != 0 {
			t.Errorf("args_sizes_get = %x", memory[:8])
		}
		p.want(0, "args_get", 0, 0)
	})
	t.Run("environment", func(t *testing.T) {
		const want = "GODEBUG=clobberfree=1,gcshrinkstackoff=1\x00"
		if memory := p.want(0, "environ_sizes_get", scratch, scratch+4); u32(memory) != 1 || u32(memory[4:]) != uint32(len(want)) {
			t.Errorf("environ_sizes_get = %x", memory[:8])
		}
		if memory := p.want(0, "environ_get", scratch, scratch+8); string(memory[8:8+len(want)]) != want {
			t.Errorf("environ_get = %q", memory[:40])
		}
		p.want(fault, "environ_get", scratch, 0xffffffff)
	})
	t.Run("descriptors", func(t *testing.T) {
		for fd := range uint64(3) {
			if memory := p.want(0, "fd_fdstat_get", fd, scratch); memory[0] != 2 {
				t.Errorf("descriptor %d is of type %d", fd, memory[0])
			}
		}
		p.want(badFD, "fd_fdstat_get", 3, scratch)
		p.want(badFD, "fd_prestat_get", 3, scratch) // how a libc finds that there are no files
		p.want(badFD, "fd_close", 1)
		p.want(noSys, "path_open", 3, 0, 0, 0, 0, 0, 0, 0, scratch)
		p.want(noSys, "sock_accept", 3, 0, 0)
		p.want(0, "sched_yield")
	})
	t.Run("write", func(t *testing.T) {
		at := p.dataAt("fd_write")
		data := binary.LittleEndian.AppendUint32(nil, uint32(at+16))
		data = binary.LittleEndian.AppendUint32(data, 5)
		data = binary.LittleEndian.AppendUint32(data, uint32(at+21))
		data = binary.LittleEndian.AppendUint32(data, 7)
		data = append(data, "hello, world"...)
		errno, memory, err := p.call("fd_write", data, 1, at, 2, scratch)
		if err != nil || errno != 0 || u32(memory) != 12 || !strings.Contains(p.log(), `msg="hello, world" topic=room:1 from=stdout`) {
			t.Errorf("errno = %d, %v, %d bytes, log %s", errno, err, u32(memory), p.log())
		}
		p.want(badFD, "fd_write", 0, 0, 0, scratch)
		p.want(badFD, "fd_write", 3, 0, 0, scratch)
	})
	t.Run("poll", func(t *testing.T) {
		at := p.dataAt("poll_oneoff")
		clock := subscription(7, 0, 1, 20*time.Millisecond)
		file := subscription(8, 1, 0, 0)
		begin := time.Now()
		errno, memory, err := p.call("poll_oneoff", clock, at, scratch, 1, scratch+32)
		if err != nil || errno != 0 || u32(memory[32:]) != 1 || u64(memory) != 7 || memory[8] != 0 {
			t.Errorf("errno = %d, %v, %x", errno, err, memory)
		}
		if took := time.Since(begin); took < 20*time.Millisecond {
			t.Errorf("slept %v, want 20ms", took)
		}
		far := subscription(7, 0, 1, time.Hour)
		errno, memory, err = p.call("poll_oneoff", append(far, file...), at, scratch, 2, scratch+32)
		if err != nil || errno != 0 || u32(memory[32:]) != 1 || u64(memory) != 8 || memory[8] != notSup || memory[10] != 1 {
			t.Errorf("errno = %d, %v, %x", errno, err, memory)
		}
		// What Go's runtime asks for when it panics: time for threads that it does not have.
		threads := subscription(7, 0, 1, time.Millisecond)
		binary.LittleEndian.PutUint64(threads[32:], 1000)
		process := &queued{}
		p.instance = startAs(t, p.plugin, process)
		for range 100 {
			if errno, memory, err := p.call("poll_oneoff", threads, at, scratch, 1, scratch+32); err != nil || errno != 0 || u32(memory[32:]) != 1 {
				t.Fatalf("errno = %d, %v, %x", errno, err, memory)
			}
		}
		if n := process.blocks.Load(); n > 0 {
			t.Errorf("it slept %d times", n)
		}
		p.want(inval, "poll_oneoff", free, free, 0, scratch)
		p.want(inval, "poll_oneoff", free, free, 1<<20, scratch)
	})
}

// subscription is what poll_oneoff takes: a number, and a clock or a file.
func subscription(number uint64, tag byte, clock uint32, timeout time.Duration) []byte {
	b := make([]byte, 48)
	binary.LittleEndian.PutUint64(b, number)
	b[8] = tag
	binary.LittleEndian.PutUint32(b[16:], clock)
	binary.LittleEndian.PutUint64(b[24:], uint64(timeout))
	return b
}

// Whatever a guest passes, the host survives, answers, and soon.
func TestWildArguments(t *testing.T) {
	noLeaks(t)
	p := newProber(t)
	wild := []uint64{0, 1, scratch, end - 8, end - 1, end, end + 1, 1 << 20, math.MaxInt32, 1 << 31, math.MaxUint32 - 7, math.MaxUint32}
	for name, params := range p.params {
		if name == "proc_exit" {
			continue
		}
		args := make([]uint64, len(params))
		// All pairs of wild values for each two neighbours, the rest being small.
		for k := range args {
			for _, a := range wild {
				for _, b := range wild {
					for n := range args {
						args[n] = 1
					}
					args[k] = a
					args[(k+1)%len(args)] = b
					if name == "poll_oneoff" {
						args[2] = min(args[2], 1<<20) // what is in memory may be a long sleep
					}
					if _, _, err := p.call(name, nil, args...); err != nil {
						// It had the host write over its own reply.
						wantTrap(t, err, sandbox.KindProtocol, "handle returned")
						p.instance.Close()
						p.instance = start(t, p.plugin)
					}
				}
			}
		}
	}

	// What must be refused, exactly.
	for _, name := range []string{"args_sizes_get", "environ_sizes_get"} {
		p.want(fault, name, end-3, scratch)
		p.want(fault, name, scratch, math.MaxUint32)
	}
	p.want(fault, "clock_time_get", 0, 0, end-7)
	p.want(fault, "clock_res_get", 0, math.MaxUint32)
	p.want(fault, "random_get", end-1, 2)
	p.want(fault, "random_get", 1, math.MaxUint32)
	p.want(fault, "fd_fdstat_get", 1, end-23)
	p.want(inval, "fd_write", 1, free, 1025, scratch)
	p.want(fault, "fd_write", 1, end-8, 2, scratch)
	p.want(fault, "fd_write", 1, free, 1, end-3)
	p.want(fault, "poll_oneoff", end-47, free, 1, scratch)
	p.want(fault, "poll_oneoff", free, end-31, 1, scratch)
	p.want(int32(abi.CodeMalformed), "op", end-1, 2, 0, 0)
	p.want(int32(abi.CodeMalformed), "op", 1, math.MaxUint32, 0, 0)
	p.want(int32(abi.CodeMalformed), "op", free, 0, 0, 0)
	p.want(int32(abi.CodeMalformed), "op", free, 1, 0, 0)
}

// A thousand vectors that all point to the same page are not worked through.
func TestWriteIsBounded(t *testing.T) {
	p := newProber(t)
	at := p.dataAt("fd_write")
	var vectors []byte
	for range 1024 {
		vectors = binary.LittleEndian.AppendUint32(vectors, 0)
		vectors = binary.LittleEndian.AppendUint32(vectors, end)
	}
	errno, memory, err := p.call("fd_write", vectors, 1, at, 1024, scratch)
	if err != nil || errno != 0 || binary.LittleEndian.Uint32(memory) != 1024*end {
		t.Errorf("errno = %d, %v, %x", errno, err, memory)
	}
	if len(p.log()) > 1<<20 {
		t.Errorf("it made %d bytes of log", len(p.log()))
	}
}

func TestOpRecords(t *testing.T) {
	p := newProber(t)
	long := strings.Repeat("x", 4097)
	for _, c := range []struct {
		name   string
		record []byte
		want   abi.Code
	}{
		{"push", effect(abi.EffectPush, "e", "{}"), 0},
		{"bare header", []byte{2, 1, 0, 0}, 0},
		{"short header", []byte{2, 1, 0}, abi.CodeMalformed},
		{"field beyond the end", []byte{2, 1, 0, 0, 9, 0, 0, 0}, abi.CodeMalformed},
		{"huge field", []byte{2, 1, 0, 0, 0xff, 0xff, 0xff, 0xff}, abi.CodeMalformed},
		{"long name", effect(abi.EffectPush, long, ""), abi.CodeMalformed},
		{"name that is no UTF-8", effect(abi.EffectPush, "\xff", ""), abi.CodeMalformed},
		{"an event", effect(abi.EventJoin, "e", ""), abi.CodeMalformed},
		{"unknown effect", effect(0x1ff, "e", ""), abi.CodeUnknown},
		{"unknown operation", effect(0x2ff, "e", ""), abi.CodeUnknown},
		{"beyond all ranges", effect(0x7fff, "e", ""), abi.CodeUnknown},
		{"log", effect(abi.OpLog, "debug", "text\n\x1b[31mred"), 0},
		{"log with a long level", effect(abi.OpLog, long, ""), abi.CodeMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := p.call("op", c.record, p.dataAt("op"), uint64(len(c.record)), 0, 0)
			if err != nil || abi.Code(got) != c.want {
				t.Errorf("op = %d, %v, want %d", got, err, c.want)
			}
		})
	}
	if want := `level=DEBUG msg="text [31mred" topic=room:1 from=log`; !strings.Contains(p.log(), want) {
		t.Errorf("log lacks %s:\n%s", want, p.log())
	}
}

func effect(kind abi.Kind, name, payload string) []byte {
	return abi.AppendEffect(nil, &abi.Effect{Kind: kind, Name: name, Payload: []byte(payload)})
}
