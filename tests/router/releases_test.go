package router_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// routesOf is the file with a release's endpoints, which the table is compared with.
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

// TestGolden_FilesAreTheReleases makes what was read from a release, its endpoints
// and its tables, again from the installed one: of the latest, or the one that
// DAGFENCE_FUZZ_AIRFLOW names.
func TestGolden_FilesAreTheReleases(t *testing.T) {
	t.Parallel()
	wanted, made := latest, 0
	if other, ok := os.LookupEnv("DAGFENCE_FUZZ_AIRFLOW"); ok {
		wanted = other
	}
	names := regexp.MustCompile(`Airflow (\d\S+)(?:,| create them on (\w+);) .*(airflow-\w+\.py)`) // in the first line
	for pattern, atLeast := range map[string]int{routesOf("*"): 4, "../../caddymodule/route/testdata/others-*.txt": 1, "../../lookup/testdata/airflow-*.sql": 12} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) < atLeast {
			t.Fatalf("%d files are %s (%v)", len(paths), pattern, err)
		}
		for _, path := range paths {
			golden, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			said := names.FindStringSubmatch(string(golden))
			if said == nil {
				t.Fatalf("%s does not say which script made it of which release", path)
			}
			version, dialect, script := said[1], said[2], said[3]
			if version != wanted {
				continue
			}
			made++
			t.Run(filepath.Base(path), func(t *testing.T) {
				args := strings.Fields("../../scripts/" + script + " " + dialect)
				cmd := exec.CommandContext(t.Context(), filepath.Join(environment(t, version), "bin", "python"), args...)
				log := new(bytes.Buffer)
				cmd.Stderr = log
				output, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, log)
				}
				compareLines(t, string(output), string(golden))
			})
		}
	}
	if made == 0 {
		t.Errorf("no file was made of Airflow %s", wanted)
	}
}

// compareLines says which lines a release has and its golden file has not, or the
// other way around.
func compareLines(t *testing.T, made, golden string) {
	t.Helper()
	if made == golden {
		return
	}
	t.Error("the release is not what its file says; make it anew with the script that its first line names")
	for line := range strings.Lines(made) {
		if !strings.Contains(golden, line) {
			t.Errorf("only the release has: %s", line)
		}
	}
	for line := range strings.Lines(golden) {
		if !strings.Contains(made, line) {
			t.Errorf("only the file has: %s", line)
		}
	}
}
