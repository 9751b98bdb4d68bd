// Command dagfence is Caddy with the dagfence handler and the few of Caddy's
// modules that a sidecar needs, and the commands that go with it: proxy,
// lookup, check, routes and demo.
package main

import (
	"os"

	"github.com/caddyserver/caddy/v2"
	// What a Caddyfile for an authorizing sidecar is made of.
	_ "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
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

	_ "github.com/dagfence/dagfence/caddymodule"
)

func main() {
	// It prints every failed dial, through a logger of its own; what matters of
	// it is in ours.
	logging.Disable()
	caddy.CustomBinaryName = "dagfence"
	caddy.CustomLongDescription = `dagfence authorizes requests to Apache Airflow 3's Execution API at the edge:
a task reaches the variables, connections, XComs and dags of its own team, and
writes XComs of its own. It is Caddy with one more handler; "dagfence proxy"
runs it without a configuration file, "dagfence demo" shows it.`
	if len(os.Args) > 1 && os.Args[1] == "run" { // Caddy's own command
		quitAtSecondSignal()
	}
	caddycmd.Main()
}
