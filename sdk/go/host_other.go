//go:build !wasip1

package rtd

// op reaches the host only inside of one. Elsewhere, where a plugin's package
// is compiled for go vet or its unit tests, a test can put its own in place.
var op = func(record, out []byte) int32 {
	panic("rtd: effects need a server around them; build with GOOS=wasip1 GOARCH=wasm")
}
