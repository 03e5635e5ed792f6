// Package gate bounds the visitors at a server's door: connections from the moment in
// which they are accepted until they end, or are taken out to become WebSockets, which
// are counted elsewhere.
//
//	accept ──► room? ──no──► does one keep us waiting? ──no──► refused: 429 or 503, and closed
//	             │                      │ yes
//	            yes                     └──► that one is closed
//	             ▼
//	          visitor   waiting   for the client: a TLS handshake, a header, a body, the next request
//	             │         ▲
//	     header, │         │ answered, or more
//	     or body,▼         │
//	     is there        ours      the server's turn: nobody closes it
//	             │
//	             └──► Take   it is no visitor any more
//
// A [Gate] is shared by the listeners and the HTTP server of one purpose. [Gate.Listen]
// counts, [Gate.Handler] says whose turn it is, [Gate.ConnContext] ties the two together.
//
// # Bodies
//
// [Gate.Handler] gives a body Options.Patience, and then as long as it takes at
// Options.Rate bytes a second, on average, but no more than Options.Most. A read after
// that fails with [os.ErrDeadlineExceeded]. There is no deadline while a request is
// handled whose body is there: it may poll. The rest of a body that was not read when its
// request has been answered has a second. Each write must get into the kernel's buffer
// within Options.Patience times three.
//
// # Questions
//
// Why is a visitor closed, when it was there first? An honest client sends a header in a
// round trip. The visitor that keeps the server waiting for the longest has not, or has
// been answered and does nothing. So visitors that hold places cannot hold them against
// others, however many they are, and there is no timeout that could be set wrongly.
//
// Why does waiting begin with accept, or with the last answer, and not with the last byte? A client that sends
// a byte now and then would never have waited for long.
//
// Why is no visitor closed whose request is being handled? It has done its part. The
// handlers bound the number of such visitors.
//
// Why does a refused client get an answer at all? 429 and 503 tell a client, and a proxy, to come
// back later; an end without a word looks like a fault. Sixteen get one at a time. There is none with TLS: the
// handshake would cost more than the refusal saves.
package gate
