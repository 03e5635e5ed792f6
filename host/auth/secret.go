package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

const byteOrderMark = "\ufeff"

// maxSecret bounds the size of a secret, in bytes.
const maxSecret = 64 << 10

// Secret is a value that does not show itself: printed in whatever way, logged or
// encoded as JSON it is "[secret]". The zero Secret is none. A Secret can be copied.
type Secret struct {
	// Behind a pointer, as package fmt does not ask methods of what is in an unexported
	// field or printed with %p.
	value *string
}

// ParseSecret returns the secret that text stands for:
//
//	env:NAME     the environment variable NAME, without line ends behind it
//	file:PATH    the content of a file in UTF-8, without white space around it
//	other text   itself
//
// A byte order mark in front, as some editors write it, does not count. The value is read
// now, once. It may not be empty. Errors name the variable or the file, and never the
// value.
func ParseSecret(text string) (Secret, error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, set := os.LookupEnv(name)
		if !set {
			return Secret{}, fmt.Errorf("environment variable %q is not set; export it before the start", name)
		}
		value = strings.TrimRight(strings.TrimPrefix(value, byteOrderMark), "\r\n")
		if value == "" {
			return Secret{}, fmt.Errorf("environment variable %q is empty; expected the secret", name)
		}
		return Secret{&value}, nil
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		data, err := readFile(path, maxSecret)
		if err != nil {
			return Secret{}, fmt.Errorf("read secret: %w", err)
		}
		value := strings.TrimSpace(string(data))
		if value == "" {
			return Secret{}, fmt.Errorf("read secret: %s is empty; expected the secret", path)
		}
		return Secret{&value}, nil
	}
	if text == "" {
		return Secret{}, errors.New("secret is empty; expected the secret, env:NAME or file:PATH")
	}
	return Secret{&text}, nil
}

// readFile reads a regular file of at most limit bytes, without the byte order mark that
// some editors write.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s is in UTF-16; save it as UTF-8", path)
	}
	return bytes.TrimPrefix(data, []byte(byteOrderMark)), nil
}

// Reveal returns the value, "" for none.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

const hidden = "[secret]"

// String returns "[secret]", or "" if there is none.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return hidden
}

// Format keeps verbs such as %d from looking inside.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue is for package slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is for JSON and TOML. It does not give the secret away, so there is no
// way back.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseSecret] for decoders of config files.
func (s *Secret) UnmarshalText(text []byte) error {
	parsed, err := ParseSecret(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
