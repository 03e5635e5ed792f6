package cluster

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"rtd/channels"
	"rtd/channels/history"
)

// topics wait for something that is done with them one by one.
type topics struct {
	mu    sync.Mutex
	list  []lesson
	there map[string]bool // in list
	wake  chan struct{}
}

// lesson is a topic whose log is to be learned, or handed over.
type lesson struct {
	topic string
	ring  *ring // by which it was tried to be learned last
	since time.Time
}

// How topics are learned.
const (
	learning   = 16 // at a time
	learnAgain = 25 * time.Millisecond
	learnTime  = 2 * time.Second // for one answer
)

// Learn implements [channels.Orderer].
func (n *Node) Learn(topic string) { n.learners.add(lesson{topic: topic}) }

func newTopics() topics { return topics{there: map[string]bool{}, wake: make(chan struct{}, 1)} }

func (l *topics) add(s lesson) {
	l.mu.Lock()
	if !l.there[s.topic] {
		l.there[s.topic] = true
		l.list = append(l.list, s)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *topics) next() (s lesson, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return s, false
	}
	s = l.list[0]
	delete(l.there, s.topic)
	if l.list = l.list[1:]; len(l.list) == 0 {
		l.list = nil
	} else {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return s, true
}

// waiting is how many there are.
func (l *topics) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list)
}

// learn learns topics, until the node ends. One that nobody can tell goes behind the others.
func (n *Node) learn() {
	for {
		s, found := n.learners.next()
		switch {
		case !found:
			select {
			case <-n.learners.wake:
			case <-n.ctx.Done():
				return
			}
		case !n.learnTopic(&s):
			if !rest(n.ctx, learnAgain) {
				return
			}
			n.learners.add(s)
		}
	}
}

// learnTopic asks for the log of a topic. It returns false if that is to be done again.
func (n *Node) learnTopic(s *lesson) (done bool) {
	topic := s.topic
	at, needed := n.options.Hub.Standing(topic)
	if !needed {
		return true
	}
	r := n.ring.Load()
	if s.ring != r {
		s.ring, s.since = r, time.Now()
	}
	first, second := r.owner(topic)
	var err error
	if first.peer != nil {
		var log *channels.Archived
		if log, err = n.read(first.peer, topic, at); err == nil {
			n.options.Hub.Learned(topic, first.number, log)
		}
		return err == nil && n.ring.Load() == r
	}
	// Who may have it hands it over: the node that would be the owner without this one, and one that has retired. If they cannot say so for long, it is as if they had gone.
	for i := range r.late {
		if p := r.late[i].peer; p != nil {
			err = cmp.Or(err, n.release(p, topic))
		}
	}
	if second != nil {
		err = cmp.Or(err, n.release(second.peer, topic))
	}
	if !n.whole() {
		err = cmp.Or(err, errNotNow)
	}
	if n.ring.Load() != r || err != nil && time.Since(s.since) < learnTime {
		return false
	}
	n.options.Hub.Learned(topic, 0, nil)
	return true
}

// whole reports whether all nodes are in the ring that this one has heard of: one that is not may have ordered a topic until now.
func (n *Node) whole() bool {
	peers := n.peerList()
	n.mu.Lock()
	known := map[string]bool{n.options.Name: true}
	for name := range n.absent {
		known[name] = true
	}
	n.mu.Unlock()
	var others []string
	for _, p := range peers {
		p.mu.Lock()
		there := p.linked && p.in.synced
		others = append(others, p.hears...)
		p.mu.Unlock()
		if !there {
			return false
		}
		known[p.name] = true
	}
	return !slices.ContainsFunc(others, func(name string) bool { return !known[name] })
}

// The methods of questions about topics, and how their answers begin.
const (
	methodRead    = "history.read"    // epoch, offset, topic: the log behind that
	methodRelease = "history.release" // topic: the asker owns it

	answerOK  = 0
	answerNot = 1 // it is not the owner; or not yet, or still
)

var errNotNow = errors.New("the node cannot say that now")

// read reads the log of a topic at its owner, behind what is known.
func (n *Node) read(p *peer, topic string, at history.Position) (*channels.Archived, error) {
	var log *channels.Archived
	for {
		b := appendText(nil, at.Epoch)
		b = binary.AppendUvarint(b, at.Offset)
		answer, err := n.askSoon(p, methodRead, append(b, topic...))
		if err != nil {
			return nil, err
		}
		r := reader{rest: answer}
		part, err := parseLog(&r)
		if err != nil {
			return nil, err
		}
		first := part.Last + 1
		if len(part.Messages) > 0 {
			first = part.Messages[0].Offset
		}
		if log == nil || part.Epoch != log.Epoch || first != at.Offset+1 {
			log = part
		} else {
			log.Last, log.Messages = part.Last, append(log.Messages, part.Messages...)
		}
		at = history.Position{Epoch: part.Epoch, Offset: part.Last}
		if k := len(part.Messages); k > 0 {
			at.Offset = part.Messages[k-1].Offset
		}
		if at.Offset == part.Last {
			return log, nil
		}
	}
}

// release has the node hand a topic to this one that may have owned it before.
func (n *Node) release(p *peer, topic string) error {
	_, err := n.askSoon(p, methodRelease, []byte(topic))
	return err
}

func (n *Node) askSoon(p *peer, method string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(n.ctx, learnTime)
	defer cancel()
	answer, err := n.Ask(ctx, p.name, method, body)
	switch {
	case err != nil:
		return nil, err
	case len(answer) == 0 || answer[0] != answerOK:
		return nil, errNotNow
	}
	return answer[1:], nil
}

func (n *Node) answerRead(_ context.Context, _ string, body []byte) ([]byte, error) {
	r := reader{rest: body}
	epoch, after := string(r.text(maxName)), r.uvarint()
	if r.failed {
		return nil, errMalformed
	}
	log, err := n.options.Hub.Tell(string(r.rest), epoch, after)
	if err != nil {
		return []byte{answerNot}, nil //nolint:nilerr // it is asked again
	}
	return appendLog([]byte{answerOK}, &log), nil
}

func (n *Node) answerRelease(_ context.Context, _ string, body []byte) ([]byte, error) {
	if !n.options.Hub.HandOver(string(body)) {
		return []byte{answerNot}, nil
	}
	return []byte{answerOK}, nil // it is none of its, or was handed over before this is sent
}
