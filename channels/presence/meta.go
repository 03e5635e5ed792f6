package presence

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// membersOf returns the text between the braces of a JSON object, without the members
// that a tracked meta gets: a handler may have taken the meta from a list. The rest stays
// as it is. The result may share meta's memory.
func membersOf(meta []byte) ([]byte, error) {
	meta = bytes.Trim(meta, jsonSpace)
	if len(meta) == 0 || meta[0] != '{' || !utf8.Valid(meta) || !json.Valid(meta) {
		return nil, ErrMeta
	}
	if bytes.Contains(meta, []byte("phx_ref")) || bytes.IndexByte(meta, '\\') >= 0 {
		return withoutRefs(meta)
	}
	return bytes.Trim(meta[1:len(meta)-1], jsonSpace), nil
}

func withoutRefs(object []byte) ([]byte, error) {
	var kept []byte
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return nil, ErrMeta
	}
	for d.More() {
		start := d.InputOffset()
		key, err := d.Token()
		if err != nil {
			return nil, ErrMeta
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, ErrMeta
		}
		if key == "phx_ref" || key == "phx_ref_prev" {
			continue
		}
		if len(kept) > 0 {
			kept = append(kept, ',')
		}
		kept = append(kept, bytes.TrimLeft(object[start:d.InputOffset()], jsonSpace+",")...)
	}
	return kept, nil
}

// withRefs makes an object of members, with the ref of the meta and, unless that is
// empty, the ref of the replaced one.
func withRefs(members []byte, ref, prev string) []byte {
	size := len(members) + len(`{,"phx_ref":""}`) + len(ref)
	if prev != "" {
		size += len(`,"phx_ref_prev":""`) + len(prev)
	}
	b := make([]byte, 0, size)
	b = append(b, '{')
	b = append(b, members...)
	if len(members) > 0 {
		b = append(b, ',')
	}
	b = append(b, `"phx_ref":"`...)
	b = append(b, ref...)
	if prev != "" {
		b = append(b, `","phx_ref_prev":"`...)
		b = append(b, prev...)
	}
	return append(b, `"}`...)
}

// hasMembers reports whether withRefs has made an object of these members.
func hasMembers(object, members []byte, ref string) bool {
	rest, ok := bytes.CutPrefix(object[1:], members)
	if ok && len(members) > 0 {
		rest, ok = bytes.CutPrefix(rest, []byte{','})
	}
	return ok && bytes.HasPrefix(rest, []byte(`"phx_ref":"`+ref+`"`))
}

// appendString appends s, which is valid UTF-8, as a JSON string.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		if c < ' ' {
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		} else {
			b = append(b, '\\', c)
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

const jsonSpace = " \t\r\n"
