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
// Why is the payload of a broadcast an object? Phoenix clients are promised one.
//
// Why are keys compared in constant time, and hashed before? So that neither a
// key's bytes nor its length can be learned from how long an answer takes.
package api
