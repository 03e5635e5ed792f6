package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one key of a set, as RFC 7517 and section 6 of RFC 7518 have it.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`

	Curve   string          `json:"crv"`
	X       string          `json:"x"`
	Y       string          `json:"y"`
	N       string          `json:"n"`
	E       string          `json:"e"`
	Private json.RawMessage `json:"d"`
	Shared  json.RawMessage `json:"k"`
}

// parseJWKS returns the keys of a set that can verify one of the algorithms, and why
// others are left out. The set may be hostile, but for its size. One bad key does not
// spoil the others: issuers publish new kinds of keys besides the old.
func parseJWKS(data []byte, algorithms []string) (keySet, []error, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, fmt.Errorf("parse JWKS: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New(`parse JWKS: there is no "keys"; expected {"keys": [...]}`)
	}
	if len(set.Keys) > maxSet {
		return nil, nil, fmt.Errorf("parse JWKS: it has %d keys, expected at most %d", len(set.Keys), maxSet)
	}
	var keys keySet
	var ignored []error
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err == nil {
			k.algorithms = slices.DeleteFunc(k.algorithms, func(a string) bool { return !slices.Contains(algorithms, a) })
			if len(k.algorithms) == 0 {
				err = errors.New("none of its algorithms is allowed")
			}
		}
		if err != nil {
			ignored = append(ignored, fmt.Errorf("key %d of %d: %w", i+1, len(set.Keys), err))
			continue
		}
		keys = append(keys, k)
	}
	return keys, ignored, nil
}

func parseJWK(data []byte) (key, error) {
	var j jwk
	if err := json.Unmarshal(data, &j); err != nil {
		return key{}, errors.New("it is malformed") // the cause may quote the key
	}
	switch {
	case j.Private != nil:
		return key{}, errors.New("it is private; take it off there, who can read the set can sign with it")
	case j.Type == "oct" || j.Shared != nil:
		return key{}, errors.New("it is a shared secret, which does not belong in a key set; set it as a key of its own")
	case j.Use != "" && j.Use != "sig", j.Operations != nil && !slices.Contains(j.Operations, "verify"):
		return key{}, errors.New("it is not for signatures")
	case len(j.ID) > maxKeyID:
		return key{}, fmt.Errorf("its id has more than %d bytes", maxKeyID)
	}
	var material any
	var err error
	switch j.Type {
	case "RSA":
		material, err = j.rsa()
	case "EC":
		material, err = j.ec()
	default:
		err = errors.New("its type is not supported; expected RSA or EC")
	}
	if err != nil {
		return key{}, err
	}
	algorithms, err := algorithmsOf(material)
	if err != nil {
		return key{}, err
	}
	if j.Algorithm != "" {
		if !slices.Contains(algorithms, j.Algorithm) {
			return key{}, errors.New("it is of another type than its algorithm")
		}
		algorithms = []string{j.Algorithm}
	}
	return key{j.ID, algorithms, material}, nil
}

func (j jwk) rsa() (*rsa.PublicKey, error) {
	n, err1 := segment(j.N)
	e, err2 := segment(j.E)
	if err := errors.Join(err1, err2); err != nil || len(e) > 4 {
		return nil, errors.New("n or e is malformed")
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent > 1<<31-1 {
		return nil, errors.New("e is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

func (j jwk) ec() (*ecdsa.PublicKey, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve := curves[j.Curve]
	if curve == nil {
		return nil, errors.New("its curve is not supported; expected P-256, P-384 or P-521")
	}
	x, err1 := segment(j.X)
	y, err2 := segment(j.Y)
	size := (curve.Params().BitSize + 7) / 8
	if err := errors.Join(err1, err2); err != nil || len(x) != size || len(y) != size {
		return nil, errors.New("x or y is malformed")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("x and y are no point of the curve")
	}
	return public, nil
}

// segment decodes base64url without padding, in its only spelling.
func segment(text string) ([]byte, error) {
	return base64.RawURLEncoding.Strict().DecodeString(text)
}
