package presence

// page has some people who came one after the other, and their text. A change makes the
// text of one page stale, so that a list of thousands, of whom some have changed, is
// mostly copied.
//
// A page is guarded as its roster. A reader of the list also makes the text, with the
// shard locked for reading: the mutex of lists keeps readers apart.
type page struct {
	first, last *person // with all that are between them in the roster
	people      int
	text        []byte // `"key":{"metas":[…]}` of each, with commas; nil if stale
	size        int    // of the last text
}

// pageSize is how many people come into one page. People who leave make no room in it: a
// page shrinks, until it is empty and gone.
const pageSize = 64

// add appends p, who is the last of the roster.
func (g *page) add(p *person) {
	if g.people == 0 {
		g.first = p
	}
	g.last, p.page = p, g
	g.people++
}

// remove takes p out. It is called while p is still linked with its neighbours.
func (g *page) remove(p *person) {
	g.people--
	if g.first == p {
		g.first = p.next
	}
	if g.last == p {
		g.last = p.prev
	}
}

// read returns the text, which never changes.
func (g *page) read() []byte {
	if g.text != nil {
		return g.text
	}
	const slack = 128 // for another meta or two
	b := make([]byte, 0, g.size+slack)
	for p := g.first; ; p = p.next {
		b = appendString(b, p.key)
		b = append(b, ':')
		b = p.append(b)
		if p == g.last {
			break
		}
		b = append(b, ',')
	}
	g.text, g.size = b, len(b)
	return b
}
