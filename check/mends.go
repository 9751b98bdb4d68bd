package check

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"

	"github.com/dagfence/dagfence/setup"
)

// withoutURL drops what [url.Error] puts before the cause: a URL may hold what
// nobody should read.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// The TLS settings of the ways to the servers.
var (
	lookupTLS   = setup.TLSSettings{CA: "lookup ca", Client: "lookup tls_client"}
	redisTLS    = setup.TLSSettings{CA: "the option ssl_ca_certs of its URL", Client: "the options ssl_certfile and ssl_keyfile of its URL"}
	postgresTLS = setup.TLSSettings{CA: "the option sslrootcert of its URL", Client: "the options sslcert and sslkey of its URL"}
	mysqlTLS    = setup.TLSSettings{CA: "the option ssl_ca of its URL", Client: "the options ssl_cert and ssl_key of its URL"}
)

// databaseTLS names the settings of a database's own URL.
func databaseTLS(url string) setup.TLSSettings {
	if strings.HasPrefix(url, "postgres") {
		return postgresTLS
	}
	return mysqlTLS
}

// mendOf is what fixes an error on the way to a server. Nothing is suggested that
// can't be set.
func mendOf(err error, settings setup.TLSSettings) string {
	var (
		name    *net.DNSError
		timeout net.Error
	)
	if hint := setup.TLSHint(err, settings); hint != "" {
		return hint
	}
	switch {
	case errors.As(err, &name):
		return "the name is not known here: give a host that this machine can resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server, or give its host and port"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer came in time: look for a firewall or a network policy on the way, and at the server's load"
	}
	return "see that the server runs, and that this machine may reach it"
}
