package main

import (
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/demo"
)

// demoListen is where the demo's fence listens, unless told otherwise.
const demoListen = "127.0.0.1:8081"

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "demo",
		Usage: "[--check] [--listen <address>]",
		Short: "Shows the fence at work, with everything that it needs embedded",
		Long: `
Runs the fence before a stub of Airflow's Execution API, with a metadata
database of two teams, on loopback, and prints lines for curl to try it with.
It needs no Airflow, no configuration and no environment, and leaves nothing
behind. Ctrl-C ends it.

--check sends every request of the access matrix through the fence instead,
prints what came of each, and exits with an error if any is not as it should be.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().String("listen", "", "Address to receive requests on, host:port (default "+demoListen+", any free port with --check)")
			cmd.Flags().Bool("check", false, "Run the access matrix, and exit")
			runs(cmd, runDemo)
		},
	})
}

func runDemo(flags caddycmd.Flags) error {
	ctx, stop := untilTold()
	defer stop()
	run, listen := demo.Show, demoListen
	if flags.Bool("check") {
		run, listen = demo.Check, "127.0.0.1:0"
	}
	if given := flags.String("listen"); given != "" {
		listen = given
	}
	return run(ctx, os.Stdout, listen, config.Rules{})
}
