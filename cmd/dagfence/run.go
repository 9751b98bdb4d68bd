package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
	"github.com/dagfence/dagfence/check"
)

// keepRunning adds what Caddy's command run lacks: signals that are heeded during a
// start too, errors where it would run something else than the configuration that was
// meant, and warnings.
func keepRunning(cmd *cobra.Command) {
	_ = cmd.Flags().MarkHidden("resume") // if there is one, which Caddy has for configurations without a file
	// What Caddy's command start would call it with.
	_ = cmd.Flags().MarkHidden("pingback") // if there is one
	cmd.Use = "run [--config <path> [--adapter <name>]] [--envfile <path>] [--environ] [--watch] [--pidfile <file>]"
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		heedSignals()
		if err := checkRun(cmd); err != nil {
			return err
		}
		warnOfBypasses(cmd, args)
		return nil
	}
}

// checkRun returns an error where Caddy would run without the configuration file: with
// the last one that it loaded, which may have no fence, or with none but an admin
// endpoint.
func checkRun(cmd *cobra.Command) error {
	if resume, _ := cmd.Flags().GetBool("resume"); resume {
		return usageError{errors.New("--resume would run whatever was loaded last, maybe without a fence: remove it, and set --config to the Caddyfile")}
	}
	given, _ := cmd.Flags().GetString("config")
	if given == "-" { // standard input
		return nil
	}
	_, err := os.Stat(cmp.Or(given, defaultConfig))
	switch {
	case err == nil:
		return nil
	case given == "" && errors.Is(err, fs.ErrNotExist):
		return usageError{errors.New("no configuration: set --config to a Caddyfile with the directive dagfence, or use dagfence proxy, which needs none")}
	}
	return fileError("config", err)
}

const defaultConfig = "Caddyfile"

// warnOfBypasses logs a warning if the configuration that a command is about to load
// has no fence, or has one, and an admin endpoint that other processes can reach or
// routes that bypass the fence. It leaves errors in the configuration to the command.
func warnOfBypasses(cmd *cobra.Command, _ []string) {
	flag := func(name string) string {
		value, _ := cmd.Flags().GetString(name) // "" where there is none
		return value
	}
	logger := caddy.Log().Named("dagfence")
	file := cmp.Or(flag("config"), defaultConfig)
	if info, err := os.Stat(file); file == "-" || err == nil && !info.Mode().IsRegular() {
		// What is read here is not there any more for the command.
		logger.Warn("the configuration is no regular file, so nothing warns of a missing fence or of what bypasses it: set --config to a file")
		return
	}
	configuration, err := adapted(file, flag("adapter"))
	if err != nil {
		return
	}
	servers, err := serversIn(configuration)
	if err != nil {
		return
	}
	if !hasFence(servers) {
		logger.Warn("the configuration has no fence, so nothing authorizes requests: write the directive dagfence into a site")
		return
	}
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
