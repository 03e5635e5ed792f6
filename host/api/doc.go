// Package api is the HTTP API of a server for the backends of an application: to
// broadcast to topics, to see who is where, to end connections. Every request
// carries a key as a bearer token; without a configured key there is no API.
//
//	curl -H "Authorization: Bearer $KEY" http://127.0.0.1:4000/api/broadcast \
//	     -d '{"topic":"room:lobby","event":"news","payload":{"text":"hello"}}'
//
// openapi.json describes it; a test holds the two to each other.
//
// # Questions
//
// Why one answer to a batch, and not one for each message? All messages are checked
// before the first is sent, so that a batch is sent whole or not at all.
//
// Where are keys checked? In package httpapi, for this API and that of package admin.
//
// Why is the payload of a broadcast an object? Phoenix clients are promised one.
package api
