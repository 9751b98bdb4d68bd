// Command dagfence is Caddy with the dagfence handler, the few of Caddy's modules
// that a sidecar needs, and the commands proxy, lookup, check, routes and demo.
package main

import (
	"fmt"
	"os"
	"strings"

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
	"github.com/spf13/cobra"

	"github.com/dagfence/dagfence/caddymodule"
)

func main() {
	// It prints every failed dial with its own logger; we log what matters.
	logging.Disable()
	caddy.CustomBinaryName = "dagfence"
	if len(os.Args) > 1 && os.Args[1] == "run" { // Caddy's own command
		heedSignals()
	}
	err := commands().Execute()
	if err == nil {
		caddymodule.LastWords("")
		return
	}
	caddymodule.LastWords("Error: " + sentence(err))
	os.Exit(caddy.ExitCodeFailedStartup)
}

// sentence returns the error as one line, without the position of our handler in
// Caddy's JSON, which does not help authors of Caddyfiles or flags.
func sentence(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, ": provision "); at >= 0 {
		module, words, _ := strings.Cut(text[at+len(": provision "):], ": ")
		if strings.Contains(module, "dagfence") {
			text = words
		}
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}

// commands returns Caddy's commands and ours. caddycmd.Main would run the same, but
// log an error, or say nothing at all.
func commands() *cobra.Command {
	_, version := caddy.Version()
	root := &cobra.Command{
		Use: caddy.CustomBinaryName,
		Long: `dagfence authorizes requests to Apache Airflow 3's Execution API at the edge:
a task reaches the variables, connections, XComs and dags of its own team, and
writes XComs of its own. It is Caddy with one more handler; "dagfence proxy"
runs it without a configuration file, "dagfence demo" shows it.`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}\n")
	for _, registered := range caddycmd.Commands() {
		cmd := &cobra.Command{Use: registered.Name + " " + registered.Usage, Short: registered.Short, Long: registered.Long}
		if registered.CobraFunc != nil {
			registered.CobraFunc(cmd)
		} else {
			cmd.RunE = caddycmd.WrapCommandFuncForCobra(registered.Func)
			cmd.Flags().AddGoFlagSet(registered.Flags)
		}
		if registered.Name == "run" || registered.Name == "reload" {
			cmd.PreRun = warnOfBypasses
		}
		root.AddCommand(cmd)
	}
	return root
}

// runs sets the function of a command. Arguments are an error, so that a value
// without its flag, or one behind a switch, is not ignored; the error does not
// quote it, since it may be a URL with a password.
func runs(cmd *cobra.Command, command func(caddycmd.Flags) error) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("unexpected argument: %s takes flags only: write each value behind its flag (--flag value), and none behind a switch",
			cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return command(caddycmd.Flags{FlagSet: cmd.Flags()})
	}
}
