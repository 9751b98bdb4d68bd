package route_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// airflowRoute is a row of testdata/routes.tsv, which Airflow's own OpenAPI
// documents were read into.
type airflowRoute struct {
	method, path, since, until string
	query                      []string
}

func airflowRoutes(t *testing.T) []airflowRoute {
	t.Helper()
	file, err := os.Open("testdata/routes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rows []airflowRoute
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		column := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(lines.Text(), "#") || column[0] == "method" {
			continue
		}
		row := airflowRoute{method: column[0], path: column[1], since: column[2], until: column[3]}
		if column[5] != "" {
			row.query = strings.Split(column[5], ",")
		}
		rows = append(rows, row)
	}
	if len(rows) != 56 {
		t.Fatalf("testdata/routes.tsv has %d routes, want 56", len(rows))
	}
	return rows
}

func TestTableHasEveryRouteOfAirflow(t *testing.T) {
	t.Parallel()
	lists := []string{"logical_dates", "run_ids", "states", "task_ids"}
	ours := map[string]route.Route{}
	for _, r := range route.Table() {
		name := r.Method + " " + strings.ReplaceAll(r.Pattern, ":path}", "}")
		if _, twice := ours[name]; twice {
			t.Errorf("%s is in the table twice", name)
		}
		ours[name] = r
	}
	for _, want := range airflowRoutes(t) {
		name := want.method + " " + want.path
		got, known := ours[name]
		if !known {
			t.Errorf("%s is not in the table", name)
			continue
		}
		delete(ours, name)
		if got.Since != want.since || got.Until != want.until {
			t.Errorf("%s: from %q to %q, want %q to %q", name, got.Since, got.Until, want.since, want.until)
		}
		var query []string
		if got.Query != "" {
			query = strings.Split(got.Query, ",")
		}
		for i, param := range query {
			list := strings.HasSuffix(param, "*")
			query[i] = strings.TrimSuffix(param, "*")
			if list != slices.Contains(lists, query[i]) {
				t.Errorf("%s: parameter %s: list is %v", name, query[i], list)
			}
		}
		if !slices.Equal(query, want.query) {
			t.Errorf("%s: query %q, want %q", name, query, want.query)
		}
	}
	for name, r := range ours {
		if r.Kind != route.Public {
			t.Errorf("%s is in the table, but not in Airflow", name)
		}
	}
}

func TestEveryRouteSaysWhatItTouches(t *testing.T) {
	t.Parallel()
	for _, r := range route.Table() {
		name := r.Method + " " + r.Pattern
		if r.Kind == 0 || r.Action == 0 {
			t.Errorf("%s: kind %v, action %v", name, r.Kind, r.Action)
		}
		reads := r.Method == "GET" || r.Method == "HEAD"
		if r.Action.Mutates() == reads {
			t.Errorf("%s: action %v", name, r.Action)
		}
		hasSelfID := strings.Contains(r.Pattern, "{task_instance_id}") || strings.Contains(r.Pattern, "{connection_test_id}")
		if hasSelfID != (r.Kind == route.Self) {
			t.Errorf("%s: kind %v", name, r.Kind)
		}
		hasDag := strings.Contains(r.Pattern, "{dag_id}") || strings.Contains(r.Query, "dag_id")
		if hasDag != (r.Kind == route.Dag || r.Kind == route.XCom) {
			t.Errorf("%s: kind %v", name, r.Kind)
		}
	}
}

func TestWorkloadTokensAreTakenWhereAirflowTakesThem(t *testing.T) {
	t.Parallel()
	var both, only []string
	for _, r := range route.Table() {
		switch {
		case r.WorkloadOnly:
			only = append(only, r.Pattern)
		case r.Workload:
			both = append(both, r.Method+" "+r.Pattern)
		}
	}
	if want := []string{"PATCH /task-instances/{task_instance_id}/run"}; !slices.Equal(both, want) {
		t.Errorf("both scopes: %q, want %q", both, want)
	}
	want := []string{"/connection-tests/{connection_test_id}/connection", "/connection-tests/{connection_test_id}"}
	if !slices.Equal(only, want) {
		t.Errorf("only workload: %q, want %q", only, want)
	}
}

func TestNamesOfKindsAndActionsAreClosedSets(t *testing.T) {
	t.Parallel()
	for kind, want := range map[route.Kind]string{0: "none", route.Public: "public", route.Asset: "asset", 99: "kind(99)"} {
		if got := kind.String(); got != want {
			t.Errorf("Kind(%d) is %q, want %q", kind, got, want)
		}
	}
	for action, want := range map[route.Action]string{0: "none", route.Read: "read", route.Clear: "clear", 99: "action(99)"} {
		if got := action.String(); got != want {
			t.Errorf("Action(%d) is %q, want %q", action, got, want)
		}
	}
	if !route.Action(0).Mutates() {
		t.Error("the zero Action must not count as reading")
	}
}
