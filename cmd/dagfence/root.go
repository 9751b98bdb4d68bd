package main

import (
	"errors"
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newRoot returns the command dagfence with all others below it: ours, those of
// Caddy's that are kept, and cobra's own, help and completion.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "dagfence",
		Long: `dagfence authorizes requests to Apache Airflow 3's Execution API at the edge:
a task reaches the variables, connections, XComs and dags of its own team, and
writes XComs of its own. "dagfence proxy" runs it without a configuration file,
"dagfence run" with a Caddyfile, and "dagfence demo" shows it.`,
		Version:       readBuild().String(),
		SilenceUsage:  true,
		SilenceErrors: true,
		// unknownCommand has its own, in one line.
		DisableSuggestions: true,
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		checkCommand(),
		demoCommand(),
		explainCommand(),
		healthCommand(),
		invalidateCommand(),
		lookupCommand(),
		manpageCommand(),
		proxyCommand(),
		reportCommand(),
		routesCommand(),
		versionCommand(),
	)
	root.AddCommand(caddyCommands()...)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		cmd.Long = strings.TrimSpace(cmd.Long)
		switch cmd.Name() {
		case "help":
			cmd.Args = func(_ *cobra.Command, args []string) error {
				_, _, err := root.Find(args)
				return unknownCommand(root, err)
			}
		case "completion":
			// Without, it answers to the name of an unknown shell with its help.
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			for _, shell := range append(cmd.Commands(), cmd) {
				shell.Args = noCommands
			}
		}
	}
	argumentsAreUsage(root)
	return root
}

// argumentsAreUsage makes what is wrong with the arguments of any command below a
// command a [usageError].
func argumentsAreUsage(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		argumentsAreUsage(child)
		valid := child.Args
		if valid == nil {
			continue
		}
		child.Args = func(cmd *cobra.Command, args []string) error {
			if err := valid(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
}

// execute runs the command that the arguments name.
func execute(args []string) error {
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if cmd == root { // which has no function, and whose flags' errors are usageErrors
		return unknownCommand(root, err)
	}
	return err
}

// unknownCommand returns cobra's error about an unknown command as a sentence with
// what to do instead, and any other as it is.
func unknownCommand(root *cobra.Command, err error) error {
	var name string
	if err == nil || errors.As(err, new(usageError)) {
		return err
	}
	if _, scanErr := fmt.Sscanf(err.Error(), "unknown command %q", &name); scanErr != nil {
		return err
	}
	if quoted(name) == "" {
		return usageError{errors.New("unknown command: the first argument must be a command, see dagfence help")}
	}
	if reason, ok := removedCommands[name]; ok {
		return usageError{fmt.Errorf("dagfence does not have Caddy's command %s: %s", name, reason)}
	}
	root.SuggestionsMinimumDistance = nearby(name)
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return usageError{fmt.Errorf("%w: did you mean %s?", err, strings.Join(near, " or "))}
	}
	return usageError{fmt.Errorf("%w: see dagfence help", err)}
}

// nearby returns how many letters of a name may be wrong for another to be meant.
func nearby(name string) int { return min(2, len(name)/2) }

// flagError makes an error about the flags of a command a [usageError], and names the
// flag that may have been meant. It repeats no value.
func flagError(cmd *cobra.Command, err error) error {
	unknown, invalid := new(pflag.NotExistError), new(pflag.InvalidValueError)
	switch {
	case errors.As(err, &invalid):
		return usageError{valueError(invalid)}
	case errors.As(err, new(*pflag.InvalidSyntaxError)):
		return usageError{fmt.Errorf("bad flag syntax: write --flag value or --flag=value, see %s --help", cmd.CommandPath())}
	case !errors.As(err, &unknown):
		return usageError{err}
	}
	given, dashes := unknown.GetSpecifiedName(), "--"
	first := given
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		// The letters behind one dash may be a flag with a secret behind it.
		given, _, _ = strings.Cut(short, "=")
		dashes = "-"
	}
	if near := nearFlags(cmd, given); len(near) > 0 {
		return usageError{fmt.Errorf("unknown flag: %s%s: did you mean --%s?", dashes, given, strings.Join(near, " or --"))}
	}
	if quoted(first) == "" {
		return usageError{fmt.Errorf("unknown flag: see %s --help", cmd.CommandPath())}
	}
	return usageError{fmt.Errorf("unknown flag: %s%s: see %s --help", dashes, first, cmd.CommandPath())}
}

// nearFlags returns the names of a command's flags that may have been meant. cobra
// compares the names of commands only.
func nearFlags(cmd *cobra.Command, given string) []string {
	if quoted(given) == "" {
		return nil
	}
	flags := &cobra.Command{SuggestionsMinimumDistance: nearby(given)}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: flag.Name, Hidden: flag.Hidden, Run: func(*cobra.Command, []string) {}})
	})
	return flags.SuggestionsFor(given)
}

// runs sets the function of a command that takes flags only, and returns the command.
func runs(cmd *cobra.Command, command func(caddycmd.Flags) error) *cobra.Command {
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return command(caddycmd.Flags{FlagSet: cmd.Flags()})
	}
	return cmd
}

// noArguments makes arguments an error, so that a value without its flag, or one
// behind a switch, is not ignored. The error does not quote it, since it may be a URL
// with a password.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument: %s takes flags only: write each value behind its flag (--flag value), and none behind a switch",
		cmd.CommandPath())
}

// noCommands makes arguments an error where only a command could follow.
func noCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown command%s for %q: see %s --help", quoted(args[0]), cmd.CommandPath(), cmd.CommandPath())
}
