package demo_test

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/demo"
)

// check runs the matrix and returns the table's lines about cells that are wrong.
func check(t *testing.T, rules config.Rules) (wrong []string, err error) {
	t.Helper()
	temporary(t)
	var output strings.Builder
	err = demo.Check(t.Context(), &output, anyPort, rules)
	for line := range strings.Lines(output.String()) {
		if strings.Contains(line, "  WRONG  ") {
			wrong = append(wrong, line)
		}
	}
	if t.Failed() || len(output.String()) == 0 {
		t.Log(output.String())
	}
	return wrong, err
}

// The demo is the same in any environment of an api-server.
func TestCheck_FindsNothingWrongByDefault(t *testing.T) {
	for name, value := range map[string]string{
		"AIRFLOW__CORE__MULTI_TEAM": "false", "AIRFLOW__API_AUTH__JWT_ISSUER": "someone",
		"AIRFLOW__API_AUTH__JWT_LEEWAY": "300", "AIRFLOW__API_AUTH__TRUSTED_JWKS_URL": "http://127.0.0.1:1/",
		"AIRFLOW__API_AUTH__JWT_ALGORITHM_CMD": "false", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////missing",
	} {
		t.Setenv(name, value)
	}
	wrong, err := check(t, config.Rules{})
	if err != nil || len(wrong) > 0 {
		t.Errorf("error %v, wrong:\n%s", err, strings.Join(wrong, ""))
	}
}

// Each rule that is weakened, or tightened, turns cells wrong, and only those
// that it is about.
func TestCheck_FindsEachChangedRule(t *testing.T) {
	for name, weak := range map[string]struct {
		rules config.Rules
		about string // a pattern of the lines that are wrong
	}{
		"variables off":               {config.Rules{Variables: config.Off}, `/variables/`},
		"variables audit":             {config.Rules{Variables: config.Audit}, `/variables/`},
		"connections off":             {config.Rules{Connections: config.Off}, `/connections/`},
		"xcoms off":                   {config.Rules{XComs: config.Off}, `/xcoms/`},
		"dags off":                    {config.Rules{Dags: config.Off}, `/dags/|/dag-runs/|/task-instances/`},
		"assets off":                  {config.Rules{Assets: config.Off}, `/assets/`},
		"xcom_writes task":            {config.Rules{XComWrites: config.Task}, `(POST|DELETE) /execution/xcoms/dag_a/run_1/`},
		"xcom_writes dag":             {config.Rules{XComWrites: config.Dag}, `(POST|DELETE) /execution/xcoms/dag_a/`},
		"xcom_writes off":             {config.Rules{XComWrites: config.Off}, `(POST|DELETE) /execution/xcoms/`},
		"global_writes deny":          {config.Rules{GlobalWrites: config.Deny}, `(PUT|POST|DELETE) /execution/(variables/global|dag-runs/dag_g)`},
		"teamless_tasks allow":        {config.Rules{TeamlessTasks: config.Allow}, `^teamless `},
		"unknown_routes unsafe_allow": {config.Rules{UnknownRoutes: config.UnsafeAllow}, `no-such-endpoint|(POST|HEAD|PUT) |/dags/dag_a`},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, err := check(t, weak.rules)
			if err == nil || !strings.Contains(err.Error(), "cells are wrong") {
				t.Errorf("error %v, want one that counts the wrong cells", err)
			}
			if len(wrong) == 0 {
				t.Error("no line of the table reports it")
			}
			about := regexp.MustCompile(weak.about)
			for _, line := range wrong {
				if !about.MatchString(line) {
					t.Errorf("wrong without a reason: %s", line)
				}
			}
		})
	}
}

func TestCheck_EndsWithItsContext(t *testing.T) {
	temporary(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := demo.Check(ctx, io.Discard, anyPort, config.Rules{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestMatrix_HasEachCellOnce(t *testing.T) {
	t.Parallel()
	cells := demo.Matrix()
	if len(cells) < 60 {
		t.Errorf("%d cells are too few", len(cells))
	}
	seen := map[string]bool{}
	for _, c := range cells {
		if key := c.Key(); seen[key] {
			t.Errorf("twice: %s", key)
		} else {
			seen[key] = true
		}
	}
}

// What makes a cell wrong.
func TestCell_Problems(t *testing.T) {
	t.Parallel()
	const (
		token   = "t.o.k"
		json    = "application/json"
		message = `{"detail":{"reason":"access_denied","message":"no"}}`
	)
	var (
		denied  = demo.NewCell(demo.Get("/variables/var_b"), demo.Refused(403))
		counted = demo.NewCell(demo.Head("/xcoms/dag_b/run_1/t1/k"), demo.Refused(403))
		passes  = demo.NewCell(demo.Put("/variables/var_a", "{}"), demo.Passes(201))
	)
	for name, test := range map[string]struct {
		cell demo.Cell
		got  demo.Answer
		want string // in the error; none if empty
	}{
		"a denial":                           {denied, demo.NewAnswer(403, json, message), ""},
		"a denial of HEAD":                   {counted, demo.NewAnswer(403, json, ""), ""},
		"a denial of HEAD that is text":      {counted, demo.NewAnswer(403, "text/plain", ""), "Content-Type"},
		"a pass":                             {passes, demo.NewAnswer(201, json, "", passes.Arrives(token)), ""},
		"a pass with any answer":             {passes, demo.NewAnswer(201, "text/html", "<p>", passes.Arrives(token)), ""},
		"another status":                     {denied, demo.NewAnswer(404, json, message), "status 404, not 403"},
		"another status of upstream":         {passes, demo.NewAnswer(403, json, "", passes.Arrives(token)), "status 403, not 201"},
		"a denial that arrives all the same": {denied, demo.NewAnswer(403, json, message, denied.Arrives(token)), "upstream saw it"},
		"a denial with a charset":            {denied, demo.NewAnswer(403, json+"; charset=utf-8", message), "Content-Type"},
		"a denial that is no JSON":           {denied, demo.NewAnswer(403, json, "Forbidden"), "shape"},
		"a denial with a text for detail":    {denied, demo.NewAnswer(403, json, `{"detail":"no"}`), "shape"},
		"a denial without a message":         {denied, demo.NewAnswer(403, json, `{"detail":{"reason":"access_denied"}}`), "no message"},
		"a denial that names the owner":      {denied, demo.NewAnswer(403, json, `{"detail":{"reason":"r","message":"is team_b's"}}`), "names an owner"},
		"a pass that never arrives":          {passes, demo.NewAnswer(201, json, ""), "upstream saw 0"},
		"a pass that arrives twice":          {passes, demo.NewAnswer(201, json, "", passes.Arrives(token), passes.Arrives(token)), "upstream saw 2"},
		"a pass that is rewritten":           {passes, demo.NewAnswer(201, json, "", passes.Arrives(token).Other("/execution/variables/var_b")), "another than was sent"},
		"a pass without its token":           {passes, demo.NewAnswer(201, json, "", passes.Arrives("")), "another than was sent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.cell.Problems(token, test.got)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("wrong: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestClip_KeepsLinesShort(t *testing.T) {
	t.Parallel()
	if got := demo.Clip(strings.Repeat("a", 9000)); len(got) != 80 || !strings.HasSuffix(got, "...") {
		t.Errorf("%q", got)
	}
	if got := demo.Clip("/execution"); got != "/execution" {
		t.Errorf("%q", got)
	}
}
