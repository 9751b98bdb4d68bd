// Package report_test runs dagfence report on logs that a fence has written, and opens
// its page in a browser.
package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// run runs dagfence report, and returns standard output and error, and the exit code.
func run(t *testing.T, stdin []byte, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := sidecar.Command(t, append([]string{"report"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil {
		exit, exited := errors.AsType[*exec.ExitError](err)
		if !exited {
			t.Fatal(err)
		}
		code = exit.ExitCode()
	}
	return out.String(), errs.String(), code
}

// file writes a file of the test.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReport_Forms(t *testing.T) {
	t.Parallel()
	const log = "testdata/fortnight.log.gz"
	for name, c := range map[string]struct {
		args []string
		want []string
	}{
		"table":    {nil, []string{"830 decisions: 830 denied (615 of them forwarded", "412     marketing    sales ", "campaign_report (412)", "\n    access: trigger\n"}},
		"Markdown": {[]string{"--markdown"}, []string{"| 412 | `marketing` | `sales` | `dag read` | `other_team` | `campaign_report` (412) | `orders_daily` (412) |", "```yaml\n"}},
		"JSON":     {[]string{"--json"}, []string{`"task_team":"marketing","owner_team":"sales","kind":"dag","action":"read","reason":"other_team"`}},
		"HTML":     {[]string{"--html", "-"}, []string{"<!doctype html>", "Content-Security-Policy"}},
	} {
		stdout, stderr, code := run(t, nil, append([]string{log}, c.args...)...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: %d %s", name, code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s lacks %s:\n%.3000s", name, want, stdout)
			}
		}
	}
	page := filepath.Join(t.TempDir(), "report.html")
	if stdout, stderr, code := run(t, nil, log, "--html", page); code != 0 || stdout != "" {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if content, err := os.ReadFile(page); err != nil || !bytes.HasSuffix(bytes.TrimSpace(content), []byte("</html>")) {
		t.Errorf("%v", err)
	}
}

func TestReport_OfWrongInput(t *testing.T) {
	t.Parallel()
	gzipped, err := os.ReadFile("testdata/fortnight.log.gz")
	if err != nil {
		t.Fatal(err)
	}
	cut := file(t, "cut.log.gz", gzipped[:len(gzipped)-100])
	binary := file(t, "binary", bytes.Repeat([]byte{0, 1, 2, '\n', 0xff}, 1<<20))
	long := file(t, "long", bytes.Repeat([]byte("x"), 8<<20))
	good := "testdata/fortnight.log.gz"
	dir := t.TempDir()
	for name, c := range map[string]struct {
		stdin []byte
		args  []string
		code  int
		// stdout and stderr are what is printed; "" is nothing.
		stdout, stderr string
	}{
		"standard input":     {gzipped, nil, 0, "830 denied", ""},
		"a dash, and a file": {gzipped, []string{"-", good}, 0, "1660 denied", ""},
		"nothing":            {nil, nil, 0, "No decisions are in these logs.", ""},
		"a missing file":     {nil, []string{good, "/no/such"}, 1, "", "opening decision logs: open /no/such: no such file"},
		"a directory":        {nil, []string{dir}, 1, "", "is a directory: name the logs in it"},
		"a binary file":      {nil, []string{binary}, 1, "", "binary: no line is JSON"},
		"one long line":      {nil, []string{long}, 1, "", "long: no line is JSON"},
		"one file of two":    {nil, []string{binary, good}, 1, "830 denied", "the report is of what could be read: "},
		"a gzip, cut short":  {nil, []string{cut}, 1, "denied", "unexpected EOF"},
		"a URL":              {nil, []string{"https://u:hidden@log/x"}, 2, "", "an argument is a URL: name files"},
		"a page at a URL":    {nil, []string{good, "--html", "https://u:hidden@log/x"}, 1, "", "--html: "},
		"two forms":          {nil, []string{good, "--json", "--markdown"}, 2, "", "--json, --markdown and --html are mutually exclusive"},
		"no page":            {nil, []string{good, "--html", ""}, 2, "", "--html is empty"},
		"a page nowhere":     {nil, []string{good, "--html", "/no/such/page.html"}, 1, "", "--html: open /no/such/page.html"},
		"an unknown flag":    {nil, []string{"--htm", "x"}, 2, "", "did you mean --html?"},
	} {
		stdout, stderr, code := run(t, c.stdin, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) ||
			(stdout == "") != (c.stdout == "") || (stderr == "") != (c.stderr == "") {
			t.Errorf("%s: %d\n%.300s\n%.300s\nwant %d %q %q", name, code, stdout, stderr, c.code, c.stdout, c.stderr)
		}
		if strings.Contains(stderr, "hidden") {
			t.Errorf("%s: a password is shown: %s", name, stderr)
		}
		if stderr != "" && (!strings.HasPrefix(stderr, "Error: ") || strings.Count(stderr, "\n") != 1) {
			t.Errorf("%s: standard error is not one sentence:\n%s", name, stderr)
		}
	}
}

// owners is an ownership file of two teams, without a database: the tokens sign their
// dags.
const owners = `
dags: {dag_a: team_a, dag_b: team_b, dag_b2: team_b, dag_g: ""}
variables: {var_a: team_a, var_b: team_b}
connections: {conn_b: team_b}
assets: {asset_b: team_b}
`

// fence runs a proxy with an ownership file until the test ends, and returns it and
// its log.
func fence(t *testing.T, ownership map[string]any) (*sidecar.Dagfence, string) {
	t.Helper()
	content, err := yaml.Marshal(ownership)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "fence.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return sidecar.ProxyTo(t, log, "http://"+sidecar.NewRecorder(t).Addr, "--ownership-file", file(t, "owners.yaml", content)), log.Name()
}

// ask returns the status of a task's request.
func ask(t *testing.T, fence *sidecar.Dagfence, dag, request string) int {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+fence.Addr+"/execution"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, sidecar.Secret, "018f0000-0000-7000-8000-00000000000a", func(claims jwt.MapClaims) {
		claims["dag_id"], claims["run_id"], claims["task_id"], claims["map_index"] = dag, "r", "t1", -1
	}))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// TestSuggestion_AllowsWhatWasDenied adds what the report suggests to the ownership
// file, and asks again.
func TestSuggestion_AllowsWhatWasDenied(t *testing.T) {
	t.Parallel()
	const denied, allowed = http.StatusForbidden, http.StatusOK
	requests := []struct {
		dag, request string
		then         int // with the suggestion
	}{
		{"dag_a", "GET /variables/var_b", denied},
		{"dag_a", "GET /connections/conn_b", denied},
		{"dag_a", "GET /xcoms/dag_b2/r/t1/k", denied},
		{"dag_a", "GET /dag-runs/dag_b/r/state", allowed},
		{"dag_a", "POST /dag-runs/dag_b/r2", allowed},
		{"dag_a", "GET /assets/by-name?name=asset_b", allowed},
		{"dag_g", "GET /dag-runs/dag_a/r/state", allowed},
	}
	var ownership map[string]any
	if err := yaml.Unmarshal([]byte(owners), &ownership); err != nil {
		t.Fatal(err)
	}
	strict, log := fence(t, ownership)
	for _, r := range requests {
		if status := ask(t, strict, r.dag, r.request); status != http.StatusForbidden {
			t.Errorf("%s of %s: %d, want a denial", r.request, r.dag, status)
		}
	}
	stdout, stderr, code := run(t, nil, "--json", log)
	var summary struct {
		Denied    int
		Ownership string
		Unsolved  []string
	}
	if err := json.Unmarshal([]byte(stdout), &summary); err != nil || code != 0 || summary.Denied != len(requests) || len(summary.Unsolved) != 3 {
		t.Fatalf("%d %v %s%s", code, err, stdout, stderr)
	}
	var suggested map[string]any
	if err := yaml.Unmarshal([]byte(summary.Ownership), &suggested); err != nil {
		t.Fatal(err)
	}
	for name, section := range suggested {
		if of, isMap := ownership[name].(map[string]any); isMap {
			maps.Copy(of, section.(map[string]any))
		} else {
			ownership[name] = section
		}
	}
	open, _ := fence(t, ownership)
	for _, r := range requests {
		if status := ask(t, open, r.dag, r.request); status != r.then {
			t.Errorf("%s of %s: %d with the suggestion, want %d\n%s", r.request, r.dag, status, r.then, summary.Ownership)
		}
	}
}
