package rtd

import (
	"strconv"
	"time"
)

// Keep says how much is kept of each topic with history. Zero is what the plugin's table of the server's config says: 100
// messages, 1 MiB, an hour, unless it says something else.
type Keep struct {
	Messages int   // at most a million
	Bytes    int64 // that they take, about; at least 1,024
	Age      time.Duration
	Durable  bool // it is stored as well, before anybody gets a message, and outlives the server
}

// KeepHistory says that the broadcasts of topics which the plugin serves, "room:*" or "room:1", are kept for a while:
// whoever comes back is told what it missed, and [History] reads them. Of several patterns that match a topic the first
// counts, and those of history in the plugin's table of the server's config come first. See sdk/recovery.md. Call it from
// init.
func KeepHistory(pattern string, k Keep) {
	spec := object{}
	for _, n := range []struct {
		key   string
		value int64
	}{{"messages", int64(k.Messages)}, {"bytes", k.Bytes}, {"age", int64((k.Age + time.Millisecond - 1) / time.Millisecond)}} {
		if n.value != 0 {
			spec.add(n.key, strconv.FormatInt(n.value, 10))
		}
	}
	if k.Durable {
		spec.add("durable", "true")
	}
	plugin.histories = append(plugin.histories, record{kind: effectHistory, name: pattern, detail: spec.String()})
}

// HistoryPage is a part of what was said in a topic.
type HistoryPage struct {
	Position string        // of the newest message, "EPOCH:OFFSET", as clients know it
	Oldest   uint64        // offset of the oldest message that is kept, or of the next one if none is
	Messages []PastMessage // the oldest first
}

// PastMessage is a message that was broadcast.
type PastMessage struct {
	Offset  uint64 // the topic's first message has 1, each further one the next
	UnixMS  int64  // when it was, in milliseconds since 1970
	Event   string
	Payload []byte
	Binary  bool
}

// History returns what was broadcast to a topic behind an offset, at most limit messages of 1,000; with a limit of 0 only
// where it stands. A page ends sooner if its messages are large: ask again behind its last one, until none come. It reads at
// once: what the event at hand broadcasts is not in it yet. The topic "" is the channel's own.
//
// It fails with ErrNoHistory if nothing is kept of the topic's broadcasts, and with ErrDenied as [Publish] does.
func History(topic string, after uint64, limit int) (page HistoryPage, err error) {
	r := record{kind: opHistory, name: topic, extra: strconv.Itoa(limit)}
	if after > 0 {
		r.detail = strconv.FormatUint(after, 10)
	}
	answer, err := operate(r)
	if err != nil {
		return page, err
	}
	rest := clone(answer) // the payloads alias it
	next := func() (field []byte) {
		field, rest, _ = cutField(rest)
		return field
	}
	number := func() (n uint64) {
		n, _ = strconv.ParseUint(string(next()), 10, 64)
		return n
	}
	page.Position = string(next())
	page.Oldest = number()
	for len(rest) > 0 {
		page.Messages = append(page.Messages, PastMessage{
			Offset: number(), UnixMS: int64(number()), Event: string(next()), Payload: next(), Binary: len(next()) > 0,
		})
	}
	return page, nil
}
