package host

import (
	"fmt"

	"rtd/host/auth"
)

// minKey is how many bytes a key of back ends or for administering must have: fewer can be guessed.
const minKey = 16

// secrets reads the keys of the config, wherever they are.
func secrets(entries []string) (values []string, err error) {
	for i, entry := range entries {
		secret, err := auth.ParseSecret(entry)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		if len(secret.Reveal()) < minKey {
			return nil, fmt.Errorf("entry %d has less than %d bytes; make one with: openssl rand -base64 24", i+1, minKey)
		}
		values = append(values, secret.Reveal())
	}
	return values, nil
}
