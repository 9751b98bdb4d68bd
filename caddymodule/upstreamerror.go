package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/dagfence/dagfence/setup"
)

// withTLSHint adds to an error of reverse_proxy what fixes the TLS to upstream, for
// the log. Caddy logs the error within a HandlerError, and nothing around that.
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
