package script

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Script is a test. It is not changed by running it.
type Script struct {
	Name  string // for people; of its file
	steps []step
}

// Steps is how many there are.
func (s *Script) Steps() int { return len(s.steps) }

// step is one line.
type step struct {
	line    int    // from 1
	text    string // as written, white space aside
	verb    string
	client  string
	topic   string // "": the one that the client joined last
	event   string
	payload []byte // nil: none was given
	status  string // of a reply; of a refusal, "" is any
	refused bool   // of connect
	pause   time.Duration
	time    time.Time // of clock
}

// SyntaxError says that a line is no step.
type SyntaxError struct {
	Script string
	Line   int
	What   string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s; see rtd test -h", e.Script, e.Line, e.What)
}

var clientName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// Parse reads a script. The error is a [*SyntaxError].
func Parse(name string, text []byte) (*Script, error) {
	s := &Script{Name: name}
	clients := map[string]bool{}
	for _, l := range lines(string(text)) {
		st, err := parseStep(l.text)
		if err == nil {
			err = s.add(st, l, clients)
		}
		if err != nil {
			return nil, &SyntaxError{name, l.number, err.Error()}
		}
	}
	if len(s.steps) == 0 {
		return nil, &SyntaxError{name, 1, "there are no steps"}
	}
	return s, nil
}

// add appends a step, if it fits behind those before it.
func (s *Script) add(st step, l line, clients map[string]bool) error {
	st.line, st.text = l.number, l.text
	last := len(s.steps) - 1
	switch {
	case st.verb == "connect" && clients[st.client]:
		return fmt.Errorf("%s is connected already; choose another name", st.client)
	case st.verb == "connect":
		clients[st.client] = true
	case st.verb == "refused":
		if last < 0 || s.steps[last].verb != "connect" || s.steps[last].client != st.client {
			return fmt.Errorf("refused has to follow connect %s", st.client)
		}
		s.steps[last].refused, s.steps[last].status = true, st.status
		delete(clients, st.client)
		return nil
	case st.client != "" && !clients[st.client]:
		return fmt.Errorf("there is no client %s: begin with connect %s", st.client, st.client)
	}
	s.steps = append(s.steps, st)
	return nil
}

type line struct {
	number int
	text   string
}

// lines joins lines that belong together, and drops empty ones and comments.
func lines(text string) []line {
	var all []line
	number := 0
	for l := range strings.Lines(text) {
		number++
		trimmed := strings.TrimSpace(l)
		switch continues := l[0] == ' ' || l[0] == '\t'; {
		case trimmed == "" || trimmed[0] == '#':
		case continues && len(all) > 0:
			all[len(all)-1].text += " " + trimmed
		default:
			all = append(all, line{number, trimmed})
		}
	}
	return all
}

// verbs of clients, with how many words may follow them, and whether a payload may.
var verbs = map[string]struct {
	least, most int
	payload     bool
}{
	"refused": {0, 1, false},
	"join":    {1, 1, true},
	"leave":   {0, 1, false},
	"push":    {1, 2, true},
	"crash":   {1, 2, true},
	"expect":  {1, 2, true},
	"ok":      {0, 0, true},
	"error":   {0, 0, true},
	"reply":   {1, 1, true},
	"quiet":   {0, 0, false},
	"ended":   {0, 0, false},
	"close":   {0, 0, false},
}

func parseStep(text string) (step, error) {
	words, payload, err := split(text)
	if err != nil {
		return step{}, err
	}
	if len(words) == 0 {
		return step{}, errors.New("a step begins with a word, not with a payload")
	}
	st := step{payload: payload}
	switch first, rest := words[0], words[1:]; first {
	case "connect":
		if len(rest) != 1 || !clientName.MatchString(rest[0]) {
			return st, errors.New("expected connect NAME [PARAMS], NAME being letters and digits")
		}
		if payload != nil && payload[0] != '{' {
			return st, errors.New("the params of connect are an object")
		}
		st.verb, st.client = first, rest[0]
		return st, nil
	case "publish":
		if len(rest) != 2 {
			return st, errors.New("expected publish TOPIC EVENT [PAYLOAD]")
		}
		st.verb, st.topic, st.event = first, rest[0], rest[1]
		return st, nil
	case "sleep":
		if len(rest) == 1 && payload == nil {
			st.verb = first
			if st.pause, err = time.ParseDuration(rest[0]); err == nil && st.pause >= 0 && st.pause <= time.Minute {
				return st, nil
			}
		}
		return st, errors.New("expected sleep DURATION, such as sleep 200ms, at most 1m")
	case "clock":
		if len(rest) == 1 && payload == nil {
			st.verb = first
			if st.time, err = time.Parse(time.RFC3339, rest[0]); err == nil {
				return st, nil
			}
		}
		return st, errors.New("expected clock TIME, such as clock 2026-03-29T02:59:00+02:00")
	default:
		return parseClientStep(st, first, rest)
	}
}

func parseClientStep(st step, client string, words []string) (step, error) {
	st.client = client
	if len(words) == 0 {
		return st, fmt.Errorf("expected what %s does", client)
	}
	st.verb, words = words[0], words[1:]
	v, known := verbs[st.verb]
	switch {
	case !known:
		return st, fmt.Errorf("%s is nothing that a client does", st.verb)
	case len(words) < v.least || len(words) > v.most:
		return st, fmt.Errorf("%s takes %s, and there are %d", st.verb, wordCount(v.least, v.most), len(words))
	case st.payload != nil && !v.payload:
		return st, fmt.Errorf("%s takes no payload", st.verb)
	}
	switch st.verb {
	case "join", "leave":
		if len(words) > 0 {
			st.topic = words[0]
		}
	case "push", "crash", "expect":
		st.event = words[len(words)-1]
		if len(words) == 2 {
			st.topic = words[0]
		}
	case "ok", "error":
		st.status, st.verb = st.verb, "reply"
	case "reply":
		st.status = words[0]
	case "refused":
		if len(words) > 0 {
			if _, err := strconv.Atoi(words[0]); err != nil {
				return st, fmt.Errorf("%s is no HTTP status, such as 403", words[0])
			}
			st.status = words[0]
		}
	}
	return st, nil
}

func wordCount(least, most int) string {
	switch {
	case most == 0:
		return "no words"
	case least == most:
		return strconv.Itoa(least) + " words"
	}
	return fmt.Sprintf("%d to %d words", least, most)
}

// split cuts a line into words and a JSON payload, which begins with a brace, a bracket or a quote.
func split(text string) (words []string, payload []byte, err error) {
	for text != "" {
		if strings.ContainsRune(`{["`, rune(text[0])) {
			if !json.Valid([]byte(text)) {
				return nil, nil, fmt.Errorf("no JSON: %s", text)
			}
			return words, slices.Clone(bytes.TrimSpace([]byte(text))), nil
		}
		word, rest, _ := strings.Cut(text, " ")
		words, text = append(words, word), strings.TrimLeft(rest, " \t")
	}
	return words, nil, nil
}
