// Fickle is a guest that is good in one version and bad in another: what it is says
// a word in its data, which tests replace.
package main

import (
	"errors"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

// mode is "fickle:good", or with a word of the same length "join", "push", "tree" says
// where it crashes; with "shut" its Import refuses every state, with "trap" it crashes there.
var mode = "fickle:good"

//go:noinline
func is(word string) bool { return mode[len("fickle:"):] == word }

func init() {
	rtd.Handle("fickle:*", func() rtd.Channel { return new(fickle) })
	rtd.Serve("clock", func() rtd.Server { return new(clock) })
	rtd.Tree(rtd.Worker{ID: "clock"})
}

type fickle struct{ handled byte }

func (f *fickle) Join(s *rtd.Socket, payload []byte) error {
	if is("join") {
		panic("crashes in join")
	}
	return nil
}

func (f *fickle) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	if is("push") {
		panic("crashes in a push")
	}
	f.handled++
	s.Reply("ok", []byte(`{"handled":`+string('0'+f.handled%10)+`}`))
	return nil
}

func (f *fickle) Export() (string, []byte, error) {
	return "1", []byte{f.handled}, nil
}

func (f *fickle) Import(schema string, state []byte) error {
	switch {
	case is("shut"):
		return errors.New("this version reads no state of schema " + schema)
	case is("trap"):
		panic("crashes in import")
	}
	f.handled = state[0]
	return nil
}

// clock is the tree.
type clock struct{}

func (c *clock) Init(args []byte) error { return c.wind() }

func (c *clock) wind() error {
	_, err := rtd.SendAfter(20*time.Millisecond, []byte("tick"))
	return err
}

func (c *clock) HandleInfo(message []byte) error {
	if is("tree") {
		panic("crashes in the tree")
	}
	return c.wind()
}

func (c *clock) Export() (string, []byte, error)          { return "1", nil, nil }
func (c *clock) Import(schema string, state []byte) error { return nil }
