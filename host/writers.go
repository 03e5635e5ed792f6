package host

import (
	"sync"
	"time"
)

// writers are the goroutines that write to connections: one for each that has
// something to write, and none for the others. One that is done stays for a
// moment for the next connection, as its stack has grown to what a write needs,
// which takes a new goroutine as long as the write itself.
type writers struct {
	running *sync.WaitGroup
	next    chan func() // to one that waits
}

// writerStays is how long a writer waits for work.
const writerStays = 100 * time.Millisecond

func newWriters(running *sync.WaitGroup) writers {
	return writers{running: running, next: make(chan func())}
}

// start runs write on a writer.
func (w writers) start(write func()) {
	select {
	case w.next <- write:
	default:
		w.running.Go(func() { w.work(write) })
	}
}

func (w writers) work(write func()) {
	idle := time.NewTimer(writerStays)
	defer idle.Stop()
	for {
		write()
		idle.Reset(writerStays)
		select {
		case write = <-w.next:
		case <-idle.C:
			return
		}
	}
}
