package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// withoutURL drops what [url.Error] puts before the cause: a URL may hold what
// nobody should read.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// tlsSettings name the settings of the TLS on the way to a server: the authorities
// that are trusted, and the client certificate. Empty where there is none to set.
type tlsSettings struct{ ca, client string }

var (
	upstreamTLS = tlsSettings{ca: "--upstream-ca, or in a Caddyfile in the tls_trust_pool of reverse_proxy"}
	lookupTLS   = tlsSettings{"lookup ca", "lookup tls_client"}
	redisTLS    = tlsSettings{"the option ssl_ca_certs of its URL", "the options ssl_certfile and ssl_keyfile of its URL"}
	postgresTLS = tlsSettings{"the option sslrootcert of its URL", "the options sslcert and sslkey of its URL"}
	mysqlTLS    = tlsSettings{"the option ssl_ca of its URL", "the options ssl_cert and ssl_key of its URL"}
)

// databaseTLS names the settings of a database's own URL.
func databaseTLS(url string) tlsSettings {
	if strings.HasPrefix(url, "postgres") {
		return postgresTLS
	}
	return mysqlTLS
}

// mendOf is what fixes an error on the way to a server. Nothing is suggested that
// can't be set.
func mendOf(err error, settings tlsSettings) string {
	var (
		name    *net.DNSError
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		record  tls.RecordHeaderError
		timeout net.Error
	)
	switch {
	case errors.As(err, &name):
		return "the name is not known here: give a host that this machine can resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server, or give its host and port"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "it does not speak TLS there: give the port that does, or a URL without it"
	case errors.As(err, &unknown):
		if settings.ca == "" {
			return "its certificate is of an authority that this machine does not trust: add it to those that it does"
		}
		return "its certificate is of an authority that is not trusted here: name that authority's PEM file in " + settings.ca
	case errors.As(err, &host):
		return "its certificate is for another name: give that name in the URL, or the server another certificate"
	case errors.As(err, &invalid):
		return "its certificate can't be used: give the server one that is valid now"
	case strings.Contains(err.Error(), "remote error: tls:"):
		if settings.client == "" {
			return "it refuses the TLS that it was offered, with no client certificate: see its log, and let it ask for none"
		}
		return "it refuses the TLS that it was offered: see its log; if it wants a client certificate, name one that it takes in " + settings.client
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer came in time: look for a firewall or a network policy on the way, and at the server's load"
	}
	return "see that the server runs, and that this machine may reach it"
}
