package bus

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// minSecret is how many bytes a secret has at least.
const minSecret = 32

// anyNode is the name in all certificates made from a secret: nodes are reached by addresses that nobody knows before.
const anyNode = "node.rtd.invalid"

// secretTLS makes the certificates that a node shows and expects. The key of the authority follows from the secret and the cluster's name, that of the node is
// new each time. Clocks have no say: they may be wrong, and a secret does not expire.
func secretTLS(secret, cluster, node string) (*tls.Config, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("the secret has %d bytes, and needs %d; make one with: openssl rand -base64 32", len(secret), minSecret)
	}
	seed, err := hkdf.Key(sha256.New, []byte(secret), []byte("rtd cluster 1 "+cluster), "certificate authority", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "rtd cluster " + cluster},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if authority, err = sign(authority, authority, key.Public(), key); err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: node}, DNSNames: []string{anyNode},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, authority, public, key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: private, Leaf: leaf}},
		RootCAs:      pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		ServerName:             anyNode,
		Time:                   func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) },
		SessionTicketsDisabled: true, // with clocks out of use they would not expire
	}, nil
}

func sign(template, parent *x509.Certificate, public any, key ed25519.PrivateKey) (*x509.Certificate, error) {
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return x509.ParseCertificate(raw)
}

// MutualTLS makes what [MeshOptions].TLS needs: both sides of a connection show a certificate, and expect one that an authority of the pool has signed. Names in
// certificates have no say, as addresses of nodes are not known before: any certificate of that authority is one of a node, so it must not sign others. shown
// returns the certificate of this node, anew for each connection.
func MutualTLS(authorities *x509.CertPool, shown func() (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown() },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown() },
		ClientCAs:            authorities, ClientAuth: tls.RequireAndVerifyClientCert,
		InsecureSkipVerify: true, // of names; what follows checks the rest
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("the node shows no certificate")
			}
			o := x509.VerifyOptions{Roots: authorities, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
			for _, c := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(c)
			}
			_, err := s.PeerCertificates[0].Verify(o)
			return err
		},
	}
}
