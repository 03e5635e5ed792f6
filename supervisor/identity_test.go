package supervisor_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"rtd/supervisor"
)

// TestOtherIncarnations has two runtimes one after the other with the same numbers: what names
// a process or a monitor of the first names nothing in the second.
func TestOtherIncarnations(t *testing.T) {
	first, second := supervisor.New(supervisor.Options{}), supervisor.New(supervisor.Options{})
	for serial := range uint64(100) {
		pid, ref := supervisor.PID(serial+1), supervisor.Ref(serial+1)
		theirs, ours := string(first.AppendPID(nil, pid)), string(second.AppendPID(nil, pid))
		if got, err := second.ParsePID(ours); got != pid || err != nil {
			t.Fatalf("%s is %v, %v; want %v", ours, got, err, pid)
		}
		if got, err := second.ParsePID(theirs); got != 0 || !errors.Is(err, supervisor.ErrNoProcess) {
			t.Fatalf("%s of another runtime is %v, %v", theirs, got, err)
		}
		if _, err := second.ParseRef(string(first.AppendRef(nil, ref))); !errors.Is(err, supervisor.ErrNoProcess) {
			t.Fatalf("ref %v of another runtime: %v", ref, err)
		}
		if short, _, _ := strings.Cut(ours, "."); short != pid.String() {
			t.Fatalf("the short text of %s is %v", ours, pid)
		}
	}
	if a, b := first.NewRef(), first.NewRef(); a == b || a == 0 {
		t.Errorf("refs %d and %d", a, b)
	}
}

// TestIdentityTexts has each pid and ref have one text, and bounds it.
func TestIdentityTexts(t *testing.T) {
	rt := supervisor.New(supervisor.Options{})
	mark := "." + rt.Incarnation().String()
	const other = ".0000000" // of no runtime
	malformed, noProcess := supervisor.ErrMalformed, supervisor.ErrNoProcess
	for text, want := range map[string]error{
		"1c" + mark: nil, "g000000000000" + mark: malformed, "fvvvvvvvvvvvv" + mark: nil,
		"1c" + other: noProcess, "1c": noProcess, "99999999": noProcess,
		"": malformed, "0" + mark: malformed, "01c" + mark: malformed, "1C" + mark: malformed, "-1" + mark: malformed,
		"1w" + mark: malformed, "1c" + strings.ToUpper(mark) + "x": malformed, mark: malformed, "1c.": malformed,
		"1c" + mark + mark: malformed, "1c" + other + mark: malformed, "1c" + other + "0": malformed, "1c.00000_0": malformed,
		" 1c" + mark: malformed, "1c" + mark + "\x00": malformed, strings.Repeat("1", 1000): malformed, "1é" + mark: malformed,
		"x": malformed, "#1c" + mark: malformed,
	} {
		ref, err := rt.ParseRef(text)
		pid, perr := rt.ParsePID("#" + text)
		if !errors.Is(err, want) || !errors.Is(perr, want) || uint64(pid) != uint64(ref) {
			t.Errorf("%.100q is %v, %v and with # %v, %v; want %v", text, uint64(ref), err, pid, perr, want)
		}
	}
	if _, err := rt.ParsePID("1c" + mark); !errors.Is(err, malformed) {
		t.Errorf("a ref as a pid: %v", err)
	}
	if text := string(rt.AppendPID(nil, math.MaxUint64)); len(text) != 22 {
		t.Errorf("the longest pid is %s", text)
	}
	// What C guests of the first generation keep of a pid is 16 bytes.
	if text := string(rt.AppendPID(nil, 1<<35-1)); len(text) != 16 {
		t.Errorf("the pid of the last of 34 billion processes is %s", text)
	}
}

func FuzzIdentity(f *testing.F) {
	rt, other := supervisor.New(supervisor.Options{}), supervisor.New(supervisor.Options{})
	for _, s := range []string{"#1c.k3v9q2m", "1c", "#", ".", "#1c.", "0.0000000", "fvvvvvvvvvvvv.vvvvvvv", "g000000000000"} {
		f.Add(s)
		f.Add(s + "." + rt.Incarnation().String())
	}
	f.Add(string(rt.AppendPID(nil, 12)))
	f.Fuzz(func(t *testing.T, text string) {
		if pid, err := rt.ParsePID(text); err == nil && string(rt.AppendPID(nil, pid)) != text {
			t.Errorf("%q is pid %v, as is %q", text, pid, rt.AppendPID(nil, pid))
		} else if err != nil && pid != 0 {
			t.Errorf("%q is pid %v and %v", text, pid, err)
		}
		ref, err := rt.ParseRef(text)
		if err != nil {
			return
		}
		if string(rt.AppendRef(nil, ref)) != text {
			t.Errorf("%q is ref %d, as is %q", text, ref, rt.AppendRef(nil, ref))
		}
		if _, err := other.ParseRef(text); err == nil {
			t.Errorf("%q is a ref of two runtimes", text)
		}
	})
}

func BenchmarkFindByText(b *testing.B) {
	rt := supervisor.New(supervisor.Options{})
	text := string(rt.AppendPID(nil, 123456))
	b.ReportAllocs()
	for b.Loop() {
		pid, err := rt.ParsePID(text)
		if err != nil {
			b.Fatal(err)
		}
		rt.Find(pid)
	}
}
