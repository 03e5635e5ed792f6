package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"rtd/host/gateway/deflate"
)

// memory is a connection of which only so much has arrived.
type memory struct {
	net.Conn
	r io.Reader
}

var errBeyond = errors.New("read beyond")

func (m memory) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if err == io.EOF {
		err = errBeyond
	}
	return n, err
}
func (memory) Write(b []byte) (int, error) { return len(b), nil }
func (memory) Close() error                { return nil }

type inMemory struct {
	*httptest.ResponseRecorder
	conn memory
	br   *bufio.Reader
}

func (h inMemory) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(h.br, bufio.NewWriterSize(h.conn, writeBuffer)), nil
}

// What is plain, the library reads to its last byte, and to none beyond, and it reads the same
// messages.
func FuzzPlain(f *testing.F) {
	mask := "\x01\x02\x03\x04"
	f.Add([]byte("\x81\x85"+mask+"hello"+"\x82\x80"+mask), 64, false)
	f.Add([]byte("\x81\xfe\x00\x05"+mask+"hello"+"\x81\x85"+mask+"hel"), 64, false)
	f.Add([]byte("\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05"+mask+"hello"), 64, false)
	f.Add([]byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff"+mask+"hello"), 64, false)
	f.Add([]byte("\x01\x85"+mask+"hello"), 64, false)
	f.Add([]byte("\x89\x80"+mask), 64, false)
	f.Add([]byte("\x81\x05hello"), 64, false)
	hello := "\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00" // RFC 7692, section 7.2.3.1
	f.Add([]byte(hello+hello), 64, true)
	f.Add([]byte(hello), 64, false)
	f.Add([]byte(hello), 4, true)
	f.Fuzz(func(t *testing.T, b []byte, limit int, packed bool) {
		limit = min(max(limit, 1), 1<<20)
		in, mode := inflater{left: inflateAtOnce}, websocket.CompressionDisabled
		if packed {
			in.inflate, mode = deflate.Inflate, websocket.CompressionNoContextTakeover
		}
		type message struct {
			payload string
			binary  bool
		}
		var taken []message
		whole := plain(bytes.Clone(b), limit, in, func(payload []byte, binary bool) {
			taken = append(taken, message{string(payload), binary})
		})
		if whole < 0 || whole > len(b) {
			t.Fatalf("%d of %d bytes are whole", whole, len(b))
		}
		unread := bytes.NewReader(b[:whole])
		conn := memory{r: unread}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for key, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			r.Header.Set(key, value)
		}
		br := bufio.NewReaderSize(conn, smallestBuffer)
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover; server_no_context_takeover")
		ws, err := websocket.Accept(inMemory{httptest.NewRecorder(), conn, br}, r, &websocket.AcceptOptions{CompressionMode: mode})
		if err != nil {
			t.Fatal(err)
		}
		ws.SetReadLimit(int64(limit))
		for unread.Len() > 0 || br.Buffered() > 0 {
			kind, payload, err := ws.Read(context.Background())
			if err != nil && packed {
				return // behind a block that says that it is the last one, the library is at a loss
			}
			if err != nil {
				t.Fatalf("%d bytes are whole, of which %d are left: %v", whole, unread.Len(), err)
			}
			if packed && len(taken) > 0 && strings.HasPrefix(taken[0].payload, string(payload)) && taken[0].payload != string(payload) {
				return // likewise: it leaves out what comes behind the last block, which RFC 7692, 7.2.3.4, allows
			}
			if len(taken) == 0 || taken[0] != (message{string(payload), kind == websocket.MessageBinary}) {
				t.Fatalf("the library reads %q, taken is %+v", payload, taken)
			}
			taken = taken[1:]
		}
		if len(taken) > 0 {
			t.Fatalf("taken is more than the library reads: %+v", taken)
		}
	})
}

// The header is what clients expect, at every length of its length.
func TestAppendHeader(t *testing.T) {
	for size, want := range map[int]string{
		0: "\x81\x00", 125: "\x81\x7d", 126: "\x81\x7e\x00\x7e", 65535: "\x81\x7e\xff\xff",
		65536: "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		if got := AppendHeader(nil, false, false, size); string(got) != want {
			t.Errorf("header of %d bytes is % x, not % x", size, got, want)
		}
	}
	if got := AppendHeader(nil, true, false, 1); string(got) != "\x82\x01" {
		t.Errorf("binary header is % x", got)
	}
	if got := AppendHeader(nil, true, true, 1); string(got) != "\xc2\x01" {
		t.Errorf("header of compressed bytes is % x", got)
	}
}
