package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// anything is what stands for any value, or as a key for any further keys.
const anything = "*"

// compare returns nil if a payload is as expected, or else lines that show the difference.
func compare(want, got []byte) []string {
	var w, g any
	if err := decode(want, &w); err != nil {
		return []string{"expected payload is no JSON: " + err.Error()}
	}
	if err := decode(got, &g); err != nil {
		return []string{"- " + string(want), "+ " + string(got)}
	}
	if matches(w, g) {
		return nil
	}
	return diff(pretty(filled(w, g)), pretty(g))
}

func decode(text []byte, into *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// matches compares JSON values, of which the first may have wildcards.
func matches(want, got any) bool {
	switch w := want.(type) {
	case string:
		return w == anything || got == want
	case json.Number:
		g, ok := got.(json.Number)
		return ok && sameNumber(w, g)
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, matches)
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range w {
			if _, has := g[key]; key != anything && (!has || !matches(value, g[key])) {
				return false
			}
		}
		_, open := w[anything]
		return open || len(g) == len(w)
	}
	return want == got // null, true, false
}

// sameNumber compares numbers as doubles, as most clients read them, unless they are the same text.
func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, err := a.Float64()
	y, err2 := b.Float64()
	return err == nil && err2 == nil && x == y
}

// filled is want with what its wildcards stand for, so that they are no differences.
func filled(want, got any) any {
	switch w := want.(type) {
	case string:
		if w == anything {
			return got
		}
	case []any:
		g, ok := got.([]any)
		if !ok {
			return want
		}
		list := slices.Clone(w)
		for i := range min(len(w), len(g)) {
			list[i] = filled(w[i], g[i])
		}
		return list
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return want
		}
		object := map[string]any{}
		if _, open := w[anything]; open {
			maps.Copy(object, g)
		}
		for key, value := range w {
			if key != anything {
				object[key] = value
				if has, ok := g[key]; ok {
					object[key] = filled(value, has)
				}
			}
		}
		return object
	}
	return want
}

// pretty writes a value with sorted keys, a line for each member.
func pretty(v any) []string {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // it was decoded from JSON
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// maxDiff bounds the work of diff, whose memory is the product of the numbers of lines.
const maxDiff = 1000

// diff shows lines that only one of two texts has: "-" the first, "+" the second.
func diff(a, b []string) []string {
	if len(a) > maxDiff || len(b) > maxDiff {
		return []string{fmt.Sprintf("- %d lines", len(a)), fmt.Sprintf("+ %d lines, too many to compare", len(b))}
	}
	// common[i][j] is how many lines a[i:] and b[j:] have in common.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
