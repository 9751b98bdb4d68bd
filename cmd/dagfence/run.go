package main

import (
	"cmp"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
	"github.com/dagfence/dagfence/check"
)

// keepRunning adds what Caddy's command run lacks: signals that are heeded during a
// start too, and warnings.
func keepRunning(cmd *cobra.Command) {
	// What Caddy's command start would call it with.
	_ = cmd.Flags().MarkHidden("pingback") // if there is one
	cmd.PreRun = func(cmd *cobra.Command, args []string) {
		heedSignals()
		warnOfBypasses(cmd, args)
	}
}

// warnOfBypasses logs a warning if the configuration that a command is about to load
// has a fence, and an admin endpoint that other processes can reach or routes that
// bypass the fence. It leaves errors in the configuration to the command.
func warnOfBypasses(cmd *cobra.Command, _ []string) {
	flag := func(name string) string {
		value, _ := cmd.Flags().GetString(name) // "" where there is none
		return value
	}
	configuration, err := adapted(cmp.Or(flag("config"), "Caddyfile"), flag("adapter"))
	if err != nil {
		return
	}
	servers, err := serversIn(configuration)
	if err != nil || !hasFence(servers) {
		return
	}
	logger := caddy.Log().Named("dagfence")
	if address := adminAddress(configuration); address != "" {
		logger.Warn("any process that can reach the admin endpoint can remove the fence: "+
			"write `admin off` into the global options; SIGUSR1 then reloads the configuration", zap.String("admin", address))
	}
	for _, finding := range check.Routes(servers) {
		if finding.State != check.OK {
			logger.Warn(finding.Text, zap.Stringer("state", finding.State))
		}
	}
}

func hasFence(servers map[string]any) bool {
	return slices.ContainsFunc(caddyjson.Handlers(servers), func(handler map[string]any) bool { return handler["handler"] == "dagfence" })
}
