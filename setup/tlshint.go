package setup

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"strings"
)

// TLSSettings name the settings of the TLS on the way to a server: the authorities
// that are trusted, and the client certificate. Empty where there is none to set.
type TLSSettings struct{ CA, Client string }

// UpstreamTLS are the settings of the way to upstream.
var UpstreamTLS = TLSSettings{CA: "--upstream-ca, or in a Caddyfile in the tls_trust_pool of reverse_proxy"}

// TLSHint is what fixes an error of TLS on the way to a server; empty for any other
// error. Nothing is suggested that can't be set.
func TLSHint(err error, settings TLSSettings) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
	)
	switch {
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "server does not use TLS on this port: set the port that does, or a URL without TLS"
	case errors.As(err, &unknown):
		if settings.CA == "" {
			return "certificate signed by an unknown authority: add it to this machine's CA certificates"
		}
		return "certificate signed by an unknown authority: set the PEM file of that authority in " + settings.CA
	case errors.As(err, &host):
		return "certificate is for another name: use that name in the URL, or another certificate on the server"
	case errors.As(err, &invalid):
		return "certificate is not valid now: renew it on the server"
	case strings.Contains(err.Error(), "remote error: tls:"):
		if settings.Client == "" {
			return "server refuses TLS without a client certificate: see its log, and let it require none"
		}
		return "server refuses TLS: see its log; if it requires a client certificate, set one in " + settings.Client
	}
	return ""
}
