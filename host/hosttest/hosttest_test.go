package hosttest

import "testing"

// A goroutine that goes on is found, one of another server's or that has ended is not.
func TestGoroutinesAreFound(t *testing.T) {
	first := mark()
	goOn, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-goOn
	}()
	second := mark()
	if first.left() == "" || second.left() != "" {
		t.Errorf("left of the first:\n%sof the second:\n%s", first.left(), second.left())
	}
	close(goOn)
	<-ended
	first.wantNone(t)
}
