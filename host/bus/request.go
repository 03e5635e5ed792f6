package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of what is stored.
const (
	headWriter      = "Rtd-Writer" // the bus that wrote it
	headLast        = nats.ExpectedLastSeqHdr
	headLastSubject = nats.ExpectedLastSubjSeqHdr
	headSequence    = "Nats-Sequence"
	headSubject     = "Nats-Subject"
	headTime        = "Nats-Time-Stamp"
	headStatus      = "Status"
	headPending     = "Nats-Num-Pending"
)

// stored is the answer to a write.
type stored struct {
	Error *apiError `json:"error"`
	Seq   uint64    `json:"seq"`
}

// write asks to store a message, and returns its sequence, or one of the kinds of errors.
func (s *stream) write(ctx context.Context, m *nats.Msg) (sequence uint64, err error) {
	b, before := s.bus, s.height.Load()
	if size := len(m.Data); size > MaxData {
		return 0, fmt.Errorf("%w: %d bytes, and at most %d can be stored", ErrTooLarge, size, MaxData)
	}
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	began := time.Now()
	answer, err := b.conn.RequestMsgWithContext(ctx, m)
	err = asked(err)
	s.heard(!errors.Is(err, ErrUnknown), began)
	if err != nil {
		return 0, err
	}
	var is stored
	if err := json.Unmarshal(answer.Data, &is); err != nil {
		return 0, because(ErrUnknown, err)
	}
	if is.Error != nil {
		return 0, because(refusal(is.Error.ErrCode), is.Error)
	}
	if s.folder != nil && !still(s.path, s.folder) { // what was stored is stored nowhere
		b.look()
		return 0, because(ErrUnknown, errRemoved)
	}
	b.written.Add(sizeOf(m))
	return is.Seq, s.at(is.Seq, before)
}

// sizeOf is how many bytes a message takes on the disk, about.
func sizeOf(m *nats.Msg) int64 { return int64(len(m.Subject) + len(m.Data) + 128) }

// get is a request for messages of a stream.
type get struct {
	Sequence uint64 `json:"seq,omitempty"`
	Last     string `json:"last_by_subj,omitempty"`
	Next     string `json:"next_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// message is one that a stream holds.
type message struct {
	subject  string
	sequence uint64
	time     time.Time
	header   nats.Header
	data     []byte
}

// one reads a single message: from the leader, if there are several copies, so that it is the latest.
func (b *Bus) one(ctx context.Context, s *stream, g get) (m message, err error) {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return m, err
	}
	defer done()
	if s.copies > 1 {
		return b.fromLeader(ctx, s, g)
	}
	question, err := json.Marshal(g)
	if err != nil {
		return m, err
	}
	answer, err := b.conn.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+s.name, question)
	if err != nil {
		return m, because(ErrDown, err)
	}
	switch status := answer.Header.Get(headStatus); status {
	case "":
		return decode(answer)
	case "404":
		return m, ErrNotFound
	default:
		return m, fmt.Errorf("%w: %s %s", ErrDamaged, status, answer.Header.Get("Description"))
	}
}

func (b *Bus) fromLeader(ctx context.Context, s *stream, g get) (m message, err error) {
	var raw *jetstream.RawStreamMsg
	if g.Last != "" {
		raw, err = s.handle.GetLastMsgForSubject(ctx, g.Last)
	} else {
		raw, err = s.handle.GetMsg(ctx, g.Sequence)
	}
	if err != nil {
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return m, ErrNotFound
		}
		return m, managed(err)
	}
	return message{raw.Subject, raw.Sequence, raw.Time, raw.Header, raw.Data}, nil
}

// pageBytes is about how many bytes a page of messages has.
const pageBytes = 4 << 20

// page reads a number of messages, and reports whether there are more. It is empty where there are none.
func (b *Bus) page(ctx context.Context, s *stream, g get) (list []message, more bool, err error) {
	ctx, done, err := b.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	defer done()
	g.MaxBytes = pageBytes
	question, err := json.Marshal(g)
	if err != nil {
		return nil, false, err
	}
	answers, err := b.conn.SubscribeSync(b.conn.NewInbox())
	if err != nil {
		return nil, false, because(ErrDown, err)
	}
	defer answers.Unsubscribe()
	if err := b.conn.PublishRequest("$JS.API.DIRECT.GET."+s.name, answers.Subject, question); err != nil {
		return nil, false, because(ErrDown, err)
	}
	for {
		answer, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, because(ErrDown, err)
		}
		switch status := answer.Header.Get(headStatus); status {
		case "":
			m, err := decode(answer)
			if err != nil {
				return nil, false, err
			}
			list = append(list, m)
		case "204": // the end of the page
			return list, answer.Header.Get(headPending) != "0", nil
		case "404":
			return list, false, nil
		default:
			return nil, false, fmt.Errorf("%w: %s %s", ErrDamaged, status, answer.Header.Get("Description"))
		}
	}
}

func decode(answer *nats.Msg) (m message, err error) {
	m = message{subject: answer.Header.Get(headSubject), header: answer.Header, data: answer.Data}
	if m.sequence, err = strconv.ParseUint(answer.Header.Get(headSequence), 10, 64); err != nil {
		return m, because(ErrDamaged, err)
	}
	if m.time, err = time.Parse(time.RFC3339Nano, answer.Header.Get(headTime)); err != nil {
		return m, because(ErrDamaged, err)
	}
	return m, nil
}
