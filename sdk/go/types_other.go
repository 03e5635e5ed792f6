//go:build !wasip1

package rtd

func learnTypes() {}
