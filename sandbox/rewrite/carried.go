package rewrite

// carried finds the locals that an innermost loop carries from one iteration to the next: those that are set in it, and
// read in it before they are set. See the rationale in doc.go for their use: a wrong answer costs time and nothing else, so
// it is found in passing, for the first 64 locals, and without a look at the code behind the loop.
type carried struct {
	loop int      // its frame, or 0 if none is open that has no other in it
	set  localSet // somewhere in the loop
	sure localSet // on every way from the header to here; all where no way leads
	read localSet // on some way before they are set
}

// localSet is a set of locals, of the first 64.
type localSet uint64

const allLocals = ^localSet(0)

func single(local uint32) localSet { return 1 << local } // empty from 64 on

// begin comes at a loop's header. Others that are open are not innermost.
func (c *carried) begin(frame int) { *c = carried{loop: frame} }

func (c *carried) local(op byte, local uint32) {
	if op == opLocalGet {
		c.read |= single(local) &^ c.sure
		return
	}
	c.set |= single(local)
	c.sure |= single(local)
}

// open comes at a block or an if, whose frame is f.
func (c *carried) open(f *frame, op byte) {
	f.sure, f.otherwise = allLocals, allLocals
	if op == opIf {
		f.otherwise = c.sure
	}
}

// otherwise comes at an else.
func (c *carried) otherwise(f *frame) {
	f.sure &= c.sure
	c.sure, f.otherwise = f.otherwise, allLocals
}

// branch comes where one leads to the end of f, which is in the loop.
func (c *carried) branch(f *frame) { f.sure &= c.sure }

// leave comes where the code does not go on.
func (c *carried) leave() { c.sure = allLocals }

// close comes at the end of f, which is in the loop.
func (c *carried) close(f *frame) { c.sure &= f.sure & f.otherwise }

// end comes at the loop's end.
func (c *carried) end() localSet {
	locals := c.set & c.read
	c.loop = 0
	return locals
}
