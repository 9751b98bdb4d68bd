// Package locks_test checks what the Python environments of the other tests are
// made of: the lock files, and the script that installs from them.
package locks_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const locks = "../../scripts/locks"

// TestLocks_BelongToTheirInputs checks that each input has a lock file that was
// made from it as it is now, and the other way round.
func TestLocks_BelongToTheirInputs(t *testing.T) {
	t.Parallel()
	var names []string
	for _, pattern := range []string{"*.in", "*.txt"} {
		files, err := filepath.Glob(filepath.Join(locks, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)))
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input := read(t, name+".in")
			if err := check(name, read(t, "python"), input, read(t, name+".txt")); err != nil {
				t.Errorf("%v: run make lock", err)
			}
		})
	}
	for _, version := range released(t) {
		if !slices.Contains(names, "airflow-"+version) {
			t.Errorf("the Makefile names Airflow %s, and %s has no lock file of it: run make lock VERSION=%[1]s", version, locks)
		}
	}
}

// released are the releases that the Makefile installs.
func released(t *testing.T) []string {
	t.Helper()
	makefile := read(t, "../../Makefile")
	line := regexp.MustCompile(`(?m)^AIRFLOW := (.+)$`).FindSubmatch(makefile)
	if line == nil {
		t.Fatal("the Makefile has no line AIRFLOW := ...")
	}
	return strings.Fields(string(line[1]))
}

var (
	requirement = regexp.MustCompile(`^[a-z0-9-]+==[^ ;]+( ; [^\\]+)? \\$`)
	hash        = regexp.MustCompile(`^    --hash=sha256:[0-9a-f]{64}( \\)?$`)
)

// check returns what is wrong with the lock file of an input.
func check(name string, pythons, input, lock []byte) error {
	digest := fmt.Sprintf("# input: %x", sha256.Sum256(slices.Concat(pythons, input)))
	if !bytes.Contains(lock, []byte("\n"+digest+"\n")) {
		return fmt.Errorf("%s.txt was made from another %[1]s.in, or for other Pythons", name)
	}
	if version, ok := strings.CutPrefix(name, "airflow-"); ok && !bytes.Contains(input, []byte("\napache-airflow=="+version+"\n")) {
		return fmt.Errorf("%s.in is about another release", name)
	}
	if bytes.Contains(input, []byte("://")) {
		return fmt.Errorf("%s.in names an index", name)
	}
	return checkLines(name, strings.Split(strings.TrimSuffix(string(lock), "\n"), "\n"))
}

// checkLines checks that a lock file holds nothing but comments at its head, and
// versions with at least one hash each.
func checkLines(name string, lines []string) error {
	hashes, packages := 1, 0
	for i, line := range append(lines, "") {
		switch {
		case strings.HasPrefix(line, "#") && packages == 0:
		case hash.MatchString(line):
			hashes++
		case hashes == 0:
			return fmt.Errorf("%s.txt:%d: there is no hash of what is above", name, i)
		case requirement.MatchString(line):
			hashes, packages = 0, packages+1
		case i < len(lines):
			return fmt.Errorf("%s.txt:%d: %q is neither a version nor a hash", name, i+1, line)
		}
	}
	if packages == 0 {
		return fmt.Errorf("%s.txt names no package", name)
	}
	return nil
}

func TestLocks_ThatDoNotBelongAreNoticed(t *testing.T) {
	t.Parallel()
	pythons, input, lock := read(t, "python"), read(t, "airflow-3.3.2.in"), read(t, "airflow-3.3.2.txt")
	replace := func(content []byte, old, by string) []byte {
		t.Helper()
		replaced := bytes.Replace(content, []byte(old), []byte(by), 1)
		if bytes.Equal(replaced, content) {
			t.Fatalf("there is no %q to replace", old)
		}
		return replaced
	}
	for name, tc := range map[string]struct {
		pythons, input, lock []byte
		want                 string
	}{
		"another input":    {pythons, replace(input, "asyncpg", "asyncpg<1"), lock, "made from another"},
		"other Pythons":    {append(slices.Clone(pythons), "3.13"...), input, lock, "made from another"},
		"no package":       {pythons, input, lock[:bytes.Index(lock, []byte("\na2wsgi"))+1], "names no package"},
		"an index":         {pythons, input, append([]byte("--index-url https://example.org\n"), lock...), "neither a version"},
		"no version":       {pythons, input, append(slices.Clone(lock), "six \\\n"...), "neither a version"},
		"a file":           {pythons, input, append(slices.Clone(lock), "six @ file:///six.whl\n"...), "neither a version"},
		"no hash":          {pythons, input, replace(lock, "apache-airflow==", "six==1.17.0 \\\napache-airflow=="), "no hash"},
		"no hash, at last": {pythons, input, append(slices.Clone(lock), "six==1.17.0 \\\n"...), "no hash"},
		"a weak hash":      {pythons, input, replace(lock, "--hash=sha256:", "--hash=md5:"), "no hash"},
		"one that belongs": {pythons, input, lock, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := check("airflow-3.3.2", tc.pythons, tc.input, tc.lock)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	if err := check("airflow-3.2.2", pythons, input, lock); err == nil {
		t.Error("the lock file of one release is taken for another's")
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(locks, name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}
