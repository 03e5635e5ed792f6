package rtd

// buffer is memory for bytes that are soon over. It exists from the start and is
// wiped after each event, so that an idle process does not differ by it from a new
// one.
type buffer struct {
	bytes [4096]byte
	used  int
}

func (b *buffer) use(n int) { b.used = max(b.used, min(n, len(b.bytes))) }

func (b *buffer) wipe() {
	clear(b.bytes[:b.used])
	b.used = 0
}

var (
	outgoing buffer // for the record that goes out
	answers  buffer // for the answers of the host
)
