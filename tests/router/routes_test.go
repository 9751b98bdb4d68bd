package router_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// routesOf is the file with a release's endpoints, which the table is held against.
func routesOf(version string) string {
	return "../../caddymodule/route/testdata/airflow-" + version + ".tsv"
}

// newestVersion is a release's newest API version.
func newestVersion(t *testing.T, version string) string {
	t.Helper()
	file, err := os.Open(routesOf(version))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	release, err := route.ReadRelease(file)
	if err != nil {
		t.Fatal(err)
	}
	return release.Versions[len(release.Versions)-1]
}

// TestGoldenRoutesAreTheReleases makes each list again from the installed release:
// the newest that the fence knows, and the others where scripts/airflow-env has
// made them before.
func TestGoldenRoutesAreTheReleases(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(routesOf("*"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("%d lists of endpoints (%v)", len(paths), err)
	}
	for _, path := range paths {
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "airflow-"), ".tsv")
		if version != latest && exec.CommandContext(t.Context(), "../../scripts/airflow-env", "--cached", version).Run() != nil {
			continue
		}
		t.Run(version, func(t *testing.T) {
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), filepath.Join(environment(t, version), "bin", "python"), "../../scripts/airflow-routes.py")
			log := new(bytes.Buffer)
			cmd.Stderr = log
			got, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, log)
			}
			if bytes.Equal(got, want) {
				return
			}
			for line := range strings.Lines(string(got)) {
				if !bytes.Contains(want, []byte(line)) {
					t.Errorf("only the release has: %s", line)
				}
			}
			for line := range strings.Lines(string(want)) {
				if !bytes.Contains(got, []byte(line)) {
					t.Errorf("only %s has: %s", path, line)
				}
			}
			t.Errorf("%s is not what Airflow %s says; scripts/airflow-routes.py writes it anew", path, version)
		})
	}
}
