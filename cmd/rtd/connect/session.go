package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"rtd/channels/client"
)

const (
	topicPhoenix = "phoenix"
	// beat is how often a heartbeat is sent, as Phoenix's client does.
	beat = 30 * time.Second
	// goodbye is how long a leave, and the end of a connection, may take.
	goodbye = 2 * time.Second
	// maxAsked bounds the pushes of which is known what they were.
	maxAsked = 100_000
	// maxMessage is the largest that is taken from a server, in bytes.
	maxMessage = 64 << 20
)

// session is one connection. All but the reader belongs to one goroutine.
type session struct {
	*run
	ws      *websocket.Conn
	phoenix *client.Client
	ctx     context.Context

	joinRef  string
	isJoined bool
	asked    map[string]string // events of pushes that are not answered, by ref; a handler need not answer
	beatRef  string            // of a heartbeat that is not answered
	leaveRef string
	done     bool // nothing is waited for any more
}

// session connects, and lasts until the connection, ctx, or what was to be done ends.
func (r *run) session(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	dialling, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	ws, response, err := websocket.Dial(dialling, r.url, nil)
	switch {
	case err == nil:
	case response != nil && response.StatusCode < http.StatusInternalServerError && response.StatusCode != http.StatusTooManyRequests:
		return fmt.Errorf("connect: the server answers %s", response.Status)
	case response != nil:
		return fmt.Errorf("%w: the server answers %s", errLost, response.Status)
	default:
		return fmt.Errorf("%w: %w", errLost, err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(maxMessage)
	own, end := context.WithCancel(context.Background()) // reading goes on while it leaves
	defer end()
	s := &session{run: r, ws: ws, ctx: own, asked: map[string]string{}}
	s.phoenix = client.New(s.write)
	return s.serve(ctx)
}

func (s *session) write(frame []byte, binary bool) error {
	kind := websocket.MessageText
	if binary {
		kind = websocket.MessageBinary
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.Timeout)
	defer cancel()
	return s.ws.Write(ctx, kind, frame)
}

// received is a message, or the end.
type received struct {
	message client.Message
	err     error
}

func (s *session) read(to chan<- received) {
	for {
		kind, frame, err := s.ws.Read(s.ctx)
		r := received{err: err}
		if err == nil {
			r.message, r.err = client.Decode(frame, kind == websocket.MessageBinary)
		}
		select {
		case to <- r:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (s *session) serve(ctx context.Context) error {
	payload, err := s.asking(s.Payload)
	if err != nil {
		return err
	}
	if s.joinRef, err = s.phoenix.Push(s.Topic, "phx_join", payload); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	messages := make(chan received)
	go s.read(messages)
	beats := time.NewTicker(beat)
	defer beats.Stop()
	late := time.NewTimer(s.Timeout) // of what is waited for: the join's answer, then what was missed, then the leave's answer
	defer late.Stop()
	stop := ctx.Done()
	for {
		in := s.In
		if !s.isJoined || s.leaveRef != "" {
			in = nil // what is read waits for its turn
		}
		if s.isJoined && s.leaveRef == "" && (s.done || s.Quit && s.In == nil && !s.asks) {
			if err := s.leave(late); err != nil {
				return nil // it has gone without
			}
		}
		select {
		case r := <-messages:
			if r.err != nil {
				return s.ended(r.err)
			}
			if over, err := s.take(r.message); over || err != nil {
				s.ws.Close(websocket.StatusNormalClosure, "")
				return err
			}
			if s.leaveRef == "" {
				late.Reset(s.Timeout) // of silence
			}
		case line, ok := <-in:
			if !ok {
				s.In = nil
				continue
			}
			if line == "" {
				continue
			}
			p, err := ParsePush(line)
			if err != nil {
				s.bad++
				s.note("%v", err)
				continue
			}
			if err := s.push(p); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		case <-beats.C:
			if s.beatRef != "" {
				return fmt.Errorf("%w: a heartbeat was not answered", errLost)
			}
			if s.beatRef, err = s.phoenix.Push(topicPhoenix, "heartbeat", []byte("{}")); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		case <-late.C:
			switch {
			case s.leaveRef != "":
				return nil
			case !s.isJoined:
				return fmt.Errorf("%w: the join was not answered within %v", errLost, s.Timeout)
			case s.Quit && s.asks:
				return fmt.Errorf("nothing was said of what was missed within %v; has the topic a history?", s.Timeout)
			}
		case <-stop:
			stop = nil
			if !s.isJoined {
				return nil
			}
			s.done = true
		}
	}
}

// take handles a message. over says that it was the last.
func (s *session) take(m client.Message) (over bool, err error) {
	switch {
	case m.Topic == topicPhoenix:
		s.control(m)
		return false, nil
	case m.Topic != s.Topic || m.JoinRef != "" && m.JoinRef != s.joinRef:
		return false, nil
	case m.IsReply():
		return s.reply(m)
	case m.Event == "phx_close" && s.leaveRef == "":
		return true, errors.New("the server has closed the topic")
	case m.Event == "phx_close":
		return true, nil
	case m.Event == "phx_error":
		return true, fmt.Errorf("%w: the handler has crashed", errLost) // to be joined again
	}
	if s.Count > 0 && s.printed >= s.Count {
		return false, nil // it is not printed, so the place is before it
	}
	isNew, told := s.place.take(m)
	if !isNew {
		return false, nil
	}
	if told != nil && told.Complete {
		s.note("recovered: %d messages, nothing is missing", told.Count)
	} else if told != nil {
		s.note("recovered: %d messages, some are gone (%s)", told.Count, told.Reason)
	}
	if err := s.print(m, ""); err != nil {
		return true, err
	}
	if m.Event != "position" && m.Event != "recovered" {
		s.printed++
		s.done = s.done || s.printed == s.Count
	}
	return false, nil
}

// control takes what the server says of its own.
func (s *session) control(m client.Message) {
	var p struct {
		After     *int64
		ExpiresIn *int64 `json:"expires_in"`
	}
	switch {
	case m.Answers(s.beatRef):
		s.beatRef = ""
	case json.Unmarshal(m.Payload, &p) != nil:
	case m.Event == "reconnect" && p.After != nil:
		after := time.Duration(min(max(*p.After, 0), 1<<32)) * time.Millisecond
		s.back = time.Now().Add(after)
		s.note("the server is about to stop; come back in %v", after)
	case m.Event == "token_expiring" && p.ExpiresIn != nil:
		s.note("the token expires in %d s", *p.ExpiresIn)
	}
}

func (s *session) reply(m client.Message) (over bool, err error) {
	switch {
	case m.Ref == s.leaveRef && s.leaveRef != "":
		return true, nil
	case m.Ref == s.joinRef && m.Status != "ok":
		return true, fmt.Errorf("%w: %s", ErrRefused, plain(string(m.Payload)))
	case m.Ref == s.joinRef:
		s.isJoined, s.tries, s.back = true, 0, time.Time{}
		s.note("joined %s: %s", s.Topic, m.Payload)
		first := !s.joined
		s.joined = true
		if first {
			for _, p := range s.Send {
				if err := s.push(p); err != nil {
					return true, fmt.Errorf("%w: %w", errLost, err)
				}
			}
		}
		return false, nil
	}
	event := s.asked[m.Ref]
	delete(s.asked, m.Ref)
	return false, s.print(m, event)
}

func (s *session) push(p Push) error {
	if len(s.asked) >= maxAsked {
		clear(s.asked) // their answers are printed without what they answer
	}
	ref, err := s.phoenix.Push(s.Topic, p.Event, p.Payload)
	if err == nil {
		s.asked[ref] = p.Event
	}
	return err
}

// leave says goodbye to the topic, whose answer is the end. It comes behind the answers to all that was pushed.
func (s *session) leave(late *time.Timer) (err error) {
	s.leaveRef, err = s.phoenix.Push(s.Topic, "phx_leave", []byte("{}"))
	if s.done {
		late.Reset(goodbye)
	} else {
		late.Reset(s.Timeout)
	}
	return err
}

// ended says why the connection has.
func (s *session) ended(err error) error {
	var closed websocket.CloseError
	switch {
	case s.leaveRef != "":
		return nil
	case errors.As(err, &closed):
		return fmt.Errorf("%w: closed with %d %s", errLost, closed.Code, closed.Reason)
	}
	return fmt.Errorf("%w: %w", errLost, err)
}
