package gateway

import (
	"net/http"

	"github.com/coder/websocket"

	"rtd/channels"
	"rtd/host/gateway/deflate"
)

// packs says which frames of a connection are compressed: those of so many bytes. The zero
// value is none.
type packs struct{ from, to int32 }

func (p packs) on() bool { return p.to > 0 }

// pack returns what is sent of a frame, and whether that is compressed. A frame that many
// get is compressed for the first of them.
func (p packs) pack(f channels.Frame) (data []byte, packed bool) {
	if n := len(f.Data); n < int(p.from) || n > int(p.to) || !p.on() {
		return f.Data, false
	}
	if data = f.Form(packedForm); data == nil {
		return f.Data, false
	}
	return data, true
}

// packedForm returns the compressed message, or nil if that is not shorter.
func packedForm(message []byte) []byte {
	if data, ok := deflate.Append(nil, message); ok {
		return data
	}
	return nil
}

// handshakeOfPacked is handshakeOfAll for those connections where messages may be compressed.
var handshakeOfPacked = func() *http.Request {
	r := handshakeOfAll.Clone(handshakeOfAll.Context())
	r.Header.Set("Sec-Websocket-Extensions", "permessage-deflate; client_no_context_takeover; server_no_context_takeover")
	return r
}()

// handshake returns the handshake and the mode of the library, which reads what is no whole message.
func (p packs) handshake() (*http.Request, websocket.CompressionMode) {
	if p.on() {
		return handshakeOfPacked, websocket.CompressionNoContextTakeover
	}
	return handshakeOfAll, websocket.CompressionDisabled
}
