package stage_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"rtd/channels/client"
	"rtd/cmd/rtd/stage"
	"rtd/sandbox/sandboxtest"
)

func open(t *testing.T) *stage.Stage {
	t.Helper()
	s := stage.New(stage.Options{Engine: sandboxtest.Engine(t)})
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, s *stage.Stage) *stage.Client {
	t.Helper()
	c, err := s.Connect(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func take(t *testing.T, c *stage.Client, wanted func(client.Message) bool) (client.Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Take(ctx, wanted)
}

func TestEcho(t *testing.T) {
	s := open(t)
	wasm, err := os.ReadFile("../../../sandbox/testdata/echo.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Deploy(t.Context(), "echo", wasm); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	for _, event := range []string{"phx_join", "anything"} {
		ref, err := c.Push("echo:1", event, []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		m, err := take(t, c, func(m client.Message) bool { return m.Answers(ref) })
		if err != nil || m.Status != "ok" || m.Topic != "echo:1" {
			t.Errorf("%s: %+v, %v", event, m, err)
		}
	}
	if s.Load("echo").Memory <= 0 || s.Load("other").Memory != 0 {
		t.Error("what loading has cost is not known")
	}
}

// Stages that share an engine run the same module at the same time, as scripts do.
func TestManyAtOnce(t *testing.T) {
	wasm, err := os.ReadFile("../../../sdk/suite/testdata/room-c.wasm")
	if err != nil {
		t.Fatal(err)
	}
	engine := sandboxtest.Engine(t)
	for range 50 { // all stages of a round end, so that the next one finds the module on disk only
		var round sync.WaitGroup
		for range 8 {
			round.Go(func() {
				s := stage.New(stage.Options{Engine: engine})
				defer s.Close()
				if err := s.Deploy(t.Context(), "room", wasm); err != nil {
					t.Error(err)
				}
			})
		}
		round.Wait()
	}
}

func TestEnd(t *testing.T) {
	c := connect(t, open(t))
	waiting := make(chan error)
	go func() {
		_, err := c.Take(context.Background(), func(client.Message) bool { return true })
		waiting <- err
	}()
	c.Close()
	if err := <-waiting; !errors.Is(err, client.ErrEnded) {
		t.Errorf("Take after the end: %v", err)
	}
	select {
	case <-c.Ended():
	default:
		t.Error("it has not ended")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := connect(t, open(t)).Take(ctx, func(client.Message) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("Take whose time is up: %v", err)
	}
}
