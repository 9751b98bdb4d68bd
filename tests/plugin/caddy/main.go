// Command caddy is what xcaddy builds of the handler: all of Caddy, and a plugin.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/dagfence/dagfence/caddymodule"
)

func main() {
	caddycmd.Main()
}
