package process

import (
	"context"
	"strconv"

	"rtd/channels"
	"rtd/sandbox/abi"
)

// maxHistory is how many bytes of messages an answer of history has, unless the first alone has more.
const maxHistory = 1 << 20

// history answers what was said in a topic lately. It begins the history of a topic that nobody uses, as to publish
// does, so that its position stays what it is.
func (b *body) history(topic string, o *abi.Effect) ([]byte, error) {
	after, err := numberIn(o.Detail)
	if err != nil {
		return nil, err
	}
	limit, err := numberIn(o.Extra)
	if err != nil {
		return nil, err
	}
	hub := b.home.Node.Endpoint.Hub
	b.process.Block(func() { err = hub.AwaitHistory(context.Background(), topic) })
	if err != nil {
		return nil, abi.CodeNoHistory // it cannot be known at present
	}
	read := func() (channels.HistoryPage, bool) { return hub.History(topic, after, int(min(limit, 1<<30))) } // which has a bound of its own
	page, ok := read()
	if !ok {
		hub.BeginHistory(topic)
		if page, ok = read(); !ok {
			return nil, abi.CodeNoHistory
		}
	}
	return answerPage(&page), nil
}

// answerPage writes a page, or its beginning if it is large.
func answerPage(page *channels.HistoryPage) []byte {
	answer := abi.AppendField(abi.AppendField(nil, page.Position.String()), decimal(page.Oldest))
	for n, m := range page.Messages {
		if n > 0 && len(answer)+len(m.Event)+len(m.Payload) > maxHistory {
			break
		}
		form := ""
		if m.Binary {
			form = "binary"
		}
		for _, text := range []string{decimal(m.Offset), strconv.FormatInt(m.At.UnixMilli(), 10), m.Event} {
			answer = abi.AppendField(answer, text)
		}
		answer = abi.AppendField(abi.AppendField(answer, m.Payload), form)
	}
	return answer
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// numberIn reads a number of an operation. None is 0.
func numberIn(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, abi.CodeMalformed
	}
	return n, nil
}
