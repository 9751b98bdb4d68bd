package caddymodule

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"

	"github.com/dagfence/dagfence/rotate"
)

func init() {
	caddy.RegisterModule(CertificateFiles{})
}

// CertificateFiles serves a certificate and its key from two PEM files, whatever
// name a client asks for. It follows the files, so that they can be rotated without
// a reload.
type CertificateFiles struct {
	// Cert is the path of the file with the certificate, and its intermediates
	// behind it. It must be set.
	Cert string `json:"cert"`
	// Key is the path of the file with the private key, without a password. It
	// must be set.
	Key string `json:"key"`

	pair *rotate.Value[*tls.Certificate]
}

// CaddyModule returns the Caddy module information.
func (CertificateFiles) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.get_certificate.dagfence_files",
		New: func() caddy.Module { return new(CertificateFiles) },
	}
}

// Provision reads the files.
func (c *CertificateFiles) Provision(ctx caddy.Context) error {
	replacer := caddy.NewReplacer()
	for _, file := range []*string{&c.Cert, &c.Key} {
		replaced, err := replacer.ReplaceOrErr(*file, true, true)
		if err != nil {
			return fmt.Errorf("dagfence_files: %w", err)
		}
		*file = replaced
	}
	var err error
	c.pair, err = rotate.New(rotate.Source[*tls.Certificate]{
		Name: "certificate and key to serve TLS with", Text: rotate.Text(""), Logger: ctx.Slogger(),
		Files: func(string) []string { return []string{c.Cert, c.Key} },
		Make: func(string) (*tls.Certificate, error) {
			pair, err := rotate.KeyPair(c.Cert, c.Key)
			return &pair, err
		},
	})
	if err != nil {
		return fmt.Errorf("certificate and key to serve TLS with (--tls-cert, --tls-key): %w: must be the paths of a certificate and its key in PEM", err)
	}
	return nil
}

// GetCertificate implements [certmagic.Manager].
func (c *CertificateFiles) GetCertificate(context.Context, *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.pair.Get(), nil
}

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	get_certificate dagfence_files <cert file> <key file>
func (c *CertificateFiles) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.AllArgs(&c.Cert, &c.Key) {
		return d.Err("dagfence_files takes two files: the certificate and its key")
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*CertificateFiles)(nil)
	_ certmagic.Manager     = (*CertificateFiles)(nil)
	_ caddyfile.Unmarshaler = (*CertificateFiles)(nil)
)
