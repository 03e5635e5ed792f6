package bench

// What the fuzz tests reach: the decoders of what a server sends.

var ReadFrame = readFrame

// Parse returns how many messages a text has.
func Parse(p Protocol, text []byte) (n int, err error) {
	spoken, err := newProtocol(p)
	if err != nil {
		return 0, err
	}
	err = spoken.parse(text, func(message) { n++ })
	return n, err
}

// FindStamp says whether a payload is recognised as a message of run 1.
func FindStamp(payload []byte) bool {
	_, ok := bodies{run: 1, size: MinBody}.find(payload)
	return ok
}
