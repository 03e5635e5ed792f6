// Rooms is a chat that is an application: besides the channel handlers it consists of
// processes that serve them, each with its own memory, under one tree.
//
//	rooms                   rest_for_one, set in config.toml
//	├─ registry             GenServer: who is in which room
//	├─ words                Agent: which words were said
//	├─ previews             Dynamic: link previews, a Task for each
//	├─ moderation           event manager: hears all that is said
//	│    ├╌ strikes         … counts bad words; restarted after a crash
//	│    └╌ audit           … writes a log; removed after a crash
//	└─ channels             a Room for each client's join
//
// What follows a crashed process in this order depends on it, and is restarted with
// it. README.md says how to watch that.
package main

import (
	"encoding/json"

	rtd "rtd/sdk/go"
)

func main() {}

func init() {
	rtd.Handle("rooms:*", func() rtd.Channel { return new(Room) })
	rtd.Tree(
		rtd.Worker{ID: "registry"},
		rtd.Worker{ID: "words"},
		rtd.Dynamic{ID: "previews", Restart: rtd.Temporary},
		rtd.Worker{ID: "moderation"},
	)
}

// toJSON is for values that always marshal.
func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
