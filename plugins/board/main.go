// Board is a room that remembers: its last messages, and a vote. All of it is in ordinary variables, and there
// again after a crash, a restart of rtd, or kill -9. The chat page shows it at /?prefix=board.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"time"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.HandleTopic("board:*", func() rtd.TopicChannel { return &Board{votes: map[string]string{}, users: map[string]string{}} })
	rtd.Durable("board:*")
}

// maxMessages is how many messages are remembered, maxVotes how many votes: what is remembered is stored with each event.
const (
	maxMessages = 20
	maxVotes    = 200
)

// Board is one room, for all who are there.
type Board struct {
	said     int // messages so far
	messages []message
	votes    map[string]string // by user, for what
	users    map[string]string // by member
}

type message struct {
	N         int       `json:"n"`
	Body      string    `json:"body"`
	User      string    `json:"user"`
	Timestamp time.Time `json:"timestamp"`
}

func (b *Board) Join(s *rtd.Socket, payload []byte) error {
	var p struct {
		User string
		Seen int // the number of the last message that the client has seen
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return rtd.Refuse(`{"reason":"malformed"}`)
	}
	user := cmp.Or(p.User, "anonymous")
	b.users[s.Member()] = user
	if _, err := s.Presence().Track(user, nil); err != nil {
		return err
	}
	s.PushPresence()
	for _, m := range b.messages {
		if m.N > p.Seen && !s.Replay() {
			s.Push("new_message", toJSON(m))
		}
	}
	return nil
}

// Export hands the room on to the next version, or the next config: without it, what is stored could not go on there. So a room
// that is remembered has both from its first version on.
func (b *Board) Export() (string, []byte, error) {
	state, err := json.Marshal(handedOn{b.said, b.messages, b.votes, b.users})
	return "1", state, err
}

// Import takes a room over.
func (b *Board) Import(schema string, state []byte) error {
	if schema != "1" {
		return errors.New("no such schema: " + schema)
	}
	h := handedOn{Votes: map[string]string{}, Users: map[string]string{}}
	err := json.Unmarshal(state, &h)
	b.said, b.messages, b.votes, b.users = h.Said, h.Messages, h.Votes, h.Users
	return err
}

type handedOn struct {
	Said         int
	Messages     []message
	Votes, Users map[string]string
}

func (b *Board) Leave(s *rtd.Socket, reason string) error {
	delete(b.users, s.Member())
	return nil
}

func (b *Board) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	user := b.users[s.Member()]
	var p struct{ Body, For string }
	if err := json.Unmarshal(payload, &p); err != nil {
		return err
	}
	switch event {
	case "new_message":
		b.said++
		m := message{b.said, p.Body, user, time.Now().UTC()}
		b.messages = append(b.messages, m)
		b.messages = b.messages[max(0, len(b.messages)-maxMessages):]
		s.Broadcast("new_message", toJSON(m)) // leaves when the message is stored
		s.Reply("ok", nil)
	case "vote":
		if _, voted := b.votes[user]; !voted && len(b.votes) == maxVotes {
			s.Reply("error", []byte(`{"reason":"too many votes"}`))
			return nil
		}
		if p.For != "" {
			b.votes[user] = p.For
		}
		tally := map[string]int{}
		for _, what := range b.votes {
			tally[what]++
		}
		s.Reply("ok", toJSON(tally))
	case "echo":
		s.Reply("ok", payload)
	case "crash":
		b.messages, b.votes = nil, nil // which nobody will ever see
		return errors.New("crash requested by " + user)
	default:
		return errors.New("unknown event " + event)
	}
	return nil
}

func toJSON(v any) []byte {
	b, _ := json.Marshal(v) // texts, numbers and a time always marshal
	return b
}
