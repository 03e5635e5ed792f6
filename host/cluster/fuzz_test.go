package cluster_test

import (
	"context"
	"sync"
	"testing"

	"rtd/channels"
	"rtd/host/cluster"
)

// wire hands to a node what a test says, and to the test what the node sends to one of the others.
type wire struct {
	mu     sync.Mutex
	frames map[string][][]byte // by subject
	to     map[string]chan []byte
}

func (w *wire) Publish(subject string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames[subject] = append(w.frames[subject], append([]byte(nil), data...))
	return nil
}

func (w *wire) Listen(_ context.Context, _ int, subjects ...string) (cluster.Listener, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.channel(subjects[0]), nil
}

func (w *wire) channel(subject string) tube {
	if w.to[subject] == nil {
		w.to[subject] = make(chan []byte)
	}
	return tube(w.to[subject])
}

type tube chan []byte

func (t tube) Next(ctx context.Context) (string, []byte, error) {
	select {
	case data := <-t:
		return "", data, nil
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
}

func (tube) Close() {}

// What a peer sends may be anything: it ends nothing here.
func FuzzFrames(f *testing.F) {
	beat := []byte(`{"wire":1,"node":"b","life":2,"version":"1","up":5,"peers":{"a":{"life":1,"in":1,"next":3}}}`)
	f.Add([]byte{1, 1, 1, 'b', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 9, 0, 0, 0, 0, 4, 'r', 'o', 'o', 'm', 1, 'e', '{'}, beat)
	f.Add([]byte{1, 1, 1, 'b', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 'r', 'o', 'o', 'm', 6, 2, 0, 0, 0, 1, 0, 7, 3, 0, 0, 0, 1, 0, 0}, beat)
	f.Add([]byte{1, 2, 1, 'b', 2, 1, 1, 7, 0, 0, 0, 0, 0, 0, 0, 1}, beat)
	f.Fuzz(func(t *testing.T, frame, beat []byte) {
		w := &wire{frames: map[string][][]byte{}, to: map[string]chan []byte{}}
		w.mu.Lock()
		beats, frames := w.channel("beat"), w.channel("to.a")
		w.mu.Unlock()
		n, err := cluster.New(cluster.Options{Name: "a", Carrier: w, Hub: channels.NewHub(), Life: 1})
		if err != nil {
			t.Fatal(err)
		}
		n.Start()
		beats <- beat
		frames <- frame
		beats <- beat
		n.Broadcast("room", "said", []byte("{}"), false)
		frames <- frame
		n.Members()
		n.Close()
	})
}
