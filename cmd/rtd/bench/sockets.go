package bench

import (
	"errors"
	"time"
)

// sockets are the TCP connections to the server, numbered from 0. What happens to
// them is told during wait, on the goroutine that called it, and nothing is told at
// any other time: whoever uses sockets needs no locks. There is one implementation
// for Linux and one for everywhere else.
type sockets interface {
	// dial begins a connection, whose number has none. Opened or closed follows.
	dial(i int) error
	// write sends all of data, now or as soon as there is room. A connection that
	// fails is told about as closed.
	write(i int, data []byte)
	// close ends a connection; nothing more is told about it.
	close(i int)
	// cut ends a connection as a network does that breaks: with a reset, and without what
	// was under way. Nothing more is told about it.
	cut(i int)
	// wait tells what has happened, or waits, at most for d, until something does.
	wait(d time.Duration) error
	// release closes what is open.
	release()
}

// socketEvents is who is told.
type socketEvents interface {
	opened(i int)
	// received gets bytes in order. They are valid during the call only.
	received(i int, data []byte)
	closed(i int, err error)
}

// errClosedByServer is the end of a connection that the server closed without an error.
var errClosedByServer = errors.New("the server closed the connection")

// maxUnsent bounds what waits for room in one connection. The scenarios keep far
// less under way; a server that stops reading must not fill our memory.
const maxUnsent = 16 << 20

var errUnsent = errors.New("the server reads nothing, and 16 MiB wait for it")
