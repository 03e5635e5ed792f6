// Package httpapi is the common part of the HTTP APIs of a server: package api, for back
// ends, and package admin, for administrators.
//
//	Authorization: Bearer KEY ──► Keys.Known ──no──► Unauthorized   401
//	                                  │ yes
//	body ─────────────────────► read, as the API needs it ──error──► FailBody   413, 408, 400
//	                                  │
//	                              Succeed   200, JSON     Fail   any other status, {"error": "…"}
//
// # Questions
//
// Why are keys compared in constant time, and hashed before? So that neither a
// key's bytes nor its length can be learned from how long an answer takes. All keys are
// compared, whichever matches.
//
// Why is history here? Both APIs show it, as the same JSON.
//
// What is an error's text for? For the person who has sent the request: it names the
// fault and the expected value.
package httpapi
