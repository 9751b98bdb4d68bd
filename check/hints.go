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

// withoutURL returns the cause of a [url.Error]: the URL before it may hold a
// secret.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}

// The TLS settings of each connection, by the names that users know them by.
var (
	lookupTLS   = setup.TLSSettings{CA: "lookup ca", Client: "lookup tls_client"}
	redisTLS    = setup.TLSSettings{CA: "the option ssl_ca_certs of its URL", Client: "the options ssl_certfile and ssl_keyfile of its URL"}
	postgresTLS = setup.TLSSettings{CA: "the option sslrootcert of its URL", Client: "the options sslcert and sslkey of its URL"}
	mysqlTLS    = setup.TLSSettings{CA: "the option ssl_ca of its URL", Client: "the options ssl_cert and ssl_key of its URL"}
)

// databaseTLS returns the names of the TLS settings in a database's URL.
func databaseTLS(url string) setup.TLSSettings {
	if strings.HasPrefix(url, "postgres") {
		return postgresTLS
	}
	return mysqlTLS
}

// hintFor returns a fix for an error of a connection. It suggests only what can
// be set.
func hintFor(err error, settings setup.TLSSettings) string {
	var (
		name    *net.DNSError
		timeout net.Error
	)
	if hint := setup.TLSHint(err, settings); hint != "" {
		return hint
	}
	switch {
	case errors.As(err, &name):
		return "the name cannot be resolved: set a host that this machine can resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: start the server, or correct its host and port"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer came in time: check firewalls, network policies and the server's load"
	}
	return "check that the server runs, and that this machine may reach it"
}
