package main

import (
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/demo"
	"github.com/dagfence/dagfence/proxyconfig"
)

// demoListen is where the demo's fence listens by default.
const demoListen = "127.0.0.1:8081"

func demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Runs a demo of the fence, with all its dependencies embedded",
		Long: `
Runs the fence in front of a stub of Airflow's Execution API, with a metadata
database of two teams, on loopback, and prints curl commands to try it with.
It needs no Airflow, no configuration and no environment, and leaves nothing
behind. Ctrl-C ends it.

With --check it sends every request of the access matrix through the fence,
prints the result of each, and exits with an error if any is wrong.`,
	}
	cmd.Flags().String("listen", "", "Address to listen on, host:port (default "+demoListen+", any free port with --check)")
	cmd.Flags().Bool("check", false, "Run the access matrix, and exit")
	return runs(cmd, runDemo)
}

func runDemo(flags caddycmd.Flags) error {
	ctx, stop := untilSignal()
	defer stop()
	run, listen := demo.Show, demoListen
	if flags.Bool("check") {
		run, listen = demo.Check, "127.0.0.1:0"
	}
	if given := flags.String("listen"); given != "" {
		listen = given
	}
	if err := proxyconfig.CheckListen("--listen", listen); err != nil {
		return usageError{err}
	}
	return run(ctx, os.Stdout, listen, config.Rules{})
}
