package admin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"rtd/host/admin"
)

// read takes lines from a log until enough says so, without the time.
func read(ctx context.Context, t *testing.T, c *admin.Client, q admin.LogQuery, enough func(lines int) bool) (text string) {
	t.Helper()
	n := 0
	for line, err := range c.Logs(ctx, q) {
		if err != nil {
			t.Fatal(err)
		}
		if line.Lost > 0 {
			text += fmt.Sprintf("lost %d\n", line.Lost)
			continue
		}
		_, rest, _ := bytes.Cut(line.JSON, []byte(`","`)) // after the time
		text += `"` + string(rest) + "\n"
		if n++; enough != nil && enough(n) {
			break
		}
	}
	return text
}

func TestLogs(t *testing.T) {
	book := admin.NewLog()
	log := slog.New(book.Handler())
	server, socket, _ := serve(t, &plant{}, book)
	c := connect(t, admin.Target{Paths: []string{socket}})
	chat := log.With("plugin", "chat")
	chat.Info("one", "n", 1)
	log.Error("two")
	chat.Debug("nobody wants it")
	chat.Warn("three")

	for q, want := range map[admin.LogQuery]string{
		{Lines: 10}:                 `"level":"INFO","msg":"one","plugin":"chat","n":1}` + "\n" + `"level":"ERROR","msg":"two"}` + "\n" + `"level":"WARN","msg":"three","plugin":"chat"}` + "\n",
		{Lines: 1}:                  `"level":"WARN","msg":"three","plugin":"chat"}` + "\n",
		{Lines: 1, Plugin: "chat"}:  `"level":"WARN","msg":"three","plugin":"chat"}` + "\n",
		{Lines: 10, Level: "error"}: `"level":"ERROR","msg":"two"}` + "\n",
		{Lines: 10, Plugin: "none"}: "",
		{}:                          "",
	} {
		if got := read(t.Context(), t, c, q, nil); got != want {
			t.Errorf("%+v:\n%swant\n%s", q, got, want)
		}
	}
	for _, err := range c.Logs(t.Context(), admin.LogQuery{Level: "loud"}) {
		if err == nil || !strings.Contains(err.Error(), "want debug, info, warn or error") {
			t.Errorf("a level that there is not: %v", err)
		}
	}

	t.Log("who follows gets what comes, at a level of their own, until the server ends")
	followed := make(chan string, 1)
	begun := make(chan struct{})
	go func() {
		followed <- read(context.Background(), t, c, admin.LogQuery{Plugin: "chat", Level: "debug", Lines: 1, Follow: true}, func(n int) bool {
			if n == 1 {
				close(begun)
			}
			return false
		})
	}()
	<-begun
	chat.Debug("four")
	log.Info("of none")
	chat.Info("five")
	shutdown(t, server)
	want := `"level":"WARN","msg":"three","plugin":"chat"}` + "\n" + `"level":"DEBUG","msg":"four","plugin":"chat"}` + "\n" + `"level":"INFO","msg":"five","plugin":"chat"}` + "\n"
	if got := <-followed; got != want {
		t.Errorf("followed\n%swant\n%s", got, want)
	}
	if log.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("debug lines are made for nobody")
	}
}

// A reader that does not read is told what it has missed, and holds up nobody.
func TestSlowReader(t *testing.T) {
	book := admin.NewLog()
	log := slog.New(book.Handler())
	server, socket, _ := serve(t, &plant{}, book)
	defer shutdown(t, server)
	c := connect(t, admin.Target{Paths: []string{socket}})
	log.Info("begin")
	const lines = 20_000
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, lost, wrote := 0, 0, false
	last := ""
	for line, err := range c.Logs(ctx, admin.LogQuery{Lines: 1, Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if !wrote { // while this reader does nothing else
			for n := range lines {
				log.Info("line", "n", n, "text", strings.Repeat("x", 200))
			}
			wrote = true
			continue
		}
		if line.Lost > 0 {
			lost += int(line.Lost)
			continue
		}
		read++
		if last = string(line.JSON); strings.Contains(last, fmt.Sprintf(`"n":%d,`, lines-1)) {
			break
		}
	}
	if read+lost != lines || lost == 0 {
		t.Errorf("%d lines read and %d lost, want %d together and some lost", read, lost, lines)
	}
}

func TestLogIsBounded(t *testing.T) {
	book := admin.NewLog()
	log := slog.New(book.Handler())
	server, socket, _ := serve(t, &plant{}, book)
	defer shutdown(t, server)
	c := connect(t, admin.Target{Paths: []string{socket}})
	for n := range 1500 {
		log.Info("line", "n", n)
	}
	log.Info("text", "long", strings.Repeat("é", 10_000))
	log.Info("stack", "plugin", "chat", "stack", strings.Split(strings.Repeat("main.f\n", 10_000), "\n"))
	log.Info(strings.Repeat("m", 10_000))
	n, size := 0, 0
	for line, err := range c.Logs(t.Context(), admin.LogQuery{Lines: 5000}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		size = max(size, len(line.JSON))
	}
	if n != 1000 || size > 8<<10 {
		t.Errorf("%d lines of up to %d bytes; want 1000 of 8 KiB", n, size)
	}
	if got := read(t.Context(), t, c, admin.LogQuery{Lines: 2, Plugin: "chat"}, nil); !strings.Contains(got, `"msg":"stack","plugin":"chat","cut_from_bytes":`) {
		t.Errorf("of a long line: %s", got)
	}

	t.Log("and so are its readers")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 3 {
		next, stop := pull(c.Logs(ctx, admin.LogQuery{Lines: 1, Follow: true}))
		defer stop()
		if _, err := next(); err != nil {
			t.Fatal(err)
		}
	}
	next, stop := pull(c.Logs(ctx, admin.LogQuery{Lines: 1, Follow: true}))
	defer stop()
	if _, err := next(); err == nil || err.Error() != "3 read the log already" {
		t.Errorf("one more: %v", err)
	}
}

// pull turns an iterator of lines into a function.
func pull(lines iter.Seq2[admin.LogLine, error]) (next func() (admin.LogLine, error), stop func()) {
	each, stop := iter.Pull2(lines)
	return func() (admin.LogLine, error) {
		line, err, ok := each()
		if !ok && err == nil {
			err = io.EOF
		}
		return line, err
	}, stop
}

// A reader that has stalled does not hold up the end of the server.
func TestStalledReaderAtTheEnd(t *testing.T) {
	book := admin.NewLog()
	log := slog.New(book.Handler())
	server, socket, _ := serve(t, &plant{}, book)
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /admin/logs?follow=1 HTTP/1.1\r\nHost: rtd\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // and nothing more
		t.Fatal(err)
	}
	for n := range 5000 {
		log.Info("line", "n", n, "text", strings.Repeat("x", 1000))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("shut down: %v, %v", err, ctx.Err())
	}
}
