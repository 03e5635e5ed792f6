package main_test

import (
	"os"
	"path/filepath"
	"testing"
)

// What was said is shown in parts, and purged; a topic of which nothing is kept is no empty one.
func TestHistoryCommands(t *testing.T) {
	t.Parallel()
	p := serve(t, "[plugin.room]\nhistory = [\"room:*\"]\n")
	room, err := os.ReadFile("../../sdk/suite/testdata/room-c.wasm")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(p.cmd.Dir, "room.wasm"), room)
	p.wants(t, "room: version", "deploy", "room.wasm")
	c := p.join(t, "room:a", `{"user":"ada"}`)
	for _, text := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		c.WantReply(t, "room:a", "new_message", text, "ok")
	}
	const position = `POSITION [0-9a-v]{10}:3, the oldest is `
	p.wants(t, `^`+position+`1, in memory\nOFFSET +AT +EVENT +PAYLOAD\n1 +[-\d]+ [:\d]+ +new_message +\{"n":1\}\n2 .*\n3 .*\n$`, "history", "room:a")
	p.wants(t, `^`+position+`1, in memory\nOFFSET .*\n2 .*\{"n":2\}\n$`, "history", "room:a", "--after", "1", "--limit", "1")
	p.wants(t, `(?s)"position": "[0-9a-v]{10}:3",\s+"oldest": 1,\s+"durable": false,\s+"messages": \[\s+\{\s+"offset": 3,.*"payload": \{\s+"n": 3`, "history", "room:a", "--after", "2", "--json")
	p.wants(t, `^room:a: messages removed: 1; it stands at [0-9a-v]{10}:3, the oldest is 2\n$`, "history", "purge", "room:a", "--before", "2")
	p.wants(t, `^room:a: messages removed: 2; it stands at [0-9a-v]{10}:3, the oldest is 4\n$`, "history", "purge", "room:a")
	p.wants(t, `^`+position+`4, in memory\nOFFSET +AT +EVENT +PAYLOAD\n$`, "history", "room:a")
	p.wants(t, `history purged  .*topic=room:a`, "logs")
	p.refuses(t, "the topic has no history", "history", "room:b")
	p.refuses(t, "the topic has no history", "history", "purge", "nobody:a")
	for _, args := range [][]string{{"history"}, {"history", "room:a", "--limit", "0"}, {"history", "room:a", "--after", "-1"}, {"history", "purge"}} {
		if output, code := p.asks(t, args...); code != 2 {
			t.Errorf("%q: exit code %d\n%s", args, code, output)
		}
	}
}
