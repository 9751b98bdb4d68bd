package rotate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrKeyPair means that a client certificate or its key can't be read.
var ErrKeyPair = errors.New("reading the client certificate and its key")

// ClientTLS reads PEM files: the certificates to trust instead of the system's,
// and a client certificate with its key. Any may be empty; a certificate needs its
// key.
func ClientTLS(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if ca != "" {
		if config.RootCAs, err = CertPool(ca); err != nil {
			return nil, fmt.Errorf("ca: %w: must be the path of a PEM file", err)
		}
	}
	if cert == "" && key == "" {
		return config, nil
	}
	pair, err := KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyPair, err)
	}
	// Sent whichever authorities the server names: it then says what is wrong with it.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}

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
