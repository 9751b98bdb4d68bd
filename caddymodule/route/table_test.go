package route_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// releases are the golden dumps of Airflow's routers; scripts/airflow-routes.py
// made them, and tests/router makes them again.
var releases = []string{"3.0.6", "3.1.8", "3.2.2", "3.3.2", "3.4.0b2"}

func readRelease(t *testing.T, version string) route.Release {
	t.Helper()
	file, err := os.Open("testdata/airflow-" + version + ".tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	release, err := route.ReadRelease(file)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

func TestTable_HasEveryRouteOfAirflow(t *testing.T) {
	t.Parallel()
	for _, version := range releases {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			lacks, _ := route.Compare(readRelease(t, version))
			for _, sentence := range lacks {
				t.Error(sentence)
			}
		})
	}
}

func TestTable_HasOnlyRoutesOfAirflow(t *testing.T) {
	t.Parallel()
	type bounds struct{ since, until string }
	seen := map[string]bounds{}
	newest := ""
	for _, version := range releases { // oldest first
		release := readRelease(t, version)
		newest = release.Versions[len(release.Versions)-1]
		now := map[string]bounds{}
		for _, r := range release.Routes {
			b, again := now[plain(r)]
			if !again || r.Since < b.since {
				b.since = r.Since
			}
			if !again || r.Until == "" || b.until != "" && r.Until > b.until {
				b.until = r.Until
			}
			now[plain(r)] = b
		}
		for name, b := range now {
			if before, known := seen[name]; known && before.since < b.since {
				b.since = before.since
			}
			seen[name] = b
		}
	}
	for _, r := range route.Table() {
		got, known := seen[plain(r)]
		if !known {
			t.Errorf("%s is in no release", plain(r))
			continue
		}
		if want := (bounds{r.Since, r.Until}); got != want {
			t.Errorf("%s: from %q until %q in the table, in the releases %q until %q (the newest is %s)", plain(r), want.since, want.until, got.since, got.until, newest)
		}
		delete(seen, plain(r)) // a second row finds nothing
	}
}

// plain names a route as it was before some of its parameters took slashes.
func plain(r route.Route) string {
	return r.Method + " " + strings.ReplaceAll(r.Pattern, ":path}", "}")
}

func TestRoute_HasKindAndAction(t *testing.T) {
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
		hasSelfID := slices.ContainsFunc([]string{"{task_instance_id}", "{connection_test_id}", "{callback_id}"}, func(id string) bool { return strings.Contains(r.Pattern, id) })
		if hasSelfID != (r.Kind == route.Self) {
			t.Errorf("%s: kind %v", name, r.Kind)
		}
		hasDag := strings.Contains(r.Pattern, "{dag_id}") || strings.Contains(r.Query, "dag_id")
		if hasDag != (r.Kind == route.Dag || r.Kind == route.XCom) {
			t.Errorf("%s: kind %v", name, r.Kind)
		}
	}
}

func TestRoute_HasItsScopes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scopes string
		takes  []string
	}{
		{"", []string{"execution"}},
		{"workload", []string{"workload"}},
		{"execution,workload", []string{"execution", "workload"}},
	} {
		r := route.Route{Scopes: c.scopes}
		for _, scope := range []string{"execution", "workload", "callback", "work", "Execution", "execution,workload", ""} {
			if got, want := r.TakesScope(scope), slices.Contains(c.takes, scope); got != want {
				t.Errorf("scopes %q take %q: %v, want %v", c.scopes, scope, got, want)
			}
		}
	}
}

func TestKindAndActionNames_AreClosedSets(t *testing.T) {
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
