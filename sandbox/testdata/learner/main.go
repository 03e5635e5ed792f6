// A guest that decodes JSON and says which of its code has run: for tests of what happens before the snapshot.
package main

import (
	"encoding/json"
	"strconv"

	rtd "rtd/sdk/go"
)

func main() {}

func init() { rtd.Handle("learner:*", func() rtd.Channel { return new(Learner) }) }

// Before the first event of a process both are 0.
var joined, decoded int

type Learner struct{}

func (*Learner) Join(*rtd.Socket, []byte) error {
	joined++
	return nil
}

func (*Learner) HandleIn(s *rtd.Socket, event string, payload []byte) error {
	switch event {
	case "joined":
		s.Reply("ok", strconv.AppendInt(nil, int64(joined), 10))
		return nil
	case "decoded":
		s.Reply("ok", strconv.AppendInt(nil, int64(decoded), 10))
		return nil
	case "named":
		return json.Unmarshal(payload, new(Named))
	case "unnamed":
		// More than 127 bytes of type.
		var message struct {
			User, Body, Color, Language, Avatar, Country, City string
			Sent, Edited, Seen                                 int64
			Tags                                               []string
		}
		return json.Unmarshal(payload, &message)
	}
	return json.Unmarshal(payload, new(Wild))
}

// Named has fields of which encoding/json makes a list.
type Named struct {
	ID    int    `json:"id"`
	Title string `json:"title,omitempty"`
	Inner struct{ A, B, C float64 }
}

// Wild decodes itself, and counts.
type Wild struct{ Text string }

func (w *Wild) UnmarshalJSON(b []byte) error {
	decoded++
	w.Text = string(b)
	return nil
}
