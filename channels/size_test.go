package channels

import (
	"testing"
	"unsafe"

	"rtd/supervisor"
)

// There may be a million of these. Go keeps objects in sizes such as 112, 160 and 480: one byte
// more takes sixteen or thirty-two.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return // of other machines, where they are smaller
	}
	for _, o := range []struct {
		name       string
		size, most uintptr
	}{
		{"Channel", unsafe.Sizeof(Channel{}), 480},
		{"linger", unsafe.Sizeof(linger{}), 128},
		{"Socket", unsafe.Sizeof(Socket{}), 160},
		{"supervisor.Process", unsafe.Sizeof(supervisor.Process{}), 112},
	} {
		if o.size > o.most {
			t.Errorf("a %s has %d bytes, more than %d", o.name, o.size, o.most)
		}
	}
}
