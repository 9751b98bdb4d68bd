package deploy_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// The oldest release of Kubernetes that the manifests work with (docs/deployment.md),
// and the newest whose schemas the validator has.
var releases = []string{"1.30", "1.37"}

// validator is the program that compares manifests with Kubernetes' schemas.
func validator(t *testing.T) string {
	t.Helper()
	args := []string{"--cached", "kubernetes-validate"}
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		args = args[1:]
	}
	output, err := exec.CommandContext(t.Context(), "../../scripts/python-env", args...).Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		services.Missing(t, "kubernetes-validate is not installed "+string(failed.Stderr))
	} else if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(output)), "bin", "kubernetes-validate")
}

// validate returns what the validator says of files.
func validate(t *testing.T, files ...string) (said string, err error) {
	t.Helper()
	args := []string{"--strict"}
	for _, release := range releases {
		args = append(args, "--kubernetes-version", release)
	}
	output, err := exec.CommandContext(t.Context(), validator(t), append(args, files...)...).CombinedOutput()
	return string(output), err
}

func TestManifests_PassStrictSchemas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := []string{write(t, dir, "chart.yaml", chartPod(t))}
	objects := 1
	for name, installed := range installations {
		rendered := installed.render(t)
		objects += len(parse(t, rendered))
		files = append(files, write(t, dir, name+".yaml", rendered))
	}
	said, err := validate(t, files...)
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if passed := strings.Count(said, " passed for resource "); passed != objects*len(releases) {
		t.Errorf("%d of %d objects were compared with %d releases", passed, objects, len(releases))
	}
}

// What is wrong has to be found, or the test above means nothing.
func TestSchemas_RefuseWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := string(installations["sidecar-pod"].render(t))
	for name, planted := range map[string][2]string{
		"a field's name":  {"readOnlyRootFilesystem:", "readOnlyRootFileSystem:"},
		"a probe's field": {"httpGet:", "httpget:"},
		"a value's type":  {"terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(good, planted[0]) {
				t.Fatalf("there is no %q", planted[0])
			}
			said, err := validate(t, write(t, t.TempDir(), "bad.yaml", []byte(strings.ReplaceAll(good, planted[0], planted[1]))))
			if err == nil || !regexp.MustCompile(`did not validate|failed|is not|unexpected`).MatchString(said) {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}

// write writes a file, and returns its path.
func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
