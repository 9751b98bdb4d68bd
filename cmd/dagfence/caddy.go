package main

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// words are what a command is described with.
type words struct{ short, long string }

// keptCommands are Caddy's commands that dagfence has too, in words of its own.
var keptCommands = map[string]words{
	"run": {"Runs the fence with a Caddyfile", `
Loads a configuration, and serves it until a signal ends the process: the file in
--config, or else the Caddyfile in the working directory. A file whose name neither
begins with Caddyfile nor ends in .json needs --adapter caddyfile.

Options that the directive dagfence does not set come from the environment of
Airflow's api-server, then from its airflow.cfg, then from the defaults. It warns of
routes that bypass the fence, and of an admin endpoint that other processes reach.

SIGUSR1 loads the file again. SIGTERM makes /ready fail first, for shutdown_delay,
and lets requests in flight end, for grace_period; a second SIGTERM ends it at once.

--environ prints the environment, secrets included. --watch loads the file whenever
it changes, and is for development.`},
	"reload": {"Gives a running fence another configuration", `
Loads the configuration in --config into a running dagfence, through its admin
endpoint. Whoever reaches that can remove the fence, so "admin off" is better: then
SIGUSR1 makes dagfence run load its file again.`},
	"stop": {"Ends a running fence through its admin endpoint", `
Ends a running dagfence as SIGTERM does, through its admin endpoint: at --address, or
as --config has it. With "admin off", send SIGTERM.`},
	"adapt": {"Prints a Caddyfile as Caddy's JSON", `
Prints the configuration in --config as Caddy's JSON, and warnings on standard error.
Placeholders such as {env.NAME} are kept: no secret is read.

With --validate it is also tested as "dagfence validate" does. "-" is standard input.`},
	"validate": {"Tests whether a configuration could start", `
Loads a configuration and sets it up as a start does, with its files and its keys and
what it connects to, but serves nothing. It logs as a start does.`},
	"fmt": {"Formats a Caddyfile", `
Prints a Caddyfile with the indentation and spaces that are usual; with --overwrite
it writes the file instead. It exits with 1 if the file was not formatted so.

With --diff, lines that differ begin with - and +. "-" is standard input.`},
	"list-modules": {"Lists the modules that this binary has", `
Lists Caddy's modules in this binary, those of dagfence among them. No other can be
used in a configuration.`},
	"environ": {"Prints the environment", `
Prints the environment that a configuration's placeholders are read from, and where
Caddy keeps its files. It may hold secrets.`},
	"build-info": {"Prints the modules and settings of this build", `
Prints what Go recorded when it built this binary: every Go module in it with its
version and hash, and the settings of the build.`},
}

// removedCommands are the commands of Caddy's that dagfence does not have, and why.
var removedCommands = map[string]string{
	"version": "it prints Caddy's version, and dagfence has its own",

	"upgrade":        "it would replace this binary with one that has no fence",
	"add-package":    "it would replace this binary with one that has no fence",
	"remove-package": "it would replace this binary with one that has no fence",

	"reverse-proxy": "it would serve without a fence; use dagfence proxy",
	"file-server":   "it would serve without a fence",
	"respond":       "it would serve without a fence",

	"start": "what it starts runs in the background, where nothing starts it again and nothing but the admin endpoint ends it; " +
		"use dagfence run in a container or a service",

	"trust":         "it changes whom this machine trusts; name CA files in the configuration",
	"untrust":       "it changes whom this machine trusts; name CA files in the configuration",
	"storage":       "it copies private keys that Caddy manages; the fence's certificates are files of yours",
	"hash-password": "nothing here asks for a password",
}

// caddyCommands returns the commands of Caddy's that are kept. caddycmd.Main would have
// all of them, and log an error, or say nothing at all.
func caddyCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, name := range slices.Sorted(maps.Keys(keptCommands)) {
		registered := caddycmd.Commands()[name]
		cmd := &cobra.Command{Use: name + " " + registered.Usage, Short: keptCommands[name].short, Long: keptCommands[name].long, DisableFlagsInUseLine: true}
		if registered.CobraFunc != nil {
			registered.CobraFunc(cmd)
		} else {
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(registered.Func)
		}
		cmd.Args = noArguments
		cmd.RunE = discreetly(cmd.RunE)
		switch name {
		case "run":
			keepRunning(cmd)
		case "reload":
			cmd.PreRun = warnOfBypasses
			cmd.RunE = quietly(cmd.RunE)
		case "fmt":
			cmd.Args = cobra.MaximumNArgs(1)
			cmd.RunE = quietly(cmd.RunE)
		default:
			cmd.RunE = quietly(cmd.RunE)
		}
		all = append(all, cmd)
	}
	return all
}

// quietly runs a command without its log, except for the warnings of one that
// succeeds: an error is logged by Caddy, and printed as a sentence by main.
func quietly(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		_, logger, held := caddy.BufferedLog()
		err := run(cmd, args)
		to := zap.NewNop()
		if err == nil {
			to = logger.WithOptions(zap.IncreaseLevel(zap.WarnLevel))
		}
		held.FlushTo(to)
		caddy.UnbufferDefaultLogger(logger)
		return err
	}
}
