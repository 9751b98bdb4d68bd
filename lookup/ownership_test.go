package lookup_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

const ownersYAML = `
dags:
  dag_b: team_x          # the database says team_b
  "team_c_*": team_c
  dag_gone: team_y       # no row in the database
bundles:
  bundle_g: team_g       # the database says nobody
  "bundle_b*": team_z    # dag_b is named above
variables:
  var_a: ""
  "aws_*": team_a
  "aws_prod_*": team_b
  aws_prod_open: ""
  "*": team_rest
connections:
  conn_a: team_x
assets:
  "s3://team-a/*": team_a
`

func TestOwnershipFile_HasPrecedence(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, ownersYAML)})
	for _, c := range []struct {
		kind    resolver.Kind
		name    string
		outcome resolver.Outcome
		team    string
	}{
		{resolver.KindTask, taskA, resolver.Found, "team_a"},
		{resolver.KindTask, taskB, resolver.Found, "team_x"},      // its dag is named
		{resolver.KindTask, taskG, resolver.Found, "team_g"},      // its bundle is named
		{resolver.KindTask, taskOrphan, resolver.Found, "team_y"}, // no dag row, but named
		{resolver.KindTask, taskUnknown, resolver.NotFound, ""},
		{resolver.KindDag, "dag_a", resolver.Found, "team_a"},
		{resolver.KindDag, "dag_b", resolver.Found, "team_x"},
		{resolver.KindDag, "dag_g", resolver.Found, "team_g"},
		{resolver.KindDag, "team_c_anything", resolver.Found, "team_c"}, // named, whether or not it exists
		{resolver.KindDag, "team_c", resolver.NotFound, ""},
		{resolver.KindVariable, "var_a", resolver.Found, ""},
		{resolver.KindVariable, "var_b", resolver.Found, "team_rest"},
		{resolver.KindVariable, "aws_dev", resolver.Found, "team_a"},
		{resolver.KindVariable, "aws_prod_key", resolver.Found, "team_b"},
		{resolver.KindVariable, "aws_prod_open", resolver.Found, ""},
		{resolver.KindVariable, "aws_prod_openly", resolver.Found, "team_b"},
		{resolver.KindConnection, "conn_a", resolver.Found, "team_x"},
		{resolver.KindConnection, "conn_b", resolver.Found, "team_b"},
		{resolver.KindConnection, "conn_c", resolver.NotFound, ""},
		{resolver.KindAsset, "s3://team-a/x", resolver.Found, "team_a"},
		{resolver.KindAsset, "s3://team-b/x", resolver.NotFound, ""},
	} {
		if got := one(t, d, c.kind, c.name); got.Outcome != c.outcome || got.Team != c.team || got.AsOf.IsZero() {
			t.Errorf("%v %q: %v, team %q (%v); want %v, team %q", c.kind, c.name, got.Outcome, got.Team, got.Err, c.outcome, c.team)
		}
	}
}

func TestOwnershipFile_WithoutDatabaseIsTheOnlySource(t *testing.T) {
	t.Parallel()
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, `{dags: {dag_a: team_a}, variables: {}}`)})
	if err := d.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	if got := one(t, d, resolver.KindDag, "dag_a"); got.Outcome != resolver.Found || got.Team != "team_a" {
		t.Errorf("dag_a: %v, team %q", got.Outcome, got.Team)
	}
	for kind, name := range map[resolver.Kind]string{resolver.KindDag: "dag_b", resolver.KindVariable: "v", resolver.KindConnection: "c", resolver.KindAsset: "a"} {
		if got := one(t, d, kind, name); got.Outcome != resolver.NotFound {
			t.Errorf("%v %s: %v, want not_found", kind, name, got.Outcome)
		}
	}
	wantUnavailable(t, one(t, d, resolver.KindTask, taskA), "set database")
	if got := len(d.Resolve(t.Context(), nil)); got != 0 {
		t.Errorf("no question has %d answers", got)
	}
}

func TestOwnershipFile_InvalidIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, want string }{
		"empty":                  {"", "the file is empty"},
		"a comment":              {"# nothing\n", "the file is empty"},
		"null":                   {"~\n", "the file is empty"},
		"not YAML":               {"dags: [\n", "reading YAML"},
		"a list":                 {"- dags\n", "line 1: the file must be a map"},
		"two documents":          {"dags: {}\n---\ndags: {}\n", "more than one YAML document"},
		"unknown section":        {"dags: {}\npools: {}\n", `line 2: unknown section "pools": must be dags`},
		"section twice":          {"dags: {}\ndags: {}\n", `line 2: section "dags" is set twice`},
		"section is null":        {"dags:\n", "dags must be a map"},
		"section is a list":      {"dags: [a]\n", "line 1: dags must be a map"},
		"team is a number":       {"dags:\n  a: 1\n", `line 2: dags: "a": invalid team: must be a string`},
		"team is null":           {"dags:\n  a:\n", `or "" for global`},
		"team is a list":         {"dags:\n  a: [x]\n", "invalid team: must be a string"},
		"team is an alias":       {"dags:\n  a: &t x\n  b: *t\n", "line 3"},
		"team is every task":     {"dags:\n  a: \"*\"\n", `invalid team "*"`},
		"team has whitespace":    {"dags:\n  a: ' x'\n", "trailing whitespace"},
		"name twice":             {"dags:\n  a: x\n  'a': y\n", `line 3: dags: "a" is set twice, first on line 2`},
		"name is a number":       {"dags:\n  1: x\n", `invalid name "1": must be a string in quotes`},
		"name is empty":          {"dags:\n  '': x\n", "empty name"},
		"star inside":            {"dags:\n  a*b: x\n", `invalid prefix "a*b": * must be last`},
		"two stars":              {"dags:\n  a**: x\n", "* must be last"},
		"merge":                  {"dags: &d {a: x}\nvariables:\n  <<: *d\n", "aliases and merges"},
		"bundles and no databse": {"bundles: {b: x}\n", "set database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := lookup.New(lookup.Options{OwnershipFile: file(t, c.content)})
			if err == nil {
				d.Close()
				t.Fatal("taken")
			}
			if text := err.Error(); !strings.HasPrefix(text, "ownership_file: ") || !strings.Contains(text, c.want) {
				t.Errorf("got %q, want it to say ownership_file and %q", text, c.want)
			}
		})
	}
	if _, err := lookup.New(lookup.Options{OwnershipFile: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "ownership_file: reading") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := lookup.New(lookup.Options{}); err == nil || !strings.Contains(err.Error(), "set database or ownership_file") {
		t.Errorf("neither: %v", err)
	}
}

func TestOwnershipFile_IsReloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := file(t, "dags: {a: team_1}")
		log := new(lockedLog)
		d := directoryOf(t, lookup.Options{OwnershipFile: path, Logger: slog.New(slog.NewTextHandler(log, nil))})
		team := func() string {
			t.Helper()
			synctest.Wait()
			return one(t, d, resolver.KindDag, "a").Team
		}
		write(t, path, "dags: {a: team_2}")
		time.Sleep(time.Second)
		if got := team(); got != "team_1" {
			t.Errorf("read once: %q: it may be half written", got)
		}
		time.Sleep(time.Second)
		if got := team(); got != "team_2" || d.OwnershipError() != nil {
			t.Errorf("read twice the same: %q, %v", got, d.OwnershipError())
		}

		write(t, path, "dags: {a: 3}")
		time.Sleep(5 * time.Second)
		if got := team(); got != "team_2" {
			t.Errorf("a broken file: %q, want the last good one's", got)
		}
		if err := d.OwnershipError(); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("a broken file: %v", err)
		}
		if err := d.Ready(t.Context()); err != nil {
			t.Errorf("the last good one serves: %v", err)
		}
		if got := log.count("level=ERROR"); got != 1 {
			t.Errorf("logged %d times", got)
		}

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := team(); got != "team_2" || d.OwnershipError() == nil {
			t.Errorf("a file that is gone: %q, %v", got, d.OwnershipError())
		}
		// As Kubernetes swaps a ConfigMap: a symlink in place of the file.
		target := file(t, "dags: {a: team_2}")
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if got := team(); got != "team_2" || d.OwnershipError() != nil {
			t.Errorf("the same contents again: %q, %v", got, d.OwnershipError())
		}
		d.Close()
		d.Close()
	})
}

// lockedLog is a log that is read while others write it.
type lockedLog struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lockedLog) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func TestOwnershipFile_AnswersWithOneAllocation(t *testing.T) {
	d := directoryOf(t, lookup.Options{OwnershipFile: file(t, ownersYAMLWithoutBundles())})
	questions := []resolver.Question{ask(resolver.KindVariable, "aws_prod_open"), ask(resolver.KindDag, "dag_b")}
	if got := testing.AllocsPerRun(100, func() { d.Resolve(t.Context(), questions) }); got > 1 {
		t.Errorf("%v allocations, want the answers' own", got)
	}
}

func BenchmarkOwnershipFile(b *testing.B) {
	d := directoryOf(b, lookup.Options{OwnershipFile: file(b, ownersYAMLWithoutBundles())})
	for name, q := range map[string]resolver.Question{
		"exact": ask(resolver.KindDag, "dag_b"), "longest_prefix": ask(resolver.KindVariable, "aws_prod_key"), "unnamed": ask(resolver.KindAsset, "x"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			questions := []resolver.Question{q}
			for b.Loop() {
				d.Resolve(b.Context(), questions)
			}
		})
	}
}

func ownersYAMLWithoutBundles() string {
	before, rest, _ := strings.Cut(ownersYAML, "bundles:")
	_, after, _ := strings.Cut(rest, "variables:")
	return before + "variables:" + after
}

func TestOwnershipFile_ExamplesInThePagesAreValid(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block, count := regexp.MustCompile("(?s)```yaml\n((?:dags|bundles|variables|connections|assets|grants):.*?)```"), 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range block.FindAllStringSubmatch(string(content), -1) {
			count++
			_, url := sqliteFiles().airflow(t, "3.3")
			d, err := lookup.New(lookup.Options{Database: url, OwnershipFile: file(t, example[1])})
			if err != nil {
				t.Errorf("%s: %v, of\n%s", page, err, example[1])
				continue
			}
			d.Close()
		}
	}
	if count == 0 {
		t.Error("no example was found")
	}
}
