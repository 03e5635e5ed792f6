// Package web is the chat page that rtd serves at its root: a person opens two tabs, talks to themselves, crashes a
// handler and restarts the server, and sees that the conversation goes on.
//
//	index.html ── chat.css
//	    │
//	 chat.js ──► timeline.js   the log: who said what and when
//	    │  ├───► outbox.js     what was written and is not confirmed yet
//	    │  └───► presence.js   who is here
//	    ▼
//	phoenix.js ◄── WebSocket ──► /socket/websocket?vsn=2.0.0
//	    ├── longpoll.js ◄──────► /socket/longpoll, where there is no WebSocket
//	    └── recovery.js          what was missed while away: sdk/js, as applications install it
//
// The files are embedded, so that the binary is all there is to deploy, and they are
// written for this project: no framework, no build step, nothing fetched from elsewhere.
// The browser runs the files in static/ as they are.
//
// # Rationale
//
// Why does it import sdk/js? The page is served the library itself, and not a copy that could differ.
//
// Why a client of our own, when the npm package phoenix works? The page shall need neither npm nor a bundle, and a
// client that is read in ten minutes is the best description of the protocol from its other side. That the real package
// works too is checked in .ci/e2e.
//
// Why are messages shown only when their broadcast comes back? The broadcast carries no
// id of the client's, so a copy shown at once could not be matched with it. A message on
// its way stands below the log instead, with its state, and leaves when the server has
// confirmed it. So the log shows what everybody else sees, in the same order.
//
// Why is a message with a lost answer not repeated by itself? It may have arrived. The
// page says so and offers "Retry". A message that was never sent, because the connection
// was down when it was written, goes out by itself after the join.
//
// Why sessionStorage for the name? It is per tab, so two tabs are two people.
//
// Why does the Content-Security-Policy allow any WebSocket address? Browsers differ in whether 'self' covers ws: and
// wss: of the same host. Everything else is limited to this origin, and inline script and style are refused: text of
// other users is only ever set as text, and the policy is the second line should that ever be broken.
//
// Why must the browser ask again each time (no-cache)? After an upgrade an old page must not talk to a new server. The
// ETag is a hash of the content, so the question is cheap and the answer is usually 304.
package web
