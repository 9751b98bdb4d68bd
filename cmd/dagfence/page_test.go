package main_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
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

// pages returns README.md and the pages in docs/, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, path := range append(paths, "../../README.md") {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found[path] = string(content)
	}
	return found
}

var (
	shellBlock = regexp.MustCompile("(?s)```(?:sh|console)\n(.*?)```")
	commandEnd = regexp.MustCompile(`(?m)(?:^|\s)#.*$|\s(?:\|\|?|&&|&|;)(?:\s|$)|\n`)
	shellWord  = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	quotes     = strings.NewReplacer("'", "", `"`, "")
	inlineCode = regexp.MustCompile("`dagfence ([^`]+)`")
)

// calls returns the arguments of each call of dagfence in the blocks of a page that
// are meant for a shell, directly or in a container. Those with an ellipsis are left
// out.
func calls(page string, commands map[string]bool) (found [][]string) {
	for _, block := range shellBlock.FindAllStringSubmatch(page, -1) {
		for _, command := range commandEnd.Split(strings.ReplaceAll(block[1], "\\\n", " "), -1) {
			if strings.Contains(command, "…") {
				continue
			}
			words := strings.Fields(quotes.Replace(strings.Join(shellWord.FindAllString(command, -1), " ")))
			for i, word := range words {
				first := i == 0 || words[i-1] == "$" || words[i-1] == "--"
				if path.Base(word) == "dagfence" && (first || i+1 < len(words) && commands[words[i+1]]) {
					found = append(found, words[i+1:])
					break
				}
			}
		}
	}
	return found
}

// acceptable returns what is wrong with a call, without making it.
func acceptable(args []string) error {
	cmd, rest, err := main.NewRoot().Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	return err
}

func TestPages_CallCommandsThatAreThere(t *testing.T) {
	t.Parallel()
	commands := make(map[string]bool)
	for _, cmd := range main.NewRoot().Commands() {
		commands[cmd.Name()] = true
	}
	byPage := make(map[string]int)
	for page, content := range pages(t) {
		for _, args := range calls(content, commands) {
			byPage[filepath.Base(page)]++
			if err := acceptable(args); err != nil {
				t.Errorf("%s: dagfence %s: %v", page, strings.Join(args, " "), err)
			}
		}
		for _, match := range inlineCode.FindAllStringSubmatch(content, -1) {
			words := strings.Fields(match[1])
			cmd, _, err := main.NewRoot().Find(words[:1])
			if err != nil {
				t.Errorf("%s: `dagfence %s`: %v", page, match[1], err)
				continue
			}
			cmd.InitDefaultHelpFlag()
			for _, word := range words[1:] {
				name, long := strings.CutPrefix(strings.Trim(word, "[]"), "--")
				if name, _, _ = strings.Cut(name, "="); long && cmd.Flags().Lookup(name) == nil {
					t.Errorf("%s: `dagfence %s`: no flag --%s", page, match[1], name)
				}
			}
		}
	}
	for page, least := range map[string]int{
		"README.md": 1, "quickstart.md": 5, "commands.md": 4, "checking.md": 3, "operations.md": 12, "troubleshooting.md": 1, "deployment.md": 2, "containers.md": 1,
	} {
		if byPage[page] < least {
			t.Errorf("%s: only %d calls of dagfence were found, of %d at least", page, byPage[page], least)
		}
	}
}

func TestPages_CallsThatAreWrongAreFound(t *testing.T) {
	t.Parallel()
	for line, wrong := range map[string]bool{
		"dagfence check --upstream http://127.0.0.1:8080 | grep token # comment": false,
		"$ bin/dagfence explain GET '/execution/variables/a'":                    false,
		"kubectl exec deployment/dagfence -- \\\n  /dagfence chek":               true,
		"podman run dagfence health --stats 127.0.0.1:8082":                      true,
		"true && dagfence explain GET":                                           true,
		"dagfence frobnicate":                                                    true,
	} {
		found := calls("```sh\n"+line+"\n```\n", map[string]bool{"health": true})
		if len(found) != 1 {
			t.Errorf("%q: %d calls were found: %q", line, len(found), found)
		} else if err := acceptable(found[0]); (err != nil) != wrong {
			t.Errorf("%q: read as %q: %v", line, found[0], err)
		}
	}
}
