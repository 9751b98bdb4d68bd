package starts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// call runs the binary until it ends, and returns its exit code, and what it writes to
// standard output and standard error.
func call(tb testing.TB, args ...string) (code int, out, errors string) {
	tb.Helper()
	cmd := sidecar.Command(tb, args...)
	cmd.Dir = tb.TempDir() // without a Caddyfile
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the code is looked at
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestFailure_IsOneSentenceOnStandardError(t *testing.T) {
	t.Parallel()
	wrong := write(t, "Caddyfile", ":8081 {\ndagfence {\nmodus x\n}\n}\n")
	fenced := write(t, "Caddyfile", "{\n\tadmin "+services.Address(t)+"\n}\n:8081 {\n\tdagfence {\n\t\tmode audit\n\t}\n}\n")
	for name, c := range map[string]struct {
		code int
		args []string
		want string
	}{
		"an unknown command":      {2, []string{"prox", "--listen", ":1"}, "did you mean proxy?"},
		"a removed command":       {2, []string{"upgrade"}, "Caddy's command upgrade"},
		"an unknown flag":         {2, []string{"routes", "--compar", "x"}, "did you mean --compare?"},
		"an unknown topic":        {2, []string{"help", "start"}, "Caddy's command start"},
		"an argument too many":    {2, []string{"validate", "Caddyfile"}, "unexpected argument"},
		"a file of check":         {1, []string{"check", "--config", "nowhere"}, "open nowhere"},
		"a Caddyfile of check":    {1, []string{"check", "--config", wrong}, "modus"},
		"a file of validate":      {1, []string{"validate", "--config", "nowhere"}, "open nowhere"},
		"a Caddyfile of validate": {1, []string{"validate", "--config", wrong}, "modus"},
		"a Caddyfile of adapt":    {1, []string{"adapt", "--config", wrong}, "modus"},
		"no Caddyfile of adapt":   {1, []string{"adapt"}, "input file required"},
		"a file of fmt":           {1, []string{"fmt", "nowhere"}, "open nowhere"},
		"no process to stop":      {1, []string{"stop", "--config", fenced}, "refused"},
		"no file to reload":       {1, []string{"reload"}, "no config file"},
		"no fence":                {1, []string{"health", "--status", services.Address(t)}, "refused"},
	} {
		code, out, errors := call(t, c.args...)
		if code != c.code || out != "" || !strings.HasPrefix(errors, "Error: ") || !strings.Contains(errors, c.want) || strings.Count(errors, "\n") != 1 {
			t.Errorf("%s: code %d, want %d and %q; printed %q; says %q", name, code, c.code, c.want, out, errors)
		}
	}
}

func TestResults_AreOnStandardOutputAlone(t *testing.T) {
	t.Parallel()
	config := write(t, "Caddyfile", "{\n\tadmin off\n}\n:8081 {\n\tdagfence {\n\t\townership_file "+write(t, "owners.yaml", "dags: {dag_a: team_a}\n")+"\n\t}\n}\n")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"help": {nil, "Usage:"}, "version": {[]string{"version"}, "\ncommit "}, "--version": {[]string{"--version"}, "\ncommit "},
		"routes": {[]string{"routes"}, "/variables/keys"}, "adapt": {[]string{"adapt", "--config", config}, `"handler":"dagfence"`},
		"fmt": {[]string{"fmt", config}, "ownership_file"}, "list-modules": {[]string{"list-modules"}, "http.handlers.dagfence\n"},
		"build-info": {[]string{"build-info"}, "dep\t"}, "environ": {[]string{"environ"}, "HOME="}, "completion": {[]string{"completion", "bash"}, "dagfence"},
		"check": {[]string{"check", "--direct-url", "http://127.0.0.1:1"}, "\nok "},
	} {
		if code, out, errors := call(t, c.args...); code != 0 || !strings.Contains(out, c.want) || errors != "" {
			t.Errorf("%s: code %d, printed %.300q; says %q", name, code, out, errors)
		}
	}
	for _, args := range [][]string{{"version", "--json"}, {"routes", "--json"}, {"list-modules", "--json"}, {"check", "--json", "--direct-url", "http://127.0.0.1:1"}} {
		if code, out, errors := call(t, args...); code != 0 || !json.Valid([]byte(out)) || errors != "" {
			t.Errorf("%v: code %d, printed %.300q; says %q", args, code, out, errors)
		}
	}
	code, out, errors := call(t, "check", "--json", "--config", config)
	if code != 1 || !json.Valid([]byte(out)) || !strings.HasPrefix(errors, "Error: ") || strings.Count(errors, "\n") != 1 {
		t.Errorf("findings: code %d, printed %q; says %q", code, out, errors)
	}
	if code, out, _ := call(t, "validate", "--config", config); code != 0 || out != "Valid configuration\n" {
		t.Errorf("validate: code %d, printed %q", code, out)
	}
}

// What can't be printed is an error: a script would take nothing for no finding.
func TestResultsThatAreLost_AreAFailure(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{
		{"version"},
		{"version", "--json"},
		{"routes"},
		{"routes", "--json"},
		{"check", "--direct-url", "http://127.0.0.1:1"},
		{"check", "--json", "--direct-url", "http://127.0.0.1:1"},
	} {
		cmd := sidecar.Command(t, args...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = full, &stderr
		_ = cmd.Run() // the code is looked at
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%v: code %d, %q", args, code, &stderr)
		}
	}
}
