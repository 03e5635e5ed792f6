package image

// plain is the portable backing: ordinary memory, compared as a whole. A guest
// of a few pages loses little by that.
type plain struct {
	snapshot []byte
	limit    int
	mem      []byte
}

func newPlain(snapshot []byte, limit int) *plain {
	return &plain{snapshot: snapshot, limit: limit, mem: append([]byte{}, snapshot...)}
}

// bytes grows by a quarter more than asked, so that growing page by page does
// not copy everything for every page.
func (p *plain) bytes(size int) []byte {
	if size > cap(p.mem) {
		grown := make([]byte, size, min(size+size/4, p.limit))
		copy(grown, p.mem)
		p.mem = grown
	}
	p.mem = p.mem[:max(size, len(p.mem))]
	return p.mem[:size:size]
}

func (p *plain) written(spans []span, size int) []span { return append(spans, span{0, size}) }

func (p *plain) watch() {}

func (p *plain) unwatch() bool { return true }

func (p *plain) tidy(int) bool { return false }

func (p *plain) renew() {
	n := copy(p.mem, p.snapshot)
	clear(p.mem[n:])
}

func (p *plain) settle([]span) bool { return false }

func (p *plain) close() { p.mem = nil }
