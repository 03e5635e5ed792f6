package cluster

import (
	"encoding/binary"
	"time"
)

// Between two nodes there is a stream of frames in each direction. The frames of a stream are numbered from zero, and kept by the sender until the
// receiver has said that it has them. The carrier keeps their order, and loses some now and then: the receiver takes the next one alone, and at
// a gap asks for that one again. What is sent is sent again from there. A sender that cannot keep all any more begins another stream, with a larger number.

const (
	window      = 4 << 20  // bytes on their way, at most
	backlog     = 16 << 20 // bytes that wait for a peer, at most, besides the first messages of a stream
	ackFrames   = 64       // after so many frames, or bytes, the receiver says that it has them
	ackBytes    = 256 << 10
	askInterval = 100 * time.Millisecond // between two requests for the same frame
)

// outgoing is a stream as its sender sees it. Its methods are not for several goroutines at once.
type outgoing struct {
	number uint64
	header []byte // of its frames
	at     int    // where their number stands in it

	frames [][]byte // those that the receiver may not have
	first  uint64   // number of frames[0]
	sealed int      // how many of them were ever sent: they do not change any more
	sent   int      // how many were sent since it was last begun to send all again
	bytes  int      // of all frames
	flying int      // of those that sent counts
	most   int      // of bytes; then the stream is broken

	mark uint64 // of upTo when the last beat came
}

func newOutgoing(h header) *outgoing {
	o := &outgoing{number: h.stream, most: backlog}
	h.kind, h.number = frameData, 0
	o.header, o.at = h.append(nil)
	return o
}

// put adds a message of about size bytes. It returns false if the stream holds too much: then it is over.
func (o *outgoing) put(kind byte, size int, write func([]byte) []byte) bool {
	if o.bytes > o.most {
		return false
	}
	last := len(o.frames) - 1
	if last < o.sealed || len(o.frames[last])+size > fullFrame {
		f := make([]byte, len(o.header), len(o.header)+messageRoom+size+64)
		copy(f, o.header)
		binary.LittleEndian.PutUint64(f[o.at:], o.first+uint64(len(o.frames)))
		o.frames = append(o.frames, f)
		last++
	}
	before := len(o.frames[last])
	o.frames[last] = appendMessage(o.frames[last], kind, write)
	o.bytes += len(o.frames[last]) - before
	return true
}

// next returns the next frame to be sent, or nil. It must not be changed.
func (o *outgoing) next() []byte {
	if o.sent == len(o.frames) || o.flying > window {
		return nil
	}
	f := o.frames[o.sent]
	o.sent++
	o.sealed = max(o.sealed, o.sent)
	o.flying += len(f)
	return f
}

// upTo is the number behind the last frame that was ever sent.
func (o *outgoing) upTo() uint64 { return o.first + uint64(o.sealed) }

// has takes that the receiver has all before a frame, and reports whether that can be.
func (o *outgoing) has(next uint64) bool {
	if next > o.upTo() {
		return false
	}
	for ; o.first < next; o.first++ {
		n := len(o.frames[0])
		o.bytes -= n - len(o.header)
		if o.sent > 0 {
			o.flying -= n
			o.sent--
		}
		o.sealed--
		o.frames[0] = nil
		o.frames = o.frames[1:]
	}
	if len(o.frames) == 0 {
		o.frames = nil
	}
	return true
}

// again has all frames sent again that the receiver does not have.
func (o *outgoing) again() { o.sent, o.flying = 0, 0 }

// incoming is a stream as its receiver sees it.
type incoming struct {
	number uint64
	next   uint64 // number of the frame that it waits for
	synced bool

	frames, bytes int // since the sender was told how far it is
	asked         time.Time
	promised      uint64 // frames that the sender had sent at its last beat
}

// verdict is what is to be done with a frame.
type verdict int

const (
	take   verdict = iota
	begin          // take it: it is the first of another stream
	ignore         // it was there already, or is of a stream that is over
	ask            // something is missing before it
)

func (i *incoming) judge(stream, number uint64) verdict {
	switch {
	case stream < i.number, stream == i.number && number < i.next:
		return ignore
	case stream > i.number && number == 0:
		return begin
	case stream == i.number && number == i.next:
		return take
	}
	return ask
}

// took counts a frame that was taken, and reports whether the sender is to be told.
func (i *incoming) took(size int) (tell bool) {
	i.next++
	i.frames++
	i.bytes += size
	return i.frames >= ackFrames || i.bytes >= ackBytes
}

// told is after the sender was told how far the receiver is.
func (i *incoming) told() { i.frames, i.bytes = 0, 0 }

// mayAsk reports whether it is time to ask for a frame again.
func (i *incoming) mayAsk(now time.Time) bool {
	if now.Sub(i.asked) < askInterval {
		return false
	}
	i.asked = now
	return true
}
