package airflow_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

var update = flag.Bool("update", false, "write docs/compatibility.md anew from what the releases answer")

// compatibility is what came of every route, by release. Releases report at the
// same time.
type compatibility struct {
	mu       sync.Mutex
	findings map[string][]finding
}

func (c *compatibility) add(release string, findings []finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.findings == nil {
		c.findings = make(map[string][]finding)
	}
	c.findings[release] = findings
}

const (
	page = "../../docs/compatibility.md"
	// measured is in the page above what is written by the test.
	measured = "<!-- Below: written by go test ./tests/airflow -run TestAccessMatrix -update -->\n"
)

// check holds the page against what was found, or writes it anew. Where a
// release could not be asked, there is nothing to hold it against.
func (c *compatibility) check(t *testing.T) {
	t.Helper()
	for _, version := range releases {
		if len(c.findings[version]) != len(route.Table()) {
			t.Logf("%s was not asked: %s is not checked", version, page)
			return
		}
	}
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, old, found := strings.Cut(string(content), measured)
	if !found {
		t.Fatalf("%s has no line %q", page, measured)
	}
	switch seen := "\n" + c.summary() + "\n" + c.table(); {
	case *update && !t.Failed():
		if err := os.WriteFile(page, []byte(prose+measured+seen), 0o644); err != nil {
			t.Fatal(err)
		}
	case seen != old:
		t.Errorf("%s is not what the releases answer; run go test ./tests/airflow -run TestAccessMatrix -update\n%s",
			page, snapshot(strings.Split(seen, "\n")).since(strings.Split(old, "\n")))
	}
}

// wantAlike checks that two deployments answered alike, where both were asked.
func (c *compatibility) wantAlike(t *testing.T, one, other string) {
	t.Helper()
	for i, r := range route.Table() {
		if len(c.findings[one]) <= i || len(c.findings[other]) <= i {
			return
		}
		if want, got := c.findings[one][i].words(), c.findings[other][i].words(); got != want {
			t.Errorf("%s %s: %s on %s, %s on %s", r.Method, r.Pattern, got, other, want, one)
		}
	}
}

// summary counts what happened on each release.
func (c *compatibility) summary() string {
	lines := []string{"| | " + strings.Join(releases, " | ") + " |", "| --- |" + strings.Repeat(" ---: |", len(releases))}
	for _, row := range []struct {
		name  string
		count func(f finding) int
	}{
		{"endpoints that it serves", func(f finding) int { return min(len(f[0].statuses), 1) }},
		{"requests, each sent straight and through the fence", func(f finding) int { return f.count(true) + f.count(false) }},
		{"answered through the fence as Airflow answers", func(f finding) int { return f.count(false) }},
		{"stopped by the fence", func(f finding) int { return f.count(true) }},
		{"of these, let through by Airflow", func(f finding) (n int) {
			for _, of := range f {
				if of.stopped {
					n += of.through
				}
			}
			return n
		}},
	} {
		line := "| " + row.name
		for _, version := range releases {
			sum := 0
			for _, f := range c.findings[version] {
				sum += row.count(f)
			}
			line += " | " + strconv.Itoa(sum)
		}
		lines = append(lines, line+" |")
	}
	return strings.Join(lines, "\n") + "\n"
}

// count counts the requests that the fence stopped, or those that it did not.
func (f finding) count(stopped bool) (n int) {
	for _, of := range f {
		if of.stopped == stopped {
			n += len(of.statuses)
		}
	}
	return n
}

// table has a row for each route.
func (c *compatibility) table() string {
	lines := []string{"| endpoint | API versions | " + strings.Join(releases, " | ") + " |", "| --- | --- |" + strings.Repeat(" --- |", len(releases))}
	for i, r := range route.Table() {
		line := fmt.Sprintf("| `%s %s` | %s to %s", r.Method, r.Pattern, r.Since, r.Until)
		for _, version := range releases {
			line += " | " + c.findings[version][i].words()
		}
		lines = append(lines, strings.ReplaceAll(line, " to  |", " on |")+" |")
	}
	return strings.Join(lines, "\n") + "\n"
}

// words is a finding as the page has it: the relations that the fence stops,
// with Airflow's own status, in bold where that let it through.
func (f finding) words() string {
	if len(f[0].statuses) == 0 {
		return "–"
	}
	var words []string
	for i, of := range f {
		if !of.stopped {
			continue
		}
		var statuses []string
		for _, status := range of.statuses {
			statuses = append(statuses, strconv.Itoa(status))
		}
		word := relations[i].name + " " + strings.Join(slices.Compact(statuses), "/")
		if of.through > 0 {
			word = "**" + word + "**"
		}
		words = append(words, word)
	}
	if words == nil {
		return "all pass"
	}
	return strings.Join(words, ", ")
}
