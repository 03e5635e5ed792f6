package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxKeyID  = 256 // bytes of a kid
	maxSet    = 64  // keys of one JWKS: without a kid, all that fit are tried
	minRSA    = 2048
	maxRSA    = 8192 // bits; the work to verify grows with the square
	minSecret = 32   // bytes, as RFC 7518, section 3.2 has it for HS256
)

// Key verifies JWTs.
type Key struct {
	// ID is the kid of the tokens that it is for. "": it is tried for any token whose
	// kid names no other key.
	ID string

	// Value is a public key of RSA or of the curve P-256, P-384 or P-521 as PEM text
	// (-----BEGIN PUBLIC KEY-----), or any other text, which is then the shared secret
	// for HS256 (at least 32 bytes), HS384 (48) and HS512 (64).
	Value Secret
}

// key is material that is bound to the algorithms it may verify. An algorithm is
// never chosen by the token alone: a public key that is used as a secret is the
// classical way to forge one.
type key struct {
	id         string
	algorithms []string
	material   any // []byte, *rsa.PublicKey or *ecdsa.PublicKey
}

func (k Key) parse() (key, error) {
	if len(k.ID) > maxKeyID {
		return key{}, fmt.Errorf("its id has more than %d bytes", maxKeyID)
	}
	text := k.Value.Reveal()
	var material any = []byte(text)
	if strings.Contains(text, "-----BEGIN") {
		public, err := parsePEM(text)
		if err != nil {
			return key{}, err
		}
		material = public
	}
	algorithms, err := algorithmsOf(material)
	return key{k.ID, algorithms, material}, err
}

func parsePEM(text string) (any, error) {
	const want = "expected a PUBLIC KEY; get one with: openssl pkey -pubout, or for a certificate: openssl x509 -noout -pubkey"
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("it is not PEM; " + want)
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("it is a PEM of type %q; %s", block.Type, want)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	return public, nil
}

// algorithmsOf returns the algorithms of a key, or an error if there are none.
func algorithmsOf(material any) ([]string, error) {
	switch k := material.(type) {
	case []byte:
		if len(k) < minSecret {
			return nil, fmt.Errorf("the secret has %d bytes, expected at least %d; make one with: openssl rand -hex 32",
				len(k), minSecret)
		}
		sizes := []string{"HS256", "HS384", "HS512"} // for 32, 48 and 64 bytes
		return sizes[:min(len(k)/16-1, len(sizes))], nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return nil, fmt.Errorf("the RSA key has %d bits, expected %d to %d", bits, minRSA, maxRSA)
		}
		if k.E < 3 || k.E%2 == 0 {
			return nil, fmt.Errorf("the RSA key has the exponent %d, which is none", k.E)
		}
		return []string{"RS256", "RS384", "RS512"}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return []string{"ES256"}, nil
		case elliptic.P384():
			return []string{"ES384"}, nil
		case elliptic.P521():
			return []string{"ES512"}, nil
		}
		return nil, errors.New("the curve is not supported; expected P-256, P-384 or P-521")
	}
	return nil, errors.New("the type of key is not supported; expected RSA or EC")
}

// keySet holds the keys of one origin. It does not change.
type keySet []key

// find returns the keys that can verify alg. With a kid, named are the keys of that id
// and others the keys without an id; without a kid all are named.
func (s keySet) find(alg, kid string) (named, others keySet) {
	for _, k := range s {
		switch {
		case !slices.Contains(k.algorithms, alg):
		case kid == "" || k.id == kid:
			named = append(named, k)
		case k.id == "":
			others = append(others, k)
		}
	}
	return named, others
}
