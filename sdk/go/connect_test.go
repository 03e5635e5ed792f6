package rtd_test

import (
	"errors"
	"fmt"
	"testing"

	rtd "rtd/sdk/go"
)

const client = `{"params":{"vsn":"2.0.0","user":"J\u00f6 \"7\"","n":{"m":"deep"},"tags":["a"]},
	"peer":{"address":"203.0.113.7","port":50123},
	"uri":{"scheme":"wss","host":"example.com","port":443,"path":"/socket/websocket","query":"vsn=2.0.0"},
	"user_agent":"test/1","x_headers":{"x-request-id":"r1"},"sec_websocket_headers":{"sec-websocket-version":"13"},
	"trace_context_headers":{"traceparent":"00-1"},"auth_token":"a+b/c","claims":{"sub":"7"}}`

func TestConnect(t *testing.T) {
	h := rtd.NewHost(t)
	rtd.OnConnect(func(c *rtd.Conn) error {
		address, port := c.Peer()
		rtd.Log("info", fmt.Sprintf("%s %q %q %q %s %d %s %s %s %s %s %s %s", c.Mount(), c.Param("user"), c.Param("n", "m"), c.Param("tags"),
			address, port, c.URI(), c.UserAgent(), c.Header("X-Request-Id"), c.Header("Sec-WebSocket-Version"), c.Header("traceparent"), c.AuthToken(), c.Claims()))
		if string(c.Info()) != client {
			t.Errorf("info = %s", c.Info())
		}
		c.ID, c.Assigns = "users:7", []byte(`{"user":7}`)
		return nil
	})
	h.Start("{}")
	h.Want("wants|connect")
	h.Connect("socket", client)
	h.Want(`log|info|socket "Jö \"7\"" "deep" "" 203.0.113.7 50123 wss://example.com:443/socket/websocket?vsn=2.0.0`+
		` test/1 r1 13 00-1 a+b/c {"sub":"7"}`, `reply|ok|{"user":7}|users:7`)
	defer func() {
		if recover() == nil {
			t.Error("OnConnect was called twice")
		}
	}()
	rtd.OnConnect(func(*rtd.Conn) error { return nil })
}

func TestConnectRefuses(t *testing.T) {
	h := rtd.NewHost(t)
	if cause := h.Connect("socket", "{}"); cause == "" {
		t.Error("a client was accepted by nobody")
	}
	var err error
	rtd.OnConnect(func(c *rtd.Conn) error {
		if c.Param("user") != "" || c.AuthToken() != "" || c.Header("x-any") != "" || c.Claims() != nil {
			t.Error("found something in nothing")
		}
		return err
	})
	h.Asked = nil
	for _, test := range []struct {
		err         error
		crash, want string
	}{
		{nil, "", "reply|ok"},
		{rtd.RefuseStatus(429), "", "reply|429"},
		{rtd.Refuse("{}"), "", "reply|error"},
		{errors.New("out of order"), "out of order", "abort||out of order"},
	} {
		err = test.err
		if cause := h.Connect("socket", `{"user_agent":null,"auth_token":null,"claims":null}`); cause != test.crash {
			t.Errorf("%v: crashed with %q", test.err, cause)
		}
		h.Want(test.want)
	}
}
