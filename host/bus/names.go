package bus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Bounds of names, in bytes. Subjects beyond 4 KiB break the connection.
const (
	maxName  = 64
	maxKey   = 1024
	maxToken = 255
)

// plain reports whether a letter stands for itself in a token.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

func checkName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: %.80q has %d bytes, and it must be 1 to %d", ErrName, name, len(name), maxName)
	}
	for i := range len(name) {
		if !plain(name[i]) {
			return fmt.Errorf("%w: %q may have letters, digits, - and _", ErrName, name)
		}
	}
	return nil
}

// checkKey checks a key or a subject: tokens with dots between them.
func checkKey(key string) error {
	if len(key) > maxKey {
		return fmt.Errorf("%w: %.80q has %d bytes, and at most %d are possible", ErrName, key, len(key), maxKey)
	}
	for token := range strings.SplitSeq(key, ".") {
		if token == "" {
			return fmt.Errorf("%w: %q has an empty token", ErrName, key)
		}
		for i := range len(token) {
			if !plain(token[i]) && token[i] != '=' {
				return fmt.Errorf("%w: %q; make tokens of other texts with Token", ErrName, key)
			}
		}
	}
	return nil
}

// Token makes any text one token of a key or subject. Letters, digits, - and _ stand for themselves, other bytes are =HH. Of
// a text that is too long for that it is a hash; so the text belongs into the value, too. Different texts have different tokens.
func Token(text string) string {
	const digits = "0123456789ABCDEF"
	out := make([]byte, 0, min(len(text)+8, maxToken))
	for i := 0; i < len(text) && len(out) <= maxToken; i++ {
		if c := text[i]; plain(c) {
			out = append(out, c)
		} else {
			out = append(out, '=', digits[c>>4], digits[c&15])
		}
	}
	switch {
	case len(out) > maxToken:
		sum := sha256.Sum256([]byte(text))
		return "=h" + hex.EncodeToString(sum[:])
	case len(out) == 0:
		return "=e"
	}
	return string(out)
}

// checkPattern checks a subject with wildcards.
func checkPattern(pattern string) error {
	whole := strings.TrimSuffix(pattern, ".>")
	if pattern == ">" {
		whole = "*"
	}
	tokens := strings.Split(whole, ".")
	for i, token := range tokens {
		if token == "*" {
			tokens[i] = "x"
		}
	}
	return checkKey(strings.Join(tokens, "."))
}
