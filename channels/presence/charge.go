package presence

// Payer accounts for bytes that are kept for a plugin. Keep counts bytes if there is room
// for them, and says whether there was; Give gives them back. Neither may block nor call
// back: callers hold locks.
type Payer interface {
	Keep(bytes int) bool
	Give(bytes int)
}

// charge counts the bytes that a payer keeps for one entry, also while it lingers or is
// aside: its topic, its key, its meta, and entrySize besides.
type charge struct {
	payer Payer // nil for none
	bytes int
}

// entrySize is counted for an entry besides its texts, so that a million small entries
// are not free. It is not exact: an entry takes some 450 bytes.
const entrySize = 128

// chargeOf returns the charge for an entry of an owner. It is not counted yet.
func (t *Tracker) chargeOf(owner any, topic, key string, members []byte) charge {
	c := charge{bytes: entrySize + len(topic) + len(key) + len(members)}
	if t.opts.Payer != nil {
		c.payer = t.opts.Payer(owner)
	}
	return c
}

// become counts c in place of the former charge. Only the difference needs room.
func (was *charge) become(c charge) error {
	more := c.bytes
	if was.payer == c.payer {
		more -= was.bytes
	}
	switch {
	case c.payer == nil:
	case more <= 0:
		c.payer.Give(-more)
	case !c.payer.Keep(more):
		return ErrNoRoom
	}
	if was.payer != c.payer {
		was.give()
	}
	*was = c
	return nil
}

// give ends the account, once.
func (c *charge) give() {
	if c.payer != nil {
		c.payer.Give(c.bytes)
	}
	*c = charge{}
}
