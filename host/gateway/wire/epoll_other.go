//go:build !linux

package wire

import (
	"errors"
	"net"
)

// epoll is Linux's alone.
type epoll struct{}

func newEpoll(Options) (*epoll, error) { return nil, errors.ErrUnsupported }

func (*epoll) adopt(net.Conn, []byte) Conn { return nil }
func (*epoll) close()                      {}
func (*epoll) lookAll()                    {}
