// Package plugin_test builds the handler into an ordinary Caddy, as xcaddy does.
package plugin_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// run returns what a command prints on standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, errors.String())
	}
	return string(out)
}

func TestCaddy_TakesTheHandlerAsAPlugin(t *testing.T) {
	t.Parallel()
	caddy := filepath.Join(t.TempDir(), "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", caddy, ".")
	build.Dir = "caddy"
	run(t, build)

	modules := strings.Fields(run(t, exec.CommandContext(t.Context(), caddy, "list-modules", "--skip-standard")))
	for _, want := range []string{"http.handlers.dagfence", "http.handlers.dagfence_status", "tls.get_certificate.dagfence_files"} {
		if !slices.Contains(modules, want) {
			t.Errorf("list-modules has no %s: %s", want, modules)
		}
	}
	adapt := []string{"adapt", "--config", "../../Caddyfile"}
	if got, want := run(t, exec.CommandContext(t.Context(), caddy, adapt...)), run(t, sidecar.Command(t, adapt...)); got != want {
		t.Errorf("Caddy with the plugin adapts the Caddyfile to\n%s\nand dagfence to\n%s", got, want)
	}
}

// What is built there has to be what is tested here.
func TestCaddy_HasTheVersionsOfDagfence(t *testing.T) {
	t.Parallel()
	ours, theirs := required(t, "../../go.mod"), required(t, "caddy/go.mod")
	common := 0
	for module, version := range ours {
		if got, has := theirs[module]; has {
			common++
			if got != version {
				t.Errorf("%s is %s in go.mod and %s in tests/plugin/caddy/go.mod: run make tidy", module, version, got)
			}
		}
	}
	if common < 100 {
		t.Errorf("the two have %d modules in common: this compares nothing", common)
	}
}

func TestInstalling_NamesTheTestedCaddy(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/installing.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "xcaddy build " + required(t, "../../go.mod")["github.com/caddyserver/caddy/v2"] + " --with github.com/dagfence/dagfence/caddymodule@v"
	if !strings.Contains(string(page), want) {
		t.Errorf("docs/installing.md does not say %q", want)
	}
}

// required returns the versions of the modules that a go.mod requires.
func required(t *testing.T, file string) map[string]string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	versions := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], "v") {
			versions[fields[0]] = fields[1]
		}
	}
	return versions
}
