package main

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	rtd "rtd/sdk/go"
)

// words is an Agent that counts how often each word was said. Its map is in one
// process only; all others reach it with the functions below.
var words = rtd.NewAgent("words", func([]byte) (map[string]int, error) { return map[string]int{}, nil })

var countWords = words.Update("count", func(counts *map[string]int, text []byte) {
	for word := range strings.FieldsSeq(strings.ToLower(string(text))) {
		(*counts)[word]++
	}
})

var topWords = words.Get("top", func(counts map[string]int, _ []byte) []byte {
	all := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	var top []string
	for _, word := range all[:min(3, len(all))] {
		top = append(top, word+" "+strconv.Itoa(counts[word])+"×")
	}
	return []byte(strings.Join(top, ", "))
})
