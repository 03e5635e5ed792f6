//go:build !wasip1

package rtd

import "math/rand/v2"

func reseed() {}

func runtimeRand() uint64 { return rand.Uint64() }
