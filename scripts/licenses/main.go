// Command licenses prints the licences of what a binary links: which module has
// which, then each text once. It fails for a licence that is not allowed, and for a
// module without one.
//
//	licenses DETECTOR PACKAGE GOOS/GOARCH...
//
// DETECTOR is the program go-licence-detector, PACKAGE the binary's.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// allowed are the licences that a dependency may have, as SPDX names them.
var allowed = []string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "Public Domain"}

// classified are the licences that the detector does not find in a text.
var classified = map[string]string{
	"modernc.org/sqlite/LICENSE-SQLITE": "Public Domain",
}

// notLinked is a text about what no binary contains: a picture.
const notLinked = "modernc.org/memory/LICENSE-LOGO"

// licence matches the names of files that hold a licence; notice those of files
// that have to accompany one (Apache License 2.0, section 4 d).
var (
	licence = regexp.MustCompile(`^(?i:licen[cs]es?|copying)(?:[-_.][-_.A-Za-z0-9]+)?$`)
	notice  = regexp.MustCompile(`^(?i:notices?|patents|copyright)(?:\.(?:md|txt))?$`)
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: licenses DETECTOR PACKAGE GOOS/GOARCH...")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout, os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, detector, binary string, platforms []string) error {
	directories := make(map[string]directory)
	for _, platform := range platforms {
		if err := addLinked(ctx, directories, binary, platform); err != nil {
			return fmt.Errorf("listing what is linked for %s: %w", platform, err)
		}
	}
	var texts []*text
	for path, d := range directories {
		found, err := read(path, d)
		if err != nil {
			return err
		}
		texts = append(texts, found...)
	}
	slices.SortFunc(texts, func(a, b *text) int { return cmp.Compare(a.name, b.name) })
	if err := classify(ctx, detector, texts); err != nil {
		return err
	}
	_, err := io.WriteString(w, page(texts, platforms))
	return err
}

// A directory is that of a linked package, or between it and its module's root.
type directory struct {
	name string // its import path
	root bool
}

// addLinked adds the directories of the packages that the binary links on a
// platform, up to the roots of their modules.
func addLinked(ctx context.Context, directories map[string]directory, binary, platform string) error {
	goos, goarch, _ := strings.Cut(platform, "/")
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Module", binary)
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return err
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir    string
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if p.Module == nil || p.Module.Main { // Go's own, and ours
			continue
		}
		for dir := p.Dir; ; dir = filepath.Dir(dir) {
			below := strings.TrimPrefix(dir, p.Module.Dir)
			directories[dir] = directory{p.Module.Path + filepath.ToSlash(below), below == ""}
			if below == "" {
				break
			}
		}
	}
}

// A text is a file that has to be distributed with the binaries.
type text struct {
	name    string // the import path of its directory, and its own name
	dir     string
	content string
	licence string // empty for a notice
}

// read returns the texts in a directory. A module without a licence is an error.
func read(dir string, d directory) ([]*text, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var texts []*text
	licensed := false
	for _, entry := range entries {
		file := entry.Name()
		name := d.name + "/" + file
		isLicence := licence.MatchString(file)
		if !entry.Type().IsRegular() || filepath.Ext(file) == ".go" || name == notLinked || !isLicence && !notice.MatchString(file) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return nil, err
		}
		licensed = licensed || isLicence
		texts = append(texts, &text{name: name, dir: dir, content: trimmed(string(content))})
	}
	if d.root && !licensed {
		return nil, fmt.Errorf("module %s has no file with a licence: it can't be distributed", d.name)
	}
	return texts, nil
}

// trimmed returns a text without white space at the ends of its lines, and without
// empty lines around it.
func trimmed(content string) string {
	var lines []string
	for line := range strings.Lines(content) {
		lines = append(lines, strings.TrimRight(line, " \t\r\n\f"))
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// classify sets the licences of the texts: go-licence-detector reads each as if it
// were a module of its own, and refuses those that are not allowed.
func classify(ctx context.Context, detector string, texts []*text) error {
	work, err := os.MkdirTemp("", "licenses")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	byName := make(map[string]*text)
	var modules, overrides bytes.Buffer
	for _, t := range texts {
		if notice.MatchString(path.Base(t.name)) {
			continue
		}
		byName[t.name] = t
		err := errors.Join(
			json.NewEncoder(&modules).Encode(map[string]string{"Path": t.name, "Dir": t.dir}),
			json.NewEncoder(&overrides).Encode(map[string]string{"name": t.name, "licenceFile": path.Base(t.name), "licenceType": classified[t.name]}),
		)
		if err != nil {
			return err
		}
	}
	rules, err := json.Marshal(map[string][]string{"allowlist": allowed})
	if err != nil {
		return err
	}
	inWork := func(name string) string { return filepath.Join(work, name) }
	if err := errors.Join(
		os.WriteFile(inWork("modules"), modules.Bytes(), 0o600),
		os.WriteFile(inWork("overrides"), overrides.Bytes(), 0o600),
		os.WriteFile(inWork("rules"), rules, 0o600),
		os.WriteFile(inWork("template"), []byte("{{range .Direct}}{{.Name}}\t{{.LicenceType}}\n{{end}}"), 0o600),
	); err != nil {
		return err
	}
	detect := exec.CommandContext(ctx, detector, "-in", inWork("modules"), "-overrides", inWork("overrides"), "-rules", inWork("rules"),
		"-noticeTemplate", inWork("template"), "-noticeOut", inWork("out"))
	detect.Stdout, detect.Stderr = os.Stderr, os.Stderr
	if err := detect.Run(); err != nil {
		return fmt.Errorf("detecting licences: %w", err)
	}
	out, err := os.ReadFile(inWork("out"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		name, licence, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		byName[name].licence = licence
	}
	return nil
}

// page returns the file: which text is which licence, then each text once, behind
// the names of all files that have it.
func page(texts []*text, platforms []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "Licences of what the binaries link on %s.\nmake licenses wrote this.\n\n", strings.Join(platforms, ", "))
	out.WriteString("The standard library of Go, which is linked too, has the licence of golang.org/x/sys. The source of each module is\n" +
		"to be had by its path, in the version that the binary itself names (go version -m).\n\n")
	var contents []string
	names := make(map[string][]string)
	for _, t := range texts {
		if t.licence != "" {
			fmt.Fprintf(&out, "%-14s %s\n", t.licence, t.name)
		}
		if names[t.content] == nil {
			contents = append(contents, t.content)
		}
		names[t.content] = append(names[t.content], t.name)
	}
	for _, content := range contents {
		fmt.Fprintf(&out, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(names[content], "\n"), content)
	}
	return out.String()
}
