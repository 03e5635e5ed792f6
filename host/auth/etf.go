package auth

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Tags of the Erlang external term format, as
// https://www.erlang.org/doc/apps/erts/erl_ext_dist.html has them.
const (
	etfVersion       = 131
	etfNewFloat      = 70
	etfCompressed    = 80
	etfSmallInteger  = 97
	etfInteger       = 98
	etfAtom          = 100 // Latin-1, as OTP wrote them before version 26
	etfSmallTuple    = 104
	etfLargeTuple    = 105
	etfNil           = 106
	etfString        = 107 // a list of bytes
	etfList          = 108
	etfBinary        = 109
	etfSmallBig      = 110
	etfLargeBig      = 111
	etfSmallAtom     = 115
	etfMap           = 116
	etfAtomUTF8      = 118
	etfSmallAtomUTF8 = 119
)

const (
	maxTermDepth = 64
	maxBig       = 1024 // bytes of an integer
	maxAtom      = 255  // characters
)

var errTruncated = errors.New("it ends too early")

// Terms that Go has no type for.
type (
	atom  string
	tuple []any
)

// decodeTerm decodes one term as values that encode as JSON: int64, *big.Int, float64,
// string (a binary), nil, bool, atom, tuple, []any and map[string]any. What it allocates is
// bounded by a small multiple of the bytes given.
func decodeTerm(data []byte) (any, error) {
	d := &termDecoder{rest: data}
	if version, err := d.byte(); err != nil || version != etfVersion {
		return nil, errors.New("it is no external term")
	}
	term, err := d.term(0)
	if err == nil && len(d.rest) > 0 {
		err = errors.New("there are bytes behind it")
	}
	return term, err
}

type termDecoder struct {
	rest []byte
}

func (d *termDecoder) term(depth int) (any, error) {
	if depth > maxTermDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", maxTermDepth)
	}
	tag, err := d.byte()
	if err != nil {
		return nil, err
	}
	switch tag {
	case etfSmallInteger:
		n, err := d.number(1)
		return int64(n), err
	case etfInteger:
		n, err := d.number(4)
		return int64(int32(n)), err
	case etfSmallBig:
		return d.big(1)
	case etfLargeBig:
		return d.big(4)
	case etfNewFloat:
		return d.float()
	case etfBinary:
		data, err := d.sized(4)
		return text(data), err
	case etfAtom, etfSmallAtom, etfAtomUTF8, etfSmallAtomUTF8:
		return d.atom(tag)
	case etfSmallTuple:
		items, err := d.terms(1, depth)
		return tuple(items), err
	case etfLargeTuple:
		items, err := d.terms(4, depth)
		return tuple(items), err
	case etfNil:
		return []any{}, nil
	case etfString:
		return d.bytes()
	case etfList:
		return d.list(depth)
	case etfMap:
		return d.pairs(depth)
	case etfCompressed:
		return nil, errors.New("it is compressed")
	}
	return nil, fmt.Errorf("it has a term with tag %d, such as of a fun, pid, reference or port; only numbers, "+
		"binaries, atoms, tuples, lists and maps are taken", tag)
}

// take returns the next n bytes, which are not copied.
func (d *termDecoder) take(n uint32) ([]byte, error) {
	if uint64(n) > uint64(len(d.rest)) {
		return nil, errTruncated
	}
	data := d.rest[:n]
	d.rest = d.rest[n:]
	return data, nil
}

func (d *termDecoder) byte() (byte, error) {
	data, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return data[0], nil
}

// number returns an unsigned integer of 1, 2 or 4 bytes.
func (d *termDecoder) number(size uint32) (uint32, error) {
	data, err := d.take(size)
	var n uint32
	for _, b := range data {
		n = n<<8 | uint32(b)
	}
	return n, err
}

// sized returns as many bytes as a number of the given size in front of them says.
func (d *termDecoder) sized(size uint32) ([]byte, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

func (d *termDecoder) big(size uint32) (any, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	if n > maxBig {
		return nil, fmt.Errorf("it has an integer of more than %d bytes", maxBig)
	}
	data, err := d.take(n + 1)
	if err != nil {
		return nil, err
	}
	digits := slices.Clone(data[1:])
	slices.Reverse(digits)
	value := new(big.Int).SetBytes(digits)
	if data[0] != 0 {
		value.Neg(value)
	}
	if value.IsInt64() {
		return value.Int64(), nil
	}
	return value, nil
}

func (d *termDecoder) float() (any, error) {
	data, err := d.take(8)
	if err != nil {
		return nil, err
	}
	value := math.Float64frombits(binary.BigEndian.Uint64(data))
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil, errors.New("it has a float that is no number")
	}
	return value, nil
}

func (d *termDecoder) atom(tag byte) (any, error) {
	size := uint32(2)
	if tag == etfSmallAtom || tag == etfSmallAtomUTF8 {
		size = 1
	}
	data, err := d.sized(size)
	if err != nil {
		return nil, err
	}
	name := string(data)
	if tag == etfAtom || tag == etfSmallAtom {
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		name = string(runes)
	}
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxAtom {
		return nil, errors.New("it has an atom that is none")
	}
	switch name {
	case "nil":
		return nil, nil
	case "true", "false":
		return name == "true", nil
	}
	return atom(name), nil
}

// terms returns as many terms as a number in front of them says.
func (d *termDecoder) terms(size uint32, depth int) ([]any, error) {
	n, err := d.number(size)
	if err != nil {
		return nil, err
	}
	if uint64(n) > uint64(len(d.rest)) { // each has a byte at least
		return nil, errTruncated
	}
	items := make([]any, n)
	for i := range items {
		if items[i], err = d.term(depth + 1); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func (d *termDecoder) list(depth int) (any, error) {
	items, err := d.terms(4, depth)
	if err != nil {
		return nil, err
	}
	if tail, err := d.byte(); err != nil || tail != etfNil {
		return nil, errors.New("it has an improper list")
	}
	return items, nil
}

// bytes returns a list of small integers, which Erlang packs.
func (d *termDecoder) bytes() (any, error) {
	data, err := d.sized(2)
	if err != nil {
		return nil, err
	}
	items := make([]any, len(data))
	for i, b := range data {
		items[i] = int64(b)
	}
	return items, nil
}

func (d *termDecoder) pairs(depth int) (any, error) {
	n, err := d.number(4)
	if err != nil {
		return nil, err
	}
	if uint64(n)*2 > uint64(len(d.rest)) {
		return nil, errTruncated
	}
	pairs := make(map[string]any, n)
	for range n {
		term, err := d.term(depth + 1)
		if err != nil {
			return nil, err
		}
		name, err := keyText(term)
		if err != nil {
			return nil, err
		}
		if _, twice := pairs[name]; twice {
			return nil, errors.New("it has a map with two keys that are one in JSON")
		}
		if pairs[name], err = d.term(depth + 1); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// keyText says a map's key as text.
func keyText(term any) (string, error) {
	switch key := term.(type) {
	case string:
		return key, nil
	case atom:
		return string(key), nil
	case int64:
		return strconv.FormatInt(key, 10), nil
	case *big.Int:
		return key.String(), nil
	case nil:
		return "nil", nil
	case bool:
		return strconv.FormatBool(key), nil
	}
	return "", errors.New("it has a map with a key that is no binary, atom or integer")
}

// text says a binary as JSON can.
func text(data []byte) string {
	if utf8.Valid(data) {
		return string(data)
	}
	return base64.StdEncoding.EncodeToString(data)
}
