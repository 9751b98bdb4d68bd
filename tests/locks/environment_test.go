package locks_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// A project is a copy of scripts/airflow-env and scripts/python-env with lock
// files, a cache and a package index of its own, which has one package.
type project struct {
	root  string
	wheel [sha256.Size]byte
}

func newProject(t *testing.T) *project {
	t.Helper()
	p := &project{root: t.TempDir()}
	for _, name := range []string{"airflow-env", "python-env"} {
		script, err := os.ReadFile("../../scripts/" + name)
		if err != nil {
			t.Fatal(err)
		}
		p.write(t, "scripts/"+name, script)
	}
	p.write(t, "scripts/locks/python", read(t, "python"))
	wheel := wheel(t)
	p.wheel = sha256.Sum256(wheel)
	p.write(t, "index/some_package-1.0-py3-none-any.whl", wheel)
	return p
}

func (p *project) write(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// lock writes the lock file of Airflow 3.0, with a comment and the hash of the
// one package.
func (p *project) lock(t *testing.T, comment string, hash [sha256.Size]byte) {
	t.Helper()
	p.write(t, "scripts/locks/airflow-3.0.txt", fmt.Appendf(nil, "# %s\nsome-package==1.0 \\\n    --hash=sha256:%x\n", comment, hash))
}

// run runs airflow-env, and returns what it prints and says.
func (p *project) run(t *testing.T, environ []string, args ...string) (path, said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(p.root, "scripts/airflow-env"), args...)
	cmd.Env = append(os.Environ(), "DAGFENCE_AIRFLOW_CACHE="+p.root+"/cache",
		"PIP_NO_INDEX=1", "PIP_FIND_LINKS="+p.root+"/index", "PIP_NO_CACHE_DIR=1")
	cmd.Env = append(cmd.Env, environ...)
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	output, err := cmd.Output()
	return strings.TrimSpace(string(output)), stderr.String(), err
}

// wheel is a package "some-package" with one empty module.
func wheel(t *testing.T) []byte {
	t.Helper()
	content := new(bytes.Buffer)
	archive := zip.NewWriter(content)
	for name, text := range map[string]string{
		"some_package.py":                     "",
		"some_package-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n",
		"some_package-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"some_package-1.0.dist-info/RECORD":   "some_package.py,,\nsome_package-1.0.dist-info/METADATA,,\nsome_package-1.0.dist-info/WHEEL,,\nsome_package-1.0.dist-info/RECORD,,\n",
	} {
		file, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return content.Bytes()
}

// TestEnvironment_IsMadeOnceForALock also makes it from two sides at once.
func TestEnvironment_IsMadeOnceForALock(t *testing.T) {
	t.Parallel()
	needsPython(t)
	p := newProject(t)
	p.lock(t, "as it was", p.wheel)
	if path, said, err := p.run(t, nil, "--cached", "3.0"); err == nil || path+said != "" {
		t.Errorf("%q %q, want none yet", path, said)
	}

	var paths [2]string
	var both sync.WaitGroup
	for i := range paths {
		both.Go(func() {
			path, said, err := p.run(t, nil, "3.0")
			if err != nil {
				t.Errorf("%v: %s", err, said)
			}
			paths[i] = path
		})
	}
	both.Wait()
	if paths[0] == "" || paths[0] != paths[1] {
		t.Fatalf("two runs made %q", paths)
	}
	if output, err := exec.CommandContext(t.Context(), paths[0]+"/bin/python", "-c", "import some_package").CombinedOutput(); err != nil {
		t.Errorf("what is locked is not there: %s", output)
	}
	if path, said, err := p.run(t, nil, "--cached", "3.0"); path != paths[0] || err != nil {
		t.Errorf("%q %q, want the one that was made, %s", path, said, paths[0])
	}

	p.lock(t, "as it is now", p.wheel)
	if path, _, err := p.run(t, nil, "--cached", "3.0"); err == nil {
		t.Errorf("another lock file is served by %s", path)
	}
}

func TestEnvironment_IsNotMadeFromAnotherFile(t *testing.T) {
	t.Parallel()
	needsPython(t)
	p := newProject(t)
	p.lock(t, "of another file", sha256.Sum256([]byte("another")))
	for range 2 { // what the first leaves behind is not taken by the second
		path, said, err := p.run(t, nil, "3.0")
		if err == nil || path != "" || !strings.Contains(said, "python-env: pip could not install what") {
			t.Fatalf("%v, %q, %s", err, path, said)
		}
	}
	if path, _, err := p.run(t, nil, "--cached", "3.0"); err == nil {
		t.Errorf("there is %s", path)
	}
}

func TestEnvironment_SaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	needsPython(t)
	p := newProject(t)
	p.lock(t, "", p.wheel)
	for name, tc := range map[string]struct {
		environ []string
		args    []string
		want    string
	}{
		"no lock file":            {nil, []string{"3.99.0"}, "write one with make lock VERSION=3.99.0"},
		"no lock file, if cached": {nil, []string{"--cached", "3.99.0"}, "write one with make lock VERSION=3.99.0"},
		"no release":              {nil, []string{"../3.0"}, `"../3.0" is not a release of Airflow: must be like`},
		"no version":              {nil, []string{""}, `"" is not a release of Airflow`},
		"no argument":             {nil, nil, "usage: "},
		"too many":                {nil, []string{"3.0", "3.1"}, "usage: "},
		"no Python":               {[]string{"PYTHON=/no such/python"}, []string{"3.0"}, "/no such/python is no supported Python: install Python 3.11 or 3.12"},
		"another program":         {[]string{"PYTHON=false"}, []string{"--python"}, "false is no supported Python"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, said, err := p.run(t, tc.environ, tc.args...)
			if err == nil || path != "" || !strings.Contains(said, tc.want) {
				t.Errorf("%v, %q, %s\nwant %s", err, path, said, tc.want)
			}
		})
	}
}

// needsPython skips the test where there is no supported Python.
func needsPython(t *testing.T) {
	t.Helper()
	_, err := exec.CommandContext(t.Context(), "../../scripts/airflow-env", "--python").Output()
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		services.Missing(t, string(failed.Stderr))
	} else if err != nil {
		t.Fatal(err)
	}
}
