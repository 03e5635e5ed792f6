//go:build race

package host_test

// The race detector makes the host ten times slower, guests' starts most of all.
const raced = true
