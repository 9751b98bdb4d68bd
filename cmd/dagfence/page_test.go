package main_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// table is the flags of a command as docs/commands.md has them.
func table(cmd *cobra.Command) string {
	var rows strings.Builder
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		name, value := "`--"+flag.Name+"`", ""
		if flag.Shorthand != "" {
			name += ", `-" + flag.Shorthand + "`"
		}
		if flag.DefValue != "" && flag.DefValue != "false" && flag.DefValue != "[]" {
			value = "`" + flag.DefValue + "`"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, value, flag.Usage)
	})
	if rows.Len() == 0 {
		return ""
	}
	return "| flag | default | |\n| --- | --- | --- |\n" + rows.String()
}

func TestCommandsPage_HasEveryCommandWithItsFlags(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, section := range strings.Split(string(content), "\n### ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[strings.Trim(name, "`")] = text
	}
	for _, cmd := range main.NewRoot().Commands() {
		section, ok := sections[cmd.CommandPath()]
		delete(sections, cmd.CommandPath())
		want := table(cmd)
		if !ok || !strings.Contains(section, want) || strings.Count(section, "| `--") != strings.Count(want, "| `--") {
			t.Errorf("no section, or another table of flags: want\n\n### `%s`\n\n%s", cmd.CommandPath(), want)
		}
	}
	for name := range sections {
		t.Errorf("%s is no command", name)
	}
}
