package main

import (
	"errors"
	"strings"
	"time"

	rtd "rtd/sdk/go"
)

// preview is a Task that fetches a page and returns its title. It is slow, so it runs in
// a process of its own and nobody waits for it.
var preview = rtd.NewTask("preview", func(url []byte) ([]byte, error) {
	if err := rtd.Sleep(300 * time.Millisecond); err != nil {
		return nil, err
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(string(url), "https://"), "/")
	title := pages[host]
	if title == "" {
		return nil, errors.New("no page at " + string(url))
	}
	return []byte(title), nil
})

// pages is the web.
var pages = map[string]string{
	"example.org":    "Example Domain",
	"go.dev":         "The Go Programming Language",
	"www.erlang.org": "Erlang: practical functional programming for a parallel world",
}

// linkIn returns the first link in a text, or "".
func linkIn(text string) string {
	for word := range strings.FieldsSeq(text) {
		if strings.HasPrefix(word, "https://") {
			return word
		}
	}
	return ""
}
