package gate

import (
	"io"
	"net/http"
	"time"
)

// linger is how long the rest of a body has that no handler wants.
const linger = time.Second

// Handler has next handle requests, and bounds how long their bodies take.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := r.Context().Value(key{}).(*visitor)
		if v == nil { // of a listener that is not the gate's
			next.ServeHTTP(w, r)
			return
		}
		if r.Body == nil || r.Body == http.NoBody {
			v.begin()
			defer v.end()
			next.ServeHTTP(w, r)
			return
		}
		b := &body{ReadCloser: r.Body, visitor: v, control: http.NewResponseController(w), begun: time.Now()}
		b.allow()
		defer b.finish()
		r = r.WithContext(r.Context()) // net/http knows its own body, which stays where it is
		r.Body = b
		next.ServeHTTP(w, r)
	})
}

// body is that of a request, with a deadline that moves as it comes.
type body struct {
	io.ReadCloser
	visitor  *visitor
	control  *http.ResponseController
	begun    time.Time
	received int
	seconds  int  // of the deadline that were earned by what was received
	whole    bool // all of it is there
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.received += n
	switch {
	case err == io.EOF:
		b.complete()
	case b.received/b.visitor.gate.options.Rate > b.seconds:
		b.allow()
	}
	return n, err
}

// allow moves the deadline to where it is now.
func (b *body) allow() {
	o := &b.visitor.gate.options
	b.seconds = b.received / o.Rate
	b.deadline(b.begun.Add(min(o.Patience+time.Duration(b.seconds)*time.Second, o.Most)))
}

// complete makes it the server's turn: the client has sent everything, and may be kept
// waiting.
func (b *body) complete() {
	if !b.whole {
		b.whole = true
		b.deadline(time.Time{})
		b.visitor.begin()
	}
}

// finish is called when the request has been handled.
func (b *body) finish() {
	switch {
	case b.whole:
		b.visitor.end()
	case !b.visitor.gone.Load(): // else the connection is another's
		b.deadline(time.Now().Add(linger))
	}
}

// deadline holds for reads. Only connections of tests have none, which does no harm.
func (b *body) deadline(t time.Time) { _ = b.control.SetReadDeadline(t) }
