package rtd

import (
	"strconv"
	"strings"
)

// OnConnect registers the function that decides about each client that connects. nil accepts
// the client; the error of [RefuseStatus] or [Refuse] refuses it; any other is a crash, as a
// panic is, and the client gets status 500.
// Call it from init, once.
//
// Ask for it with connect = true in [capabilities] of rtd.toml. The server grants it with
// allows = ["connect"] in [plugin.NAME] of its config, or else does not deploy the plugin. If the
// server has other plugins, its config also has to name the plugin that decides, with
// connect = "NAME" in [socket.NAME].
//
//	rtd.OnConnect(func(c *rtd.Conn) error {
//		user, err := userOf(c.AuthToken())
//		if err != nil {
//			return rtd.RefuseStatus(401)
//		}
//		c.ID, c.Assigns = "users:"+user, []byte(user)
//		return nil
//	})
//
// It runs in a process of its own, which ends after it: it can [Call] others, [Publish],
// [Disconnect] and so on, and may wait; no other client waits for it.
func OnConnect(f func(c *Conn) error) {
	if plugin.onConnect != nil {
		panic("rtd: OnConnect is called twice; let one function call the other")
	}
	plugin.onConnect = f
}

// RefuseStatus returns an error for the function of [OnConnect] to return: the
// client's request is answered with this HTTP status, from 400 to 599; 403 stands
// in for any other.
func RefuseStatus(status int) error { return &refusal{status: strconv.Itoa(status)} }

// Conn is a client that connects, and the id and assigns that it is to have.
type Conn struct {
	// ID names the connection, and all others to which it is given, for [Disconnect];
	// "" for none. At most 255 bytes.
	ID string

	// Assigns are for the channels of the connection, which get them by
	// [Socket.Assigns]: JSON or any other bytes.
	Assigns []byte

	mount string
	info  []byte
}

// Mount is the name of the socket that the client connects to, as the server's config
// has it: "socket" if that names none.
func (c *Conn) Mount() string { return c.mount }

// Info is a JSON object of all that is known of the client, valid until the function
// returns. The other methods look things up in it.
//
//	params          the query's, nested: user[name]=x is {"user":{"name":"x"}}
//	peer            address, port
//	uri             scheme, host, port, path, query
//	user_agent      text or null
//	x_headers       and sec_websocket_headers, trace_context_headers: an object each
//	auth_token      text or null
//	claims          of the token, if the server has verified it, or null
func (c *Conn) Info() []byte { return c.info }

// Param is a parameter of the client's, "" if there is none or it is no text. That of
// user[name]=x is Param("user", "name").
func (c *Conn) Param(path ...string) string { return unquote(find(find(c.info, "params"), path...)) }

// AuthToken is the authToken that the client gave by subprotocol; "" if it gave none.
func (c *Conn) AuthToken() string { return unquote(find(c.info, "auth_token")) }

// Claims are those of the client's token, as a JSON object, if the server has verified it;
// else nil. They are valid as long as Info is.
func (c *Conn) Claims() []byte {
	if claims := find(c.info, "claims"); string(claims) != "null" {
		return claims
	}
	return nil
}

// UserAgent is the header User-Agent, "" if there is none.
func (c *Conn) UserAgent() string { return unquote(find(c.info, "user_agent")) }

// Header is a header, "" if there is none: one whose name begins with X- or
// Sec-WebSocket-, Traceparent or Tracestate. All others are withheld, because a
// foreign page could make a browser send them.
func (c *Conn) Header(name string) string {
	name = strings.ToLower(name)
	for _, group := range []string{"x_headers", "sec_websocket_headers", "trace_context_headers"} {
		if value := find(c.info, group, name); value != nil {
			return unquote(value)
		}
	}
	return ""
}

// Peer is the address that the client connects from. Behind a trusted proxy it is the
// one that the proxy tells of.
func (c *Conn) Peer() (address string, port int) {
	port, _ = strconv.Atoi(string(find(c.info, "peer", "port")))
	return unquote(find(c.info, "peer", "address")), port
}

// URI is the address that the client asked for: "ws://example.com:4000/socket/websocket?vsn=2.0.0".
func (c *Conn) URI() string {
	part := func(name string) string { return unquote(find(c.info, "uri", name)) }
	host := part("host")
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // IPv6
	}
	uri := part("scheme") + "://" + host
	if port := find(c.info, "uri", "port"); port != nil {
		uri += ":" + string(port)
	}
	uri += part("path")
	if query := part("query"); query != "" {
		uri += "?" + query
	}
	return uri
}

// connect handles the event connect.
func connect(e record) error {
	if plugin.onConnect == nil {
		return errText("nobody decides about clients; call rtd.OnConnect from init")
	}
	c := &Conn{mount: e.name, info: e.payload}
	err := plugin.onConnect(c)
	if r, ok := err.(*refusal); ok {
		effect(record{kind: effectReply, name: r.status})
		return nil
	}
	if err == nil {
		effect(record{kind: effectReply, name: "ok", payload: c.Assigns, detail: c.ID})
	}
	return err
}
