package clustertest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"rtd/host/clustertest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	clustertest.Clean()
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// echo listens, and sends back the lines that come.
func echo(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func dial(t testing.TB, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(clustertest.Patience)))
	return c, bufio.NewReader(c)
}

// asks sends a line, and wants it back.
func asks(t testing.TB, c net.Conn, r *bufio.Reader, text string) {
	t.Helper()
	_, err := fmt.Fprintln(c, text)
	must(t, err)
	wants(t, r, text)
}

func wants(t testing.TB, r *bufio.Reader, text string) {
	t.Helper()
	if line, err := r.ReadString('\n'); err != nil || line != text+"\n" {
		t.Fatalf("it is %q, and should be %q: %v", line, text, err)
	}
}

// silent reports whether nothing comes for a while.
func silent(t testing.TB, c net.Conn, r *bufio.Reader) bool {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	defer func() { must(t, c.SetReadDeadline(time.Now().Add(clustertest.Patience))) }()
	_, err := r.Peek(1)
	return err != nil
}

// A cut holds what goes through it, and connections that are made; the others do not notice. After it all comes, in order.
func TestCuts(t *testing.T) {
	t.Parallel()
	n := clustertest.NewNet(t, "a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		n.Place(name, echo(t))
	}
	toB, toC := n.Seeds("a")[0], n.Seeds("a")[1]
	b, fromB := dial(t, toB)
	c, fromC := dial(t, toC)
	asks(t, b, fromB, "one")
	asks(t, c, fromC, "one")
	for what, cut := range map[string]func(){
		"both": func() { n.Cut("a", "b") },
		"to":   func() { n.CutOneWay("a", "b") },
		"from": func() { n.CutOneWay("b", "a") },
		"part": func() { n.Part("b") },
	} {
		cut()
		_, err := fmt.Fprintln(b, what)
		must(t, err)
		if !silent(t, b, fromB) {
			t.Errorf("%s: something comes through the cut", what)
		}
		asks(t, c, fromC, what)
		n.Heal()
		wants(t, fromB, what)
	}
	n.Cut("a", "b")
	other, fromOther := dial(t, toB)
	_, err := fmt.Fprintln(other, "new")
	must(t, err)
	if !silent(t, other, fromOther) {
		t.Error("a new connection comes through the cut")
	}
	must(t, b.Close()) // which b hears of later
	n.Heal()
	wants(t, fromOther, "new")

	n.Break("a", "b")
	if _, err := fromOther.ReadByte(); err == nil {
		t.Error("a broken connection goes on")
	}
	again, fromAgain := dial(t, toB)
	asks(t, again, fromAgain, "again")
	asks(t, c, fromC, "last")
}

// What is delayed, or lost and sent again, comes later and in order. Nobody listens at a node without a place.
func TestDelays(t *testing.T) {
	t.Parallel()
	n := clustertest.NewNet(t, "a", "b")
	c, r := dial(t, n.Seeds("a")[0])
	if _, err := r.ReadByte(); err == nil {
		t.Error("somebody is at no place")
	}
	must(t, c.Close())
	n.Place("b", echo(t))
	c, r = dial(t, n.Seeds("a")[0])
	const late = 20 * time.Millisecond
	n.Everywhere(func(from, to string) { n.Delay(from, to, late) })
	begun := time.Now()
	asks(t, c, r, "late")
	if took := time.Since(begun); took < 2*late {
		t.Errorf("it took %v", took)
	}
	n.Lose("a", "b", 1)
	begun = time.Now()
	asks(t, c, r, "later")
	if took := time.Since(begun); took < 200*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	n.Everywhere(func(from, to string) {
		n.Delay(from, to, 0)
		n.Lose(from, to, 0.05)
	})
	go func() {
		for k := range 100 {
			fmt.Fprintln(c, k)
		}
	}()
	for k := range 100 {
		wants(t, r, fmt.Sprint(k))
	}
}
