package host_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"rtd/host/hosttest"
)

// Clients that are closed while they flood, and then say nothing, leave nothing behind:
// a drain ends when all is done, and does not wait for its grace period.
func TestFloodedClosesEnd(t *testing.T) {
	t.Parallel()
	s := start(t, hosttest.Setup{Plugins: map[string][]byte{"echo": echoGuest(t)}, Config: "[server]\ngrace = \"5m\"\nmax_outbox_messages = 1\n"})
	var floods sync.WaitGroup
	for range 60 {
		conn, reader := s.rawUpgrade(t)
		closed := make(chan struct{})
		floods.Go(func() {
			defer close(closed)
			wantCloseFrame(t, reader, websocket.StatusCode(4001))
		})
		floods.Go(func() {
			for n := 0; ; n++ {
				text := fmt.Sprintf(`["%d","%d","echo:%d","phx_join",{}]`, n, n, n)
				frames := strings.Repeat(string([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0})+text, 20)
				cut := len(frames) - 1 - n%20 // so that a goroutine reads the rest
				for _, part := range []string{frames[:cut], frames[cut:]} {
					if _, err := io.WriteString(conn, part); err != nil {
						return
					}
					time.Sleep(10 * time.Microsecond)
				}
				select {
				case <-closed:
					return
				default:
				}
			}
		})
	}
	floods.Wait()
	s.Stop(t) // within Patience, which is less than the grace period
}
