package sidecar

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// globalOptions keep a Caddy in a test to its sites.
const globalOptions = "{\n admin off\n persist_config off\n auto_https off\n log {\n  output discard\n }\n"

// Caddy runs a Caddy in this process until the test ends: options are further
// global options of a Caddyfile, sites its sites. A process has one Caddy, so
// tests with it do not run in parallel.
func Caddy(tb testing.TB, options, sites string) {
	tb.Helper()
	if err := TryCaddy(tb, options, sites); err != nil {
		tb.Fatalf("loading: %v\n%s\n%s", err, options, sites)
	}
}

// TryCaddy is [Caddy], and returns why there is none.
func TryCaddy(tb testing.TB, options, sites string) error {
	tb.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(globalOptions+options+"}\n"+sites), nil)
	if err != nil {
		return err
	}
	tb.Cleanup(func() { _ = caddy.Stop() })
	return caddy.Load(adapted, true)
}

// Site is the head of a Caddyfile's site that is served on an address, whatever
// Host a request has: Caddy takes a host before the port for a Host to match, and
// listens on all addresses.
func Site(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "http://:" + port + " {\n\tbind " + host + "\n"
}
