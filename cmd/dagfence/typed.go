package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

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
	failed := new(fs.PathError)
	if errors.As(err, &failed) && (strings.Contains(failed.Path, "@") || quoted(failed.Path) == "" && !strings.Contains(failed.Path, "/")) {
		err = failed.Err
	}
	return fmt.Errorf("--%s: %w", flag, err)
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
