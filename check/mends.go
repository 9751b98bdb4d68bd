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

// mendOf is what mends an error on the way to a server. ca names the setting that
// says whom to trust; empty, that is up to the machine.
func mendOf(err error, ca string) string {
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
		if ca == "" {
			return "its certificate is of an authority that this machine does not trust: add it to those that it does"
		}
		return "its certificate is of an authority that is not trusted here: name that authority's PEM file in " + ca
	case errors.As(err, &host):
		return "its certificate is for another name: give that name in the URL, or the server another certificate"
	case errors.As(err, &invalid):
		return "its certificate can't be used: give the server one that is valid now"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "it refuses the TLS that it was offered: see its log, and give it the client certificate that it wants"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer came in time: look for a firewall or a network policy on the way, and at the server's load"
	}
	return "see that the server runs, and that this machine may reach it"
}
