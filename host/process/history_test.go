package process

import (
	"testing"
	"time"

	"rtd/channels"
	"rtd/channels/history"
	"rtd/sandbox/abi"
)

// An answer has a megabyte at most, and one message at least, however large it is.
func TestHistoryAnswerIsBounded(t *testing.T) {
	for _, c := range []struct{ size, want int }{{0, 1000}, {maxHistory / 10, 9}, {maxHistory / 2, 1}, {4 * maxHistory, 1}} {
		page := channels.HistoryPage{Position: history.Position{Epoch: history.NewEpoch(), Offset: 1000}, Oldest: 1}
		payload := make([]byte, c.size)
		for n := range uint64(1000) {
			page.Messages = append(page.Messages, channels.PastMessage{Offset: n + 1, At: time.Now(), Event: "said", Payload: payload})
		}
		answer := answerPage(&page)
		fields := 0
		for range abi.Fields(answer) {
			fields++
		}
		if messages := (fields - 2) / 5; messages != c.want || fields%5 != 2 {
			t.Errorf("of messages of %d bytes %d are answered, in %d bytes; want %d", c.size, messages, len(answer), c.want)
		}
	}
}
