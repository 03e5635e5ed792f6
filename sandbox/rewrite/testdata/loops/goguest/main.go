// The loops of the benchmark in Go. The test builds it: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

var seed uint32 = 1

func next() uint32 {
	seed = seed*1664525 + 1013904223
	return seed
}

//go:wasmexport sort
func sortNumbers(n uint32) (sum uint32) {
	v := make([]uint32, 4096)
	for range n {
		for i := range v {
			v[i] = next()
		}
		slices.Sort(v)
		sum += v[2048]
	}
	return sum
}

//go:wasmexport sieve
func sieve(n uint32) (primes uint32) {
	composite := make([]bool, 1<<16)
	for range n {
		clear(composite)
		for i := 2; i < len(composite); i++ {
			if composite[i] {
				continue
			}
			primes++
			for j := i + i; j < len(composite); j += i {
				composite[j] = true
			}
		}
	}
	return primes
}

//go:wasmexport matrix
func matrix(n uint32) uint32 {
	var a, b, c [48][48]float64
	for i := range a {
		for j := range a {
			a[i][j], b[i][j] = float64(i+j), float64(i-j)
		}
	}
	for range n {
		for i := range a {
			for j := range a {
				sum := 0.0
				for k := range a {
					sum += a[i][k] * b[k][j]
				}
				c[i][j] = sum
			}
		}
	}
	return uint32(int32(c[7][9]))
}

type payload struct {
	Name     string   `json:"name"`
	Count    int      `json:"count"`
	Messages []string `json:"messages"`
}

//go:wasmexport json
func parse(n uint32) (sum uint32) {
	text := []byte(`{"name":"Ada","count":12345,"messages":["hello","a \"quoted\" word","third"]}`)
	for range n {
		var p payload
		if err := json.Unmarshal(text, &p); err != nil {
			panic(err)
		}
		sum += uint32(p.Count + len(p.Messages))
	}
	return sum
}

//go:wasmexport map
func count(n uint32) (sum uint32) {
	for range n {
		m := make(map[uint32]uint32)
		for range 4096 {
			m[next()%512]++
		}
		sum += m[7]
	}
	return sum
}

//go:wasmexport text
func text(n uint32) (sum uint32) {
	for i := range n {
		s := fmt.Sprintf(`{"name":"Ada","count":%d,"of":[%d, %d]}`, i, i*3, i*7)
		for part := range strings.SplitSeq(s, ",") {
			sum += uint32(len(strings.TrimSpace(part)))
		}
	}
	return sum
}

func main() {}
