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
		return "it does not speak TLS there: give the port that does, or a URL without it"
	case errors.As(err, &unknown):
		if settings.CA == "" {
			return "its certificate is of an authority that this machine does not trust: add it to those that it does"
		}
		return "its certificate is of an authority that is not trusted here: name that authority's PEM file in " + settings.CA
	case errors.As(err, &host):
		return "its certificate is for another name: give that name in the URL, or the server another certificate"
	case errors.As(err, &invalid):
		return "its certificate can't be used: give the server one that is valid now"
	case strings.Contains(err.Error(), "remote error: tls:"):
		if settings.Client == "" {
			return "it refuses the TLS that it was offered, with no client certificate: see its log, and let it ask for none"
		}
		return "it refuses the TLS that it was offered: see its log; if it requires a client certificate, set one in " + settings.Client
	}
	return ""
}
