package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/dagfence/dagfence/setup"
)

// withTLSHint adds a fix to a TLS error of reverse_proxy, for the log. Caddy logs
// only the error inside a HandlerError, not one that wraps it.
func withTLSHint(err error) error {
	failed, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || failed.Err == nil {
		return err
	}
	if hint := setup.TLSHint(failed.Err, setup.UpstreamTLS); hint != "" {
		failed.Err = fmt.Errorf("%w: upstream: %s", failed.Err, hint)
		return failed
	}
	return err
}
