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

// CertificateFiles is a certificate and its key in two PEM files, which are read
// again as clients connect, so that they may be rotated without a reload. Whatever
// name a client asks for, it gets that certificate.
type CertificateFiles struct {
	// Cert is the file with the certificate, and those of the authorities between
	// it and the client's.
	Cert string `json:"cert"`
	// Key is the file with its private key.
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
		return fmt.Errorf("certificate and key to serve TLS with (--tls-cert, --tls-key): %w: give the paths of a PEM pair", err)
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
		return d.Err("dagfence_files takes a certificate's file and its key's")
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*CertificateFiles)(nil)
	_ certmagic.Manager     = (*CertificateFiles)(nil)
	_ caddyfile.Unmarshaler = (*CertificateFiles)(nil)
)
