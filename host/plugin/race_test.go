//go:build race

package plugin_test

// The race detector makes the host ten times slower.
const raced = true
