package cluster

import (
	"context"
	"errors"

	"rtd/host/bus"
)

// Over returns the carrier that a mesh is.
func Over(m *bus.Mesh) Carrier { return meshCarrier{m} }

type meshCarrier struct{ *bus.Mesh }

func (c meshCarrier) Listen(ctx context.Context, limit int, subjects ...string) (Listener, error) {
	inbox := c.Inbox(limit)
	for _, subject := range subjects {
		if err := inbox.Subscribe(ctx, subject); err != nil {
			inbox.Close()
			return nil, err
		}
	}
	return meshListener{inbox}, nil
}

type meshListener struct{ *bus.Inbox }

func (l meshListener) Next(ctx context.Context) (subject string, data []byte, err error) {
	m, err := l.Inbox.Next(ctx)
	if errors.Is(err, bus.ErrClosed) {
		err = ErrCarrierClosed
	}
	return m.Subject, m.Data, err
}
