// Command dagfence is Caddy with the dagfence handler and the few of Caddy's modules
// that a sidecar needs. root.go lists its commands; each has a file of its name.
package main

import (
	"os"

	// What a Caddyfile for an authorizing sidecar is made of.
	_ "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents"
	_ "github.com/caddyserver/caddy/v2/modules/caddyfs"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/logging"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/tracing"
	_ "github.com/caddyserver/caddy/v2/modules/caddypki"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls/standardstek"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"
	"github.com/redis/go-redis/v9/logging"

	"github.com/dagfence/dagfence/caddymodule"
)

func main() {
	// It prints every failed dial with its own logger; we log what matters.
	logging.Disable()
	err := execute(os.Args[1:])
	if err == nil {
		caddymodule.LastWords("")
		return
	}
	caddymodule.LastWords("Error: " + sentence(err))
	os.Exit(exitCode(err))
}
