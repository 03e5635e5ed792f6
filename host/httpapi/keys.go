package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Keys are secrets, any of which lets a request through. The zero value lets none through.
type Keys struct {
	sums [][sha256.Size]byte
}

// NewKeys returns keys of these values.
func NewKeys(values []string) (k Keys) {
	for _, value := range values {
		k.sums = append(k.sums, sha256.Sum256([]byte(value)))
	}
	return k
}

// Known reports whether a request carries one of the keys as a bearer token.
func (k Keys) Known(r *http.Request) bool {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	known := 0
	for _, s := range k.sums {
		known |= subtle.ConstantTimeCompare(s[:], sum[:])
	}
	return known == 1 && strings.EqualFold(scheme, "Bearer")
}
