package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

// Room is one client's place in a room.
type Room struct {
	*rtd.Socket
	user     string
	previews map[rtd.Ref]string // links by the task that looks at them
}

func (r *Room) Join(s *rtd.Socket, payload []byte) error {
	var p struct{ User string }
	if err := json.Unmarshal(payload, &p); err != nil {
		return rtd.Refuse(`{"reason":"expected {\"user\":\"…\"}"}`)
	}
	r.Socket, r.user, r.previews = s, cmp.Or(p.User, "anonymous"), map[rtd.Ref]string{}
	if s.Replay() {
		r.tell("Your handler was restarted.")
	}
	return enter(s.Topic(), r.user)
}

func (r *Room) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	var p struct{ Body string }
	if err := json.Unmarshal(payload, &p); err != nil || event != "new_message" {
		return errors.New("expected new_message with a body, not " + event)
	}
	defer s.Reply("ok", nil)
	switch command, rest, _ := strings.Cut(p.Body, " "); command {
	case "/stats":
		return r.stats()
	case "/crash":
		return r.crash(rest)
	default:
		return r.say(p.Body)
	}
}

func (r *Room) say(body string) error {
	r.broadcast(r.user, body)
	if err := countWords("words", []byte(body)); err != nil {
		return err
	}
	if err := moderation.Notify(toJSON(said{r.Topic(), r.user, body, rtd.Self()})); err != nil {
		return err
	}
	if link := linkIn(body); link != "" {
		return r.preview(link)
	}
	return nil
}

// preview lets a task look at a link. The answer comes to HandleReply.
func (r *Room) preview(link string) error {
	job, err := preview.AsyncNolink([]byte(link), rtd.TaskOptions{Under: "previews", Notify: true})
	if err == nil {
		r.previews[job.Ref] = link
	}
	return err
}

func (r *Room) HandleReply(ref rtd.Ref, title []byte, err error) error {
	link := r.previews[ref]
	delete(r.previews, ref)
	if err != nil {
		r.tell("No preview of " + link + ": " + err.Error())
		return nil
	}
	r.broadcast("preview", link+" is “"+string(title)+"”")
	return nil
}

// HandleInfo takes notices of the moderation.
func (r *Room) HandleInfo(notice []byte) error {
	r.tell(string(notice))
	return nil
}

func (r *Room) stats() error {
	users, err := who(r.Topic())
	if err != nil {
		return err
	}
	top, err := topWords("words", nil)
	if err != nil {
		return err
	}
	previews, err := rtd.Children("previews")
	if err != nil {
		return err
	}
	handlers, err := moderation.Handlers()
	if err != nil {
		return err
	}
	strikes, err := moderation.Call("strikes", nil, 0)
	if err != nil {
		strikes = []byte(err.Error()) // without it there are no strikes
	}
	r.tell("Here: " + strings.Join(users, ", "))
	r.tell("Most said: " + string(top))
	r.tell("Moderation by " + strings.Join(handlers, " and ") + ", strikes: " + string(strikes))
	if len(previews) > 0 {
		r.tell("A preview is on its way.")
	}
	return nil
}

// crash ends a part of the application, each in its own way.
func (r *Room) crash(part string) error {
	cause := "crash requested by " + r.user
	switch part {
	case "me":
		panic(cause)
	case "registry":
		return rtd.Cast("registry", []byte(cause))
	case "words":
		return rtd.Exit("words", cause)
	case "preview":
		return r.preview("https://nowhere.example/")
	case "strikes", "audit":
		_, err := moderation.Call(part, []byte("crash"), 0)
		r.tell(part + ": " + err.Error())
	case "moderation":
		return rtd.Exit("moderation", "kill") // it traps exits, to outlive its handlers
	default:
		r.tell("/crash registry, words, preview, strikes, audit, moderation or me")
	}
	return nil
}

type message struct {
	Body      string    `json:"body"`
	User      string    `json:"user"`
	Timestamp time.Time `json:"timestamp"`
}

// broadcast says something to everybody in the room, and tell to this client alone.
func (r *Room) broadcast(user, body string) {
	r.Broadcast("new_message", toJSON(message{body, user, time.Now().UTC()}))
}

func (r *Room) tell(body string) {
	r.Push("new_message", toJSON(message{body, "rooms", time.Now().UTC()}))
}
