package author

// DebianIs puts Debian's tools elsewhere, until the returned function is called.
func DebianIs(dir string) (back func()) {
	before := debian
	debian = dir
	return func() { debian = before }
}
