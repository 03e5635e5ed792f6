//go:build !unix

package bus

import (
	"fmt"
	"os"
)

// lockFile opens a file. Here nothing keeps a second process from doing so.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock folder: %w", err)
	}
	return f, nil
}
