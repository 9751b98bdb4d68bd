package main_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// printed returns what a call of the binary writes to standard output.
func printed(t *testing.T, args ...string) (text string, err error) {
	t.Helper()
	before := os.Stdout
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = file
	defer func() { os.Stdout = before }()
	err = main.Execute(args)
	content, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(content), err
}

// all returns a command and those below it.
func all(cmd *cobra.Command) []*cobra.Command {
	found := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		found = append(found, all(child)...)
	}
	return found
}

// A release of Caddy's may bring a command that replaces the binary, or serves without
// a fence.
func TestCaddysCommands_AreKeptOrRemovedForAReason(t *testing.T) {
	t.Parallel()
	var names []string
	for _, cmd := range main.NewRoot().Commands() {
		names = append(names, cmd.Name())
	}
	for name := range caddycmd.Commands() {
		kept, reason := main.Kept(name)
		if kept == (reason != "") {
			t.Errorf("%s: kept %v, removed because %q: add it to keptCommands or removedCommands", name, kept, reason)
		}
		if kept && !slices.Contains(names, name) || !kept && name != "version" && slices.Contains(names, name) {
			t.Errorf("%s: kept %v, and the commands are %v", name, kept, names)
		}
	}
	want := []string{
		"adapt", "build-info", "check", "completion", "demo", "environ", "explain", "fmt", "health", "help", "invalidate", "list-modules", "lookup", "manpage", "proxy", "reload",
		"report", "routes", "run", "stop", "validate", "version",
	}
	if slices.Sort(names); !slices.Equal(names, want) {
		t.Errorf("the commands are %v, want %v", names, want)
	}
}

func TestHelp_SpeaksOfDagfence(t *testing.T) {
	t.Parallel()
	foreign := regexp.MustCompile(`\bcaddy\b|Caddy (process|instance|binary|server)|caddyserver`)
	for _, cmd := range all(main.NewRoot()) {
		texts := []string{cmd.Short, cmd.Long, cmd.Example, cmd.UseLine()}
		cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
			if !flag.Hidden {
				texts = append(texts, flag.Usage)
			}
		})
		for _, text := range texts {
			if found := foreign.FindString(text); found != "" {
				t.Errorf("%s: %q in %q", cmd.CommandPath(), found, text)
			}
		}
		if cmd.Short == "" && cmd.Name() != "dagfence" {
			t.Errorf("%s has no short description", cmd.CommandPath())
		}
	}
}

func TestWithoutACommand_HelpIsPrinted(t *testing.T) {
	for _, args := range [][]string{{}, {"help"}, {"--help"}, {"help", "proxy"}, {"proxy", "--help"}, {"completion"}} {
		if text, err := printed(t, args...); err != nil || !strings.Contains(text, "Usage:\n  dagfence") {
			t.Errorf("%v: %v, %q", args, err, text)
		}
	}
}

func TestWrongCall_IsAUsageErrorThatNamesTheNearest(t *testing.T) {
	for call, want := range map[string]string{
		"prox":                                   `unknown command "prox" for "dagfence": did you mean proxy?`,
		"prox --listen :1":                       `unknown command "prox" for "dagfence": did you mean proxy?`,
		"rn":                                     `unknown command "rn" for "dagfence": did you mean run?`,
		"foo":                                    `unknown command "foo" for "dagfence": see dagfence help`,
		"help rote":                              `unknown command "rote" for "dagfence": did you mean routes?`,
		"postgresql://u:hidden@h/x":              "unknown command: the first argument must be a command",
		"upgrade":                                "dagfence does not have Caddy's command upgrade: it would replace this binary",
		"respond --body x":                       "dagfence does not have Caddy's command respond: it would serve without a fence",
		"help reverse-proxy":                     "use dagfence proxy",
		"start --config x":                       "dagfence does not have Caddy's command start",
		"--vesion":                               "unknown flag: --vesion: did you mean --version?",
		"proxy --lisen :1":                       "unknown flag: --lisen: did you mean --listen?",
		"proxy --databse=x:hidden@h":             "unknown flag: --databse: did you mean --database?",
		"proxy -database=x:hidden@h":             "unknown flag: -database: did you mean --database?",
		"proxy -x":                               "unknown flag: -x: see dagfence proxy --help",
		"run --pingbak x":                        "unknown flag: --pingbak: see dagfence run --help",
		"proxy --listen":                         "flag needs an argument: --listen",
		"proxy x:hidden@h":                       "unexpected argument: dagfence proxy takes flags only",
		"proxy":                                  "--upstream is missing",
		"proxy --upstream ftp://x":               "--upstream is not the URL of a server",
		"proxy --upstream http://x --tls-cert x": "--tls-cert and --tls-key belong together",
		"lookup --listen x":                      "invalid --listen",
		"lookup --deployment a":                  "--deployment has no effect without --redis",
		"lookup --listen :8082":                  "set --token-file or --client-ca",
		"lookup --tls-cert x":                    "belong together",
		"lookup --client-ca x":                   "set --tls-cert and --tls-key",
		"check --direct-url x":                   "--direct-url is not the URL of a server",
		"check --config x --redis x":             "--redis and --config are mutually exclusive",
		"check --upstream x":                     "--upstream is not the URL of a server",
		"health --status x":                      "invalid --status",
		"demo --listen x":                        "invalid --listen",
		"version now":                            "unexpected argument",
		"run Caddyfile":                          "unexpected argument",
		"reload Caddyfile":                       "unexpected argument",
		"fmt a b":                                "accepts at most 1 arg(s)",
		"run --resume --config x":                "--resume would run whatever was loaded last",
		"run":                                    "no configuration: set --config to a Caddyfile",
		"completion tcsh":                        `unknown command "tcsh"`,
		"completion bash x":                      `unknown command "x"`,
		"manpage":                                "--directory is missing",
	} {
		text, err := printed(t, strings.Fields(call)...)
		if err == nil || main.ExitCode(err) != 2 || text != "" {
			t.Errorf("%s: %v, printed %q, want a usage error", call, err, text)
			continue
		}
		if got := main.Sentence(err); !strings.Contains(got, want) || strings.Contains(got, "hidden") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
}

// Whatever was typed may be a URL with a password or a token, in the wrong place.
func TestWrongCall_RepeatsNoSecret(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", busSecret)
	const url = "postgresql://u:hidden@h/x"
	token := strings.Repeat("hidden", 20)
	for call, want := range map[string]string{
		"proxy --audit=" + url:             "invalid value for --audit: must be true or false",
		"check --json=" + url:              "invalid value for --json: must be true or false",
		"run -w=" + url:                    "invalid value for --watch: must be true or false",
		"run --resume=" + url:              "invalid value for --resume: must be true or false",
		"proxy -" + url:                    "unknown flag: -p: see dagfence proxy --help",
		"proxy -" + token:                  "see dagfence proxy --help",
		"proxy -phidden":                   "unknown flag: -p: see dagfence proxy --help",
		"proxy --" + url:                   "unknown flag: see dagfence proxy --help",
		"proxy --" + token:                 "unknown flag: see dagfence proxy --help",
		"proxy --=" + url:                  "bad flag syntax: write --flag value",
		"proxy ---" + url:                  "bad flag syntax: write --flag value",
		url:                                "unknown command",
		token:                              "unknown command",
		"help " + url:                      "unknown command",
		"help " + token:                    "unknown command",
		"completion " + url:                `unknown command for "dagfence completion"`,
		"completion bash " + url:           `unknown command for "dagfence completion bash"`,
		"completion fish " + token:         `unknown command for "dagfence completion fish"`,
		"invalidate " + url + " x":         "invalid kind: must be task",
		"invalidate " + token + " x":       "invalid kind: must be task",
		"invalidate variable x " + url:     "takes a kind and a name",
		"health --status u:hidden@host:80": "invalid --status: must be host:port",
		"health --status hidden@host:80":   "invalid --status: must be host:port",
		"health --status " + url:           "--status is not the URL",
		"health --status " + token:         "invalid --status: must be host:port",
		"demo --listen u:hidden@host:80":   "invalid --listen",
		"lookup --listen " + token:         "invalid --listen",
		"lookup --redis redis://x --deployment " + token:   "invalid --deployment: must be up to 64",
		"lookup --redis redis://x --cache-key-file " + url: "--cache-key-file: no such file",
		"proxy --upstream http://x --upstream-host " + url: "invalid --upstream-host",
		"explain GET /x --task-instance " + token:          "invalid task instance id: must be a UUID",
		"explain GET /x --token-file " + token:             "--token-file: ",
		"explain GET /x --token-file " + url:               "--token-file: no such file",
		"explain GET redis://u:hid%zzden@h":                "400",
		"explain GET redis://u:" + token:                   "400",
		"explain " + token + ":// x":                       "400",
		"check --token-file " + token:                      "--token-file: ",
		"check --config " + url:                            "--config: no such file",
		"run --config " + url:                              "--config: no such file",
		"run --config /dev/null --adapter " + url:          "unrecognized config adapter: (what was typed)",
		"run --config /dev/null --envfile " + url:          "(what was typed)",
		"validate --config " + url:                         "open (what was typed)",
		"validate --config " + token:                       "open (what was typed)",
		"adapt --config " + url:                            "open (what was typed)",
		"reload --config " + url:                           "open (what was typed)",
		"fmt " + url:                                       "open (what was typed)",
		"stop --address " + url:                            "(what was typed)",
		"routes --compare " + url:                          "--compare: no such file",
		"manpage --directory /dev/null/u:hidden@h":         "--directory: mkdir /dev/null: not a directory",
	} {
		text, err := printed(t, strings.Fields(call)...)
		if err == nil || text != "" {
			t.Errorf("%s: %v, printed %q, want an error", call, err, text)
			continue
		}
		if got := main.Sentence(err); !strings.Contains(got, want) || strings.Contains(got, "hid") {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
}

func TestFailure_IsNoUsageError(t *testing.T) {
	for _, call := range []string{
		"check --config /nowhere", "routes --compare /nowhere", "validate --config /nowhere", "fmt /nowhere", "health --status unix//nowhere", "adapt --config /nowhere",
		"reload --config /nowhere", "manpage --directory /dev/null/x", "lookup --ownership-file /nowhere", "run --config /nowhere",
	} {
		if _, err := printed(t, strings.Fields(call)...); err == nil || main.ExitCode(err) != 1 {
			t.Errorf("%s: %v, want a failure", call, err)
		}
	}
	if main.ExitCode(errors.New("anything")) != 1 {
		t.Error("an error is not 1")
	}
}

func TestManpageAndCompletion_AreOfDagfence(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	if text, err := printed(t, "manpage", "--directory", dir); err != nil || text != "" {
		t.Fatalf("%v, %q", err, text)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "dagfence*.8"))
	if err != nil || len(pages) < 15 {
		t.Errorf("%v, %v", pages, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "dagfence-run.8"))
	if err != nil || !strings.Contains(string(content), `.TH "DAGFENCE"`) || strings.Contains(string(content), "pingback") {
		t.Errorf("%v, %s", err, content)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if text, err := printed(t, "completion", shell); err != nil || !strings.Contains(text, "dagfence") || strings.Contains(text, "caddy") {
			t.Errorf("%s: %v, %.200s", shell, err, text)
		}
	}
	if text, err := printed(t, "__complete", "pro"); err != nil || !strings.Contains(text, "proxy\t") {
		t.Errorf("completing: %v, %q", err, text)
	}
}
