package stage

import (
	"sync"

	"rtd/channels"
	"rtd/channels/client"
	"rtd/host/process"
)

// Client is a Phoenix client on a stage. Its methods may be called from any goroutine.
type Client struct {
	*client.Client
	socket *channels.Socket
	ending sync.WaitGroup
	once   sync.Once
}

func newClient(e *channels.Endpoint, from process.Connection) *Client {
	c := &Client{}
	c.Client = client.New(func(frame []byte, binary bool) error { return c.socket.Receive(frame, binary) })
	ready := make(chan struct{})
	c.socket = e.NewSocket(channels.SocketOptions{
		Codec: channels.V2, Out: c, ID: from.ID, Assigns: from.Assigns,
		Disconnect: func() { c.ending.Go(func() { <-ready; c.disconnect() }) },
	})
	close(ready)
	return c
}

// Close ends the connection and waits for that.
func (c *Client) Close() {
	c.disconnect()
	c.ending.Wait()
}

func (c *Client) disconnect() {
	c.once.Do(func() { c.socket.Close(); c.End() })
}

// Send takes a frame of the server: Client is a [channels.Outbox].
func (c *Client) Send(f channels.Frame) { c.Receive(f.Data, f.Binary) }
