// Package docs_test compares the pages with the tree.
package docs_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// files reads all files below the root with a suffix.
func files(t *testing.T, suffix string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestPages_NameExistingTests(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, content := range files(t, "_test.go") {
		for _, match := range declared.FindAllStringSubmatch(content, -1) {
			known[match[1]] = true
		}
	}
	named, count := regexp.MustCompile("`(Test[A-Z]\\w+)`"), 0
	for path, content := range files(t, ".md") {
		for _, match := range named.FindAllStringSubmatch(content, -1) {
			count++
			if !known[match[1]] {
				t.Errorf("%s names %s, which does not exist", path, match[1])
			}
		}
	}
	if count < 50 {
		t.Errorf("the pages name %d tests; the threat model alone has more", count)
	}
}

// go test calls a pattern that matches nothing a success.
func TestPatternsForGoTest_MatchATest(t *testing.T) {
	t.Parallel()
	var known []string
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, content := range files(t, "_test.go") {
		for _, match := range declared.FindAllStringSubmatch(content, -1) {
			known = append(known, match[1])
		}
	}
	pages, count := files(t, ".md"), 0
	maps.Copy(pages, files(t, "Makefile"))
	run := regexp.MustCompile(`go test [^\n]*-run '?([\w|]+)`)
	for path, content := range pages {
		for _, match := range run.FindAllStringSubmatch(content, -1) {
			count++
			pattern := regexp.MustCompile(match[1])
			if !slices.ContainsFunc(known, pattern.MatchString) {
				t.Errorf("%s runs %s, which no test is called", path, match[1])
			}
		}
	}
	if count < 5 {
		t.Errorf("only %d commands with -run were found", count)
	}
}

func TestLinksBetweenPages_LeadToWhatExists(t *testing.T) {
	t.Parallel()
	pages := files(t, ".md")
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	for path, content := range pages {
		for _, match := range link.FindAllStringSubmatch(content, -1) {
			target := path
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(path), match[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", path, match[1], err)
			}
			if anchor := match[2]; anchor != "" && !slices.Contains(anchors(pages[target]), anchor) {
				t.Errorf("%s links to %s, which has no heading %q", path, target, anchor)
			}
		}
	}
}

// anchors returns the ids of a page's headings, as GitHub makes them.
func anchors(page string) (ids []string) {
	heading, dropped := regexp.MustCompile(`(?m)^#+ (.*)$`), regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		ids = append(ids, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return ids
}

// A cell of several sentences belongs in a list below its table. Links do not count
// with their targets.
func TestTables_HaveShortCells(t *testing.T) {
	t.Parallel()
	const longest = 200
	target, cells := regexp.MustCompile(`\]\([^)]*\)`), 0
	for path, content := range files(t, ".md") {
		code := false
		for line := range strings.Lines(content) {
			if strings.HasPrefix(line, "```") {
				code = !code
			}
			if code || !strings.HasPrefix(line, "|") {
				continue
			}
			for cell := range strings.SplitSeq(target.ReplaceAllString(line, "]"), "|") {
				cells++
				if cell = strings.TrimSpace(cell); len([]rune(cell)) > longest {
					t.Errorf("%s: a cell of %d characters, more than %d: %s", path, len([]rune(cell)), longest, cell)
				}
			}
		}
	}
	if cells < 1000 {
		t.Errorf("only %d cells were found", cells)
	}
}

func TestReadme_IsShort(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if words := len(strings.Fields(string(content))); words > 900 {
		t.Errorf("the README has %d words, more than 900: details belong in docs/", words)
	}
}

// matches returns what a pattern finds in files of the tree that are no tests.
func matches(t *testing.T, prefix, pattern, glob string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, glob))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			found = append(found, prefix+match[1])
		}
	}
	if found == nil {
		t.Fatalf("%s is in none of %s", pattern, glob)
	}
	return found
}

// Each reason for which a request does not pass has a row in troubleshooting.md that
// says what to do, and no other has.
func TestTroubleshooting_HasEveryReason(t *testing.T) {
	t.Parallel()
	reasons := slices.Concat(
		matches(t, "", `Reason += "(\w+)"`, "caddymodule/route/errors.go"),
		matches(t, "", `badRequest\("(\w+)"`, "caddymodule/*.go"),
		matches(t, "", `reason: +"(\w+)"`, "caddymodule/*.go"),
		matches(t, "token_", `&Error\{"(\w+)"`, "caddymodule/identity/errors.go"),
		matches(t, "", `Reason += "(\w+)"`, "caddymodule/decide/decision.go"),
	)
	passing := []string{"public", "self", "own", "global", "granted", "not_stored", "rule_off", "multi_team_off"}
	content, err := os.ReadFile(filepath.Join(root, "docs/troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(content), "\n## Reasons\n")
	table, _, _ = strings.Cut(table, "\n## ")
	documented := make(map[string]bool)
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) == 3 {
			for _, match := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[0], -1) {
				documented[match[1]] = true
			}
		}
	}
	for _, reason := range reasons {
		if passes := slices.Contains(passing, reason); documented[reason] == passes {
			t.Errorf("reason %s: in the table %v, want %v", reason, documented[reason], !passes)
		}
	}
	for reason := range documented {
		if !slices.Contains(reasons, reason) {
			t.Errorf("the table has %s, which is no reason", reason)
		}
	}
	if len(reasons) < 40 {
		t.Errorf("only %d reasons were found in the code", len(reasons))
	}
}
