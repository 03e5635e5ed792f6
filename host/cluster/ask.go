package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// Why a question has no answer.
var (
	// ErrAway: the node is not there, or went away before it answered.
	ErrAway = errors.New("node is away")
	// ErrUnknown: the node does not know the method; it is of another version.
	ErrUnknown = errors.New("node does not know the question")
	// ErrBusy: the node answers too many others.
	ErrBusy = errors.New("node is busy")
	// ErrTooLarge: a question or an answer is larger than can be sent.
	ErrTooLarge = errors.New("too large to be sent")
)

// maxAnswering is how many questions of a peer are answered at a time, and maxWaits how many of those whose answers wait.
const (
	maxAnswering = 64
	maxWaits     = 50_000
)

// asks are the questions that wait for answers.
type asks struct {
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]waiting
}

type waiting struct {
	peer   *peer
	answer chan answered // of one place
}

// Ask asks another node a question, which has the answer of its [Options].Answers for the method. The error wraps [ErrAway], [ErrUnknown], [ErrBusy],
// [ErrTooLarge], or is what the other node said, or ctx's.
func (n *Node) Ask(ctx context.Context, node, method string, body []byte) ([]byte, error) {
	p := n.peer(node)
	if p == nil {
		return nil, fmt.Errorf("%w: %s", ErrAway, node)
	}
	if len(body)+maxName+16 > maxMessage {
		return nil, fmt.Errorf("%w: a question of %d bytes", ErrTooLarge, len(body))
	}
	w := waiting{p, make(chan answered, 1)}
	number := n.asks.add(w)
	defer n.asks.remove(number)
	q := asked{number, method, body}
	if !p.say(messageQuestion, len(body)+len(method)+16, q.append) || p.ctx.Err() != nil { // it may have gone before it could be seen that something waits for it
		return nil, fmt.Errorf("%w: %s", ErrAway, node)
	}
	select {
	case a, ok := <-w.answer:
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: %s", ErrAway, node)
		case a.outcome == outcomeOK:
			return a.body, nil
		case a.outcome == outcomeUnknown:
			return nil, fmt.Errorf("%w: %s, %s", ErrUnknown, node, method)
		case a.outcome == outcomeBusy:
			return nil, fmt.Errorf("%w: %s", ErrBusy, node)
		}
		return nil, fmt.Errorf("node %s: %s", node, a.body)
	case <-ctx.Done():
		p.say(messageCancel, 16, func(b []byte) []byte { return binary.AppendUvarint(b, number) })
		return nil, fmt.Errorf("ask node %s: %w", node, ctx.Err())
	case <-n.ctx.Done():
		return nil, fmt.Errorf("%w: this one ends", ErrAway)
	}
}

func (a *asks) add(w waiting) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[uint64]waiting{}
	}
	a.last++
	a.waiting[a.last] = w
	return a.last
}

func (a *asks) remove(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, number)
}

// answered takes an answer. Its body is copied.
func (a *asks) answered(p *peer, got answered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w, found := a.waiting[got.number]; found && w.peer == p {
		delete(a.waiting, got.number)
		got.body = bytes.Clone(got.body)
		w.answer <- got
	}
}

// lost ends the questions to a peer that is away.
func (a *asks) lost(p *peer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for number, w := range a.waiting {
		if w.peer == p {
			delete(a.waiting, number)
			close(w.answer)
		}
	}
}

// answer answers a question of a peer, in its own time.
func (n *Node) answer(p *peer, q asked) {
	f, under, most := n.answers[q.method], &p.answering, int32(maxAnswering)
	if f == nil {
		f, under, most = n.options.Waits[q.method], &p.waits, maxWaits
	}
	if f == nil {
		p.reply(answered{q.number, outcomeUnknown, nil})
		return
	}
	if under.Add(1) > most {
		under.Add(-1)
		p.reply(answered{q.number, outcomeBusy, nil})
		return
	}
	body := bytes.Clone(q.body)
	ctx, cancel := context.WithCancel(p.ctx)
	p.cancels.Store(q.number, cancel)
	n.running.Go(func() {
		defer under.Add(-1)
		defer cancel()
		defer p.cancels.Delete(q.number)
		answer, err := f(ctx, p.name, body)
		switch {
		case err != nil:
			p.reply(answered{q.number, outcomeError, []byte(err.Error())})
		case len(answer) > maxMessage-16:
			p.reply(answered{q.number, outcomeError, fmt.Appendf(nil, "%v: an answer of %d bytes", ErrTooLarge, len(answer))})
		default:
			p.reply(answered{q.number, outcomeOK, answer})
		}
	})
}

func (p *peer) reply(a answered) { p.say(messageAnswer, len(a.body)+16, a.append) }
