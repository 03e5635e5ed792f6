// Package auth decides whether a token is valid, reads its claims, and follows its
// expiry.
//
// A [Verifier] checks tokens with the keys of its [Config]: JSON Web Tokens, with shared
// secrets or public keys, and the tokens that an Elixir application makes with
// Phoenix.Token.sign. A [Session] follows a token while it is in use, to its refresh or end.
//
//	         ┌────────────────────── Verifier ───────────────────────┐
//	         │ size and ─┬─► JWT: header, key by alg and kid ─┐      │
//	token ─► │ alphabet  └─► Phoenix.Token: derived key ──────┤      │
//	         │                        ▲                signature     │
//	         │     keys of the config, JWKS file,    times, iss, aud │ ─► Claims ─► connect, join
//	         │     JWKS URL ◄── Run                                  │      │
//	         └───────────────────────────────────────────────────────┘      ▼
//	                             Expiring, Expired, Ended ◄── Tick ◄─── Session ◄── Refresh
//
// The host makes one Verifier for all connections, runs [Verifier.Run] as long as its
// listener, and asks [Verifier.Verify] when a client connects and when it sends a new
// token:
//
//	claims, err := verifier.Verify(ctx, token)
//	session := auth.NewSession(claims, auth.Policy{}, time.Now())
//	…
//	switch session.Tick(now) { … }        // from one sweep over all connections
//	err = session.Refresh(newer, now)     // claims of the token that the client sent
//
// # What a guest sees
//
// [Claims].JSON is handed to connect and join. Of a JWT it is the claims set. Of a
// Phoenix.Token it is the data, in which
//
//	integer, float, list      is the same; a large integer may need a large decoder
//	binary                    is text if it is UTF-8, else in base64 (RFC 4648, padded)
//	atom                      is text; nil, true and false are themselves
//	tuple                     is a list
//	map                       is an object; keys that are binaries, atoms or integers become text
//
// A token is refused whose map has another kind of key, or two that become the same
// text, such as :a and "a". So is one with a fun, pid, reference, port, bit string or
// improper list, and a compressed one.
//
// # Questions
//
// Why do keys never enter a guest? A guest is code that others wrote, and its crash
// reports, which hold its memory, are files that people read. A shared secret is enough
// to sign tokens, not only to verify them. The host checks once, and all guests can rely
// on it.
//
// Why do keys that cannot be loaded again become unavailable? A key is taken out of a
// JWKS because it leaked. An attacker who has it and can also keep rtd from loading the
// set could use it for ever. [Config].StaleAfter bounds that, and is long enough for an
// issuer to be down for an evening. A set that was never loaded verifies nothing: rtd
// starts all the same, and answers [ErrUnavailable], after which clients try again.
//
// Why does an unknown kid load the JWKS again? An issuer may sign with a new key at
// once. Config.Cooldown keeps strangers who make up kids from turning rtd against the issuer: within
// it they are refused at once, and all who wait wait for the same load.
//
// What keeps a public key from being used as a secret? A key is bound to its algorithms
// when it is read, and found by algorithm and kid. PEM text never becomes a secret, and a
// JWKS with shared or private keys loses those, with a line in the log. "none" is no
// algorithm here.
//
// Why is the size checked before all else, and the signature before the claims mean anything?
// Anybody can send a token. Eight kilobytes of JSON are the most that is parsed for a
// stranger, and an Erlang term is decoded only after its signature.
//
// Why is the claims set written anew? A JSON object may have a member twice, and
// decoders differ in which one they take. The guest gets the one that was checked. Names match exactly:
// Go's decoder would take "EXP" for "exp".
//
// Why does PhoenixMaxAge replace the token's age, even by a longer one? That is what max_age does in
// Phoenix.Token.verify. Applications sign with the default of one day and verify with two weeks.
//
// Why may a refresh not change the subject? Channels were joined, and presences tracked,
// for the subject. For another subject a client connects again. Tokens without a subject
// cannot be refreshed, as any other such token would do.
//
// Why has a session no timer? There are tens of thousands of them, and a second more or less does not
// matter. One sweep costs a comparison for each.
//
// Why golang-jwt, and no package for JWKS? The order of checks, the comparison of times
// with leeway and the encodings of signatures are where JWT libraries had their holes;
// this one is widely read, and has no dependencies. It leaves four things to its caller,
// which are here: the choice of the key, the size, the header, and errors that do not
// quote the token. A JWKS of public RSA and EC keys is a hundred lines (jwk.go), most of
// them refusals that a general package does not make.
//
// Why is an encrypted Phoenix.Token refused? Its purpose is that the client cannot read it;
// rtd would hand its content to plugins, of which the application that made it knows nothing.
package auth
