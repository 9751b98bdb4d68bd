package caddymodule

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/dagfence/dagfence/rotate"
)

func init() {
	caddy.RegisterModule(Transport{})
}

// Transport is reverse_proxy's own transport for HTTPS, but follows the file with
// the CA certificates for upstream, so that it can be rotated without a reload.
type Transport struct {
	reverseproxy.HTTPTransport

	// CAFile is the path of the PEM file with the CA certificates. It must be set.
	CAFile string `json:"ca_file"`

	pool *rotate.Value[*x509.CertPool]
}

// CaddyModule returns the Caddy module information.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.dagfence_ca_file",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision reads the file.
func (t *Transport) Provision(ctx caddy.Context) error {
	if t.TLS == nil {
		return errors.New("ca_file has no effect without TLS: set tls too")
	}
	var err error
	t.pool, err = rotate.New(rotate.Source[*x509.CertPool]{
		Name: "CA certificates for upstream", Text: rotate.Text(t.CAFile), Logger: ctx.Slogger(),
		Files: func(path string) []string { return []string{path} },
		Make:  rotate.CertPool,
	})
	if err != nil {
		return fmt.Errorf("CA certificates for upstream (--upstream-ca): %w: must be the path of a PEM file", err)
	}
	if err := t.HTTPTransport.Provision(ctx); err != nil {
		return err
	}
	t.Transport.DialTLSContext = t.dial(t.Transport)
	return nil
}

// dial returns the function that makes the transport's TLS connections.
func (t *Transport) dial(transport *http.Transport) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		plain, err := transport.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		config := transport.TLSClientConfig.Clone()
		config.RootCAs = t.pool.Get()
		if config.ServerName == "" {
			if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
				return nil, errors.Join(err, plain.Close())
			}
		}
		if limit := transport.TLSHandshakeTimeout; limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		secure := tls.Client(plain, config)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, plain.Close())
		}
		return secure, nil
	}
}

var (
	_ caddy.Provisioner = (*Transport)(nil)
	_ http.RoundTripper = (*Transport)(nil)
)
