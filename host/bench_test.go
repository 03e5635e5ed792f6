package host_test

import (
	"context"
	"testing"
	"time"

	"rtd/host/hosttest"
	"rtd/sandbox"
	"rtd/sandbox/sandboxtest"
)

// BenchmarkRoundTrip is a push and its reply through a real socket, with chat as the
// guest.
func BenchmarkRoundTrip(b *testing.B) {
	s := start(b, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(b)}, Config: chatToken})
	c := s.Connect(b)
	c.MustJoin(b, "room:a", `{"token":"demo"}`)
	for b.Loop() {
		c.WantReply(b, "room:a", "echo", `{"body":"hello"}`, "ok")
	}
}

// BenchmarkBroadcast is a chat message until the last of 100 members has it.
func BenchmarkBroadcast(b *testing.B) {
	s := start(b, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(b)}, Config: patientChat})
	clients := s.ConnectAll(b, 100, "room:a", `{"token":"demo"}`)
	for b.Loop() {
		if _, err := clients[0].Call("room:a", "new_message", `{"body":"hello"}`); err != nil {
			b.Fatal(err)
		}
		for _, c := range clients {
			c.Expect(b, "room:a", "new_message")
		}
	}
}

// BenchmarkJoin is a join and a leave, that is, the start of a guest.
func BenchmarkJoin(b *testing.B) {
	s := start(b, hosttest.Setup{Plugins: map[string][]byte{"chat": chatGuest(b)}, Config: chatToken})
	c := s.Connect(b)
	for b.Loop() {
		c.WantReply(b, "room:a", "phx_join", `{"token":"demo"}`, "ok")
		c.WantReply(b, "room:a", "phx_leave", "{}", "ok")
		c.Expect(b, "room:a", "phx_close")
	}
}

// BenchmarkLoad loads the chat guest with its code compiled already, and tells
// its sizes.
func BenchmarkLoad(b *testing.B) {
	wasm := chatGuest(b)
	engine, err := sandbox.NewEngine(sandbox.Options{CacheDir: sandboxtest.CacheDir()})
	must(b, err)
	defer engine.Close(context.Background())
	var stats sandbox.LoadStats
	for b.Loop() {
		p, err := engine.Load(b.Context(), wasm, sandbox.LoadOptions{Name: "chat", Version: "v1"})
		must(b, err)
		stats = p.LoadStats()
		p.Close()
	}
	b.ReportMetric(float64(len(wasm)), "wasm-bytes")
	b.ReportMetric(float64(stats.Memory), "memory-bytes")
	b.ReportMetric(float64(stats.Compile)/float64(time.Millisecond), "compile-ms")
	b.ReportMetric(float64(stats.Start)/float64(time.Millisecond), "start-ms")
}
