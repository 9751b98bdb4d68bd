package rotate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// KeyPair reads a certificate and its private key from two PEM files.
func KeyPair(cert, key string) (tls.Certificate, error) {
	certPEM, certErr := ReadFile(cert)
	keyPEM, keyErr := ReadFile(key)
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		err = fmt.Errorf("%s, %s: %w", cert, key, err)
	}
	return pair, err
}

// CertPool reads a PEM file of certificates to trust.
func CertPool(path string) (*x509.CertPool, error) {
	content, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return pool, nil
}
