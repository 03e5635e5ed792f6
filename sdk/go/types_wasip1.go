package rtd

import (
	"runtime"
	"strings"
	"unsafe"
)

// learnTypes has encoding/json, if the plugin uses it, look at the structs that the plugin may decode into. It does so
// once for each type, by reflection, and remembers: in the first event of each instance that takes as
// long as all the rest of a join, unless it was done before the snapshot.
//
// The program lists the types of the pointers that are converted to an interface, as the argument of json.Unmarshal is;
// those of package main and those without a name are taken. {} is decoded into each, which sets no field. Types with
// methods are left out, so that no code of the plugin runs. If a later version of Go has
// other lists, nothing happens: each instance learns for itself.
func learnTypes() {
	type probe struct{ _, _, _ int }
	known := any((*probe)(nil))
	p := *(**goType)(unsafe.Pointer(&known))
	if !p.pointsToStruct() || p.elem.size != unsafe.Sizeof(probe{}) {
		return
	}
	unmarshal := unmarshaler()
	if unmarshal == nil {
		return
	}
	sections, offsets := typelinks()
	for n, section := range sections {
		for _, offset := range offsets[n] {
			t := (*goType)(unsafe.Add(section, offset))
			if t.pointsToStruct() && t.flags&hasMethods == 0 && t.ofPlugin() {
				unmarshal([]byte("{}"), t.pointer()) // whatever it says
			}
		}
	}
}

// unmarshaler is json.Unmarshal, or nil if it is not in the program. To import it would put it in all.
func unmarshaler() func([]byte, any) error {
	const next = 1 << 16 // from one function to the next
	here, _, _, _ := runtime.Caller(0)
	for _, step := range []uintptr{next, ^uintptr(next) + 1} {
		for at := here; ; at += step {
			f := runtime.FuncForPC(at)
			if f == nil {
				break
			}
			if f.Name() == "encoding/json.Unmarshal" {
				code := &struct{ entry uintptr }{f.Entry()}
				return *(*func([]byte, any) error)(unsafe.Pointer(&code))
			}
		}
	}
	return nil
}

// goType is how the runtime describes the type of a pointer, and as far as size and kind any other (internal/abi.Type).
type goType struct {
	size, _     uintptr
	hash        uint32
	flags       uint8
	_, _        uint8
	kind        uint8
	equal, mask unsafe.Pointer
	name        int32
	toThis      int32
	elem        *goType
}

const (
	hasMethods  = 1 << 0
	kindMask    = 1<<5 - 1
	kindPointer = 22
	kindStruct  = 25
)

func (t *goType) pointsToStruct() bool {
	return t.kind&kindMask == kindPointer && t.elem.kind&kindMask == kindStruct
}

// ofPlugin says whether the struct is of package main or has no name.
func (t *goType) ofPlugin() bool {
	name := (*[1 << 10]byte)(resolveNameOff(unsafe.Pointer(t), t.name)) // flags, the length as a varint, and the text
	from, length := 2, int(name[1])
	if length >= 1<<7 {
		from, length = 3, 1<<7
	}
	text := strings.TrimLeft(unsafe.String(&name[from], length), "*")
	return strings.HasPrefix(text, "main.") || strings.HasPrefix(text, "struct {")
}

// pointer is one to a zero value. Nothing is written there, so the collector need not look.
func (t *goType) pointer() (v any) {
	room := make([]uint64, t.elem.size/8+1)
	*(*[2]unsafe.Pointer)(unsafe.Pointer(&v)) = [2]unsafe.Pointer{unsafe.Pointer(t), unsafe.Pointer(&room[0])}
	return v
}

//go:linkname typelinks reflect.typelinks
func typelinks() (sections []unsafe.Pointer, offsets [][]int32)

//go:linkname resolveNameOff reflect.resolveNameOff
func resolveNameOff(inModule unsafe.Pointer, offset int32) unsafe.Pointer
