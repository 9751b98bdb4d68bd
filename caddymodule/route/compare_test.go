package route_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// servedBy reads rows as scripts/airflow-routes.py prints them.
func servedBy(t *testing.T, versions string, rows ...string) (route.Release, error) {
	t.Helper()
	text := "# of a test\n# versions: " + versions + "\nmethod\tpath\tsince\tuntil\tquery\tscopes\tself\n"
	for _, row := range rows {
		text += strings.ReplaceAll(row, "|", "\t") + "\n"
	}
	return route.ReadRelease(strings.NewReader(text))
}

func TestCompare_NamesMissingRows(t *testing.T) {
	t.Parallel()
	const known = "2025-04-11 2025-11-05 2026-06-30"
	for _, c := range []struct {
		name, versions string
		rows           []string
		want           []string // a part of each sentence
	}{
		{"nothing", known, []string{"GET|/dags/{dag_id}|2026-06-30|||execution|"}, nil},
		{"nothing, where it takes slashes besides", known, []string{"GET|/variables/{variable_key}|2025-04-11|||execution|"}, nil},
		{"nothing, where it has more parameters and scopes", known, []string{"GET|/variables/keys|2026-06-30||prefix|execution|", "PATCH|/task-instances/{task_instance_id}/run|2025-04-11|||execution|self"}, nil},
		{"an API version", known + " 2099-01-01", []string{"GET|/dags/{dag_id}|2026-06-30|||execution|"}, []string{"API version 2099-01-01 is not known"}},
		{"an endpoint", known, []string{"PUT|/pools/{pool}|2026-06-30||force:int|pool|"}, []string{
			`PUT /pools/{pool} is not in the table: add {Method: "PUT", Pattern: "/pools/{pool}", Query: "force:int", Since: "2026-06-30", Scopes: "pool", Kind: ?, Action: ?}`,
		}},
		{"an endpoint of the token's own", known, []string{"GET|/callbacks/{task_instance_id}|2025-04-11|2025-11-05||execution|self"}, []string{
			`add {Method: "GET", Pattern: "/callbacks/{task_instance_id}", Since: "2025-04-11", Until: "2025-11-05", Kind: Self, Action: ?}`,
		}},
		{"a method", known, []string{"POST|/dags/{dag_id}|2026-06-30|||execution|"}, []string{"POST /dags/{dag_id} is not in the table"}},
		{"older versions of an endpoint", known, []string{"GET|/dags/{dag_id}|2025-04-11|||execution|"}, []string{"API version 2025-04-11 has it", "API version 2025-11-05 has it"}},
		{"newer versions of an endpoint", known, []string{"GET|/dag-runs/{dag_id}/previous|2025-11-05||logical_date,state|execution|"}, []string{"API version 2026-06-30 has it"}},
		{"query parameters", known, []string{"GET|/dags/{dag_id}|2026-06-30||all,deep:int|execution|"}, []string{"query parameters all,deep:int"}},
		{"the type of a query parameter", known, []string{"GET|/variables/keys|2026-06-30||limit,offset:list,prefix|execution|"}, []string{"query parameters limit,offset:list"}},
		{"slashes", known, []string{"GET|/dags/{dag_id:path}|2026-06-30|||execution|"}, []string{"matches slashes"}},
		{"a token scope", known, []string{"GET|/dags/{dag_id}|2026-06-30|||callback,execution|"}, []string{`scope "callback"`}},
		{"that a token is needed", known, []string{"GET|/health|2025-04-11|||execution|"}, []string{"a token is needed"}},
		{"that no token is needed", known, []string{"GET|/dags/{dag_id}|2026-06-30||||"}, []string{"no token is needed"}},
		{"that it is the token's own", known, []string{"GET|/dags/{dag_id}|2026-06-30|||execution|self"}, []string{"the token's own"}},
		{"the order of what overlaps", known, []string{
			"GET|/variables/{variable_key:path}|2025-04-11|||execution|", "GET|/variables/keys|2026-06-30||limit:int,offset:int,prefix|execution|",
		}, []string{"GET /variables/{variable_key} comes before GET /variables/keys"}},
		{"nothing, where what is in another order does not overlap", known, []string{
			"GET|/xcoms/{dag_id}/{run_id}/{task_id}/{key}|2025-04-11||map_index:int|execution|", "GET|/xcoms/{dag_id}/{run_id}/{task_id}/{key}/slice|2025-04-11|||execution|",
			"DELETE|/variables/{variable_key:path}|2025-04-11|||execution|", "GET|/variables/{variable_key:path}|2025-04-11|2025-11-05||execution|",
			"GET|/variables/keys|2026-06-30|||execution|",
		}, nil},
		{"the order of what ends alike", known, []string{
			"GET|/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}|2025-04-11||map_index:int|execution|", "GET|/xcoms/{dag_id}/{run_id}/{task_id}/{key:path}/slice|2025-04-11|||execution|",
		}, []string{"comes before GET /xcoms/{dag_id}/{run_id}/{task_id}/{key}/slice"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			release, err := servedBy(t, c.versions, c.rows...)
			if err != nil {
				t.Fatal(err)
			}
			missing, _ := route.Compare(release)
			if len(missing) != len(c.want) {
				t.Fatalf("missing %q, want %q", missing, c.want)
			}
			for i, want := range c.want {
				if !strings.Contains(missing[i], want) {
					t.Errorf("missing %q, want %q in it", missing[i], want)
				}
			}
		})
	}
}

func TestCompare_NamesExtraRows(t *testing.T) {
	t.Parallel()
	release, err := servedBy(t, "2026-06-30",
		"GET|/variables/{variable_key}|2026-06-30|||execution|", "GET|/variables/keys|2026-06-30||prefix|execution|",
		"PATCH|/task-instances/{task_instance_id}/run|2026-06-30|||execution|self", "GET|/hitlDetails/{task_instance_id}|2026-06-30|||execution|")
	if err != nil {
		t.Fatal(err)
	}
	_, extra := route.Compare(release)
	for _, want := range []string{
		"GET /variables/{variable_key}: the table matches slashes, as in /variables/{variable_key:path}",
		"GET /variables/keys: the release has no query parameters limit:int,offset:int",
		"PATCH /task-instances/{task_instance_id}/run: the release takes no tokens of scope workload",
		"GET /hitlDetails/{task_instance_id}: the release takes another task's id too",
		"PUT /variables/{variable_key} is not in the release",
	} {
		if !slices.Contains(extra, want) {
			t.Errorf("%q is not said", want)
		}
	}
}

func TestCompare_RefusesInvalidFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", "there are none"},
		"no rows":             {"# versions: 2026-06-30\nmethod\tpath\tsince\tuntil\tquery\tscopes\tself\n", "there are none"},
		"another file":        {"<html>\n", "there are 1 columns"},
		"a row without heads": {"# versions: 2026-06-30\nGET\t/health\t2026-06-30\t\t\t\t\n", "there are none"},
		"an unknown version":  {"# versions: 2026-06-30\nmethod\tpath\tsince\tuntil\tquery\tscopes\tself\nGET\t/health\t2026-06-29\t\t\t\t\n", "2026-06-29 is none"},
		"a line of 1 MB":      {strings.Repeat("x", 1<<20), "token too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release, err := route.ReadRelease(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%d routes, error %v, want %q in it", len(release.Routes), err, c.want)
			}
		})
	}
}
