package resolver

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/dagfence/dagfence/rotate"
)

var errPair = errors.New("reading the client certificate and its key")

// clientTLS reads PEM files: the certificates to trust instead of the system's,
// and a client certificate with its key. Any may be empty; a certificate needs its
// key.
func clientTLS(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if ca != "" {
		if config.RootCAs, err = rotate.CertPool(ca); err != nil {
			return nil, fmt.Errorf("ca: %w; give the path of a PEM file", err)
		}
	}
	if cert == "" && key == "" {
		return config, nil
	}
	pair, err := rotate.KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPair, err)
	}
	// Sent whichever authorities the server names: it then says what is wrong with it.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}
