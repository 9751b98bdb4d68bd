// Package release_test builds dagfence as it is released: the same bytes wherever,
// static, with the version of its tag.
package release_test

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// run returns what a command prints, run in a folder with other settings of Go's
// than those of the project.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOAMD64=v3", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=1", "GOOS=linux", "GOARCH=amd64")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// clone returns a clone of what is committed here, in a folder of its own.
func clone(t *testing.T, tag string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	run(t, root, "git", "clone", "--quiet", "--shared", "--no-tags", ".", dir)
	if tag != "" {
		run(t, dir, "git", "tag", tag)
	}
	return dir
}

// build returns the binary that a clone builds, what Go says about it, and the
// version that it prints.
func build(t *testing.T, dir string) (content []byte, info *buildinfo.BuildInfo, version string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dagfence")
	run(t, dir, "scripts/build", file, "linux/amd64")
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if content, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	version, _, _ = strings.Cut(run(t, dir, file, "version"), "\n")
	return content, info, version
}

func TestBuild_IsTheSameInEveryFolder(t *testing.T) {
	t.Parallel()
	first, info, version := build(t, clone(t, "v0.98.7"))
	second, _, _ := build(t, clone(t, "v0.98.7"))
	if !bytes.Equal(first, second) {
		t.Error("two builds of one commit differ")
	}
	if version != "dagfence v0.98.7" {
		t.Errorf("built from the tag v0.98.7, it says %q", version)
	}
	for _, setting := range info.Settings {
		if setting.Key == "GOAMD64" && setting.Value != "v1" {
			t.Errorf("built for GOAMD64=%s, want v1: GOAMD64 of whoever builds changes the binary", setting.Value)
		}
	}
	if here, err := filepath.Abs(root); err != nil || bytes.Contains(first, []byte(here)) {
		t.Errorf("the binary names the folder %s in which it was built (%v)", here, err)
	}
	binary, err := elf.NewFile(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary is not static: it needs %v, %v", libraries, err)
	}
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			t.Error("the binary is not static: it needs an interpreter")
		}
	}
}

func TestBuild_SaysThatItIsNoRelease(t *testing.T) {
	t.Parallel()
	dir := clone(t, "")
	if err := os.WriteFile(filepath.Join(dir, "README.md"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	commit := strings.TrimSpace(run(t, dir, "git", "rev-parse", "HEAD"))
	_, _, version := build(t, dir)
	if want := regexp.MustCompile(`^dagfence v0\.0\.0-\d{14}-` + commit[:12] + `\+dirty$`); !want.MatchString(version) {
		t.Errorf("built from a changed tree without a tag, it says %q, want %s", version, want)
	}
}

// An action that is named by a tag is whatever its owner makes of the tag later.
func TestWorkflows_PinWhatTheyRun(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, ".github/workflows/*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no workflows (%v)", err)
	}
	uses, pinned := regexp.MustCompile(`(?m)^\s*(?:- )?uses:\s*(.+)$`), regexp.MustCompile(`^(?:\./\S+|[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range uses.FindAllSubmatch(content, -1) {
			if !pinned.Match(match[1]) {
				t.Errorf("%s uses %s: must be OWNER/NAME@DIGEST # vX.Y.Z", file, match[1])
			}
		}
		if !bytes.Contains(content, []byte("\npermissions: {}\n")) {
			t.Errorf("%s grants all of its jobs what one may need: must have permissions: {}", file)
		}
	}
}
