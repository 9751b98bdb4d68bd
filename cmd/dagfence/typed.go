package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// quoted returns what was typed as a word of a sentence, with a space before it; ""
// where it may be a URL with a password or a token, which errors must not repeat.
func quoted(typed string) string {
	if strings.ContainsAny(typed, ":/@") || len(typed) > 64 {
		return ""
	}
	return fmt.Sprintf(" %q", typed)
}

// fileError returns an error about the file that a flag names. It leaves the path out
// where it may be what belongs into a file or another flag: a token, or a URL with a
// password.
func fileError(flag string, err error) error {
	if failed := new(fs.PathError); errors.As(err, &failed) && noPath(failed.Path) {
		err = failed.Err
	}
	return fmt.Errorf("--%s: %w", flag, err)
}

// noPath reports whether what was typed as a path may be a secret.
func noPath(typed string) bool {
	return strings.Contains(typed, "@") || quoted(typed) == "" && !strings.Contains(typed, "/")
}

// discreetly runs a command of Caddy's, whose errors repeat what was typed.
func discreetly(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if err == nil {
			return nil
		}
		text := err.Error()
		cmd.Flags().Visit(func(flag *pflag.Flag) {
			values := []string{flag.Value.String()}
			if list, ok := flag.Value.(pflag.SliceValue); ok {
				values = list.GetSlice()
			}
			args = append(args, values...)
		})
		for _, typed := range args {
			// What follows may repeat a part of it.
			if before, _, found := strings.Cut(text, typed); found && noPath(typed) {
				text = before + "(what was typed)"
			}
		}
		if text == err.Error() {
			return err
		}
		return errors.New(text)
	}
}

// valueError returns an error about the value of a flag without the value.
func valueError(invalid *pflag.InvalidValueError) error {
	flag, must := invalid.GetFlag(), "must be of type "
	if flag.Value.Type() == "bool" {
		must = "must be true or false: it is a switch, which no value follows"
	} else {
		must += flag.Value.Type()
	}
	return fmt.Errorf("invalid value for --%s: %s", flag.Name, must)
}
