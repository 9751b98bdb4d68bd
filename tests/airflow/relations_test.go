package airflow_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// A relation is who asks, and whose it is: the last letters of dags' names.
type relation struct{ name, asks, owns string }

// relations are those that distinguish teams. Whatever a route touches, the
// letter says whose it is, as in [relation.fill].
var relations = []relation{
	{"own", "a", "a"},
	{"other", "a", "b"},
	{"global", "a", "g"},
	{"teamless", "g", "a"},
}

// passes is the rule: what the relation may do with a route by default.
func (rel relation) passes(r route.Route) bool {
	switch {
	case !r.NeedsToken():
		return r.Kind == route.Public
	case r.Kind == route.Self, r.Kind == route.XCom && r.Action.Mutates():
		return rel.name == "own" // the task's own, and nobody else's
	case r.Action == route.List:
		return rel.asks != "g" // Airflow filters the list by the task's team
	default:
		return rel.name == "own" || rel.name == "global"
	}
}

// who asks a route: the task that the path is about where it is about one.
func (rel relation) who(r route.Route) string {
	who := "dag_" + rel.asks + "." + taskOf(r)
	switch {
	case !r.NeedsToken():
		return nobody
	case r.Scopes == "workload", r.Scopes == "callback":
		return r.Scopes + ":" + who
	}
	return who
}

// taskOf is the task of the world that a route can be tried on: one that has not
// begun where the route lets it begin, one that has asked where a human answers.
func taskOf(r route.Route) string {
	switch {
	case strings.HasSuffix(r.Pattern, "/run"):
		return "start"
	case strings.HasPrefix(r.Pattern, "/hitlDetails/") && r.Method != http.MethodPost:
		return "end"
	}
	return "t1"
}

// request fills a route with what belongs to the relation's owner.
func (rel relation) request(r route.Route, version string) request {
	of := func(name string) string {
		return map[string]string{"a": name + "_a", "b": name + "_b", "g": "global_" + name}[rel.owns]
	}
	asset := map[string]string{"a": "asset_a", "b": "asset_b", "g": "asset"}[rel.owns]
	alias := strings.Replace(asset, "asset", "alias", 1)
	dag, run, key := "dag_"+rel.owns, run1, "return_value"
	switch {
	case strings.HasPrefix(r.Pattern, "/store/"):
		key = "stored"
	case r.Action == route.Trigger:
		run = "new"
	case r.Action == route.Clear:
		run = run2
	case r.Kind == route.XCom && r.Action.Mutates():
		key = "x_delete"
	}
	id := "{" + dag + "." + taskOf(r) + "}"
	target := strings.NewReplacer("{dag_id}", dag, "{run_id}", run, "{task_id}", "t1", "{key:path}", key, "{offset}", "0",
		"{variable_key:path}", of("var"), "{connection_id:path}", of("conn"), "{task_instance_id}", id, "{connection_test_id}", id, "{callback_id}", id,
	).Replace(r.Pattern)
	values := map[string]string{
		"dag_id": dag, "run_id": run1, "logical_date": "2026-01-02T00:00:00Z",
		"name": asset, "uri": "s3://bucket/" + asset, "alias_name": alias, "key": key,
	}
	if strings.HasSuffix(r.Pattern, "-alias") {
		values["name"] = alias
	}
	query := make(url.Values)
	for parameter := range strings.SplitSeq(r.Query, ",") {
		if value, ok := values[parameter]; ok {
			query.Set(parameter, value)
		}
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return request{method: r.Method, target: target, version: version, body: strings.ReplaceAll(bodies[r.Method+" "+r.Pattern], "{id}", id)}
}

// bodies are of the shape that the routes take.
var bodies = map[string]string{
	"PATCH /connection-tests/{connection_test_id}":                `{"state":"success"}`,
	"POST /dag-runs/{dag_id}/{run_id}":                            `{}`,
	"PATCH /task-instances/{task_instance_id}/run":                begin,
	"PATCH /task-instances/{task_instance_id}/state":              done,
	"PATCH /task-instances/{task_instance_id}/skip-downstream":    `{"tasks":["t2"]}`,
	"PUT /task-instances/{task_instance_id}/heartbeat":            alive,
	"PUT /task-instances/{task_instance_id}/rtif":                 `{"doc":"rendered"}`,
	"PATCH /task-instances/{task_instance_id}/rendered-map-index": `"one"`,
	"PATCH /task-instances/{task_instance_id}/dag-run-note":       `{"note":"n"}`,
	"PUT /variables/{variable_key:path}":                          `{"val":"new"}`,
	"POST /xcoms/{dag_id}/{run_id}/{task_id}/{key:path}":          `"v"`,
	"POST /hitlDetails/{task_instance_id}":                        `{"ti_id":"{id}","options":["yes","no"],"subject":"?","params":{}}`,
	"PATCH /hitlDetails/{task_instance_id}":                       `{"ti_id":"{id}","chosen_options":["yes"],"params_input":{}}`,
	"PUT /store/ti/{task_instance_id}/{key:path}":                 `{"value":1}`,
	"PUT /store/asset/by-name/value":                              `{"value":1}`,
	"PUT /store/asset/by-uri/value":                               `{"value":1}`,
}

// versions are the oldest and the newest API version of the release that have
// the route; none if it is newer than the release. The documentation is found
// without a version only.
func (airflow *release) versions(r route.Route) []string {
	newest := newestVersion[airflow.version]
	if r.Since > newest {
		return nil
	}
	if r.Until != "" {
		newest = min(newest, r.Until)
	}
	if !r.NeedsToken() {
		return []string{"", r.Since, newest}
	}
	return slices.Compact([]string{r.Since, newest})
}

// broken is what a release itself can't answer to those who may ask: 3.1.8's
// answer still has triggering_user_name, which that version's form forbids.
var broken = map[string]string{"3.1.8": "GET /dag-runs/{dag_id}/previous 2025-08-10"}

// A finding is what came of a route on a release, for each relation. A release
// that does not serve the route has no statuses.
type finding [4]struct {
	// statuses are those of the answers straight, one for each version.
	statuses []int
	// through counts those of them that gave or did what was asked for.
	through int
	// stopped: the fence denied.
	stopped bool
}

// askRoutes sends every route that the release serves, under its oldest and its
// newest API version, once for each relation, and holds the answers against the
// rule.
func askRoutes(t *testing.T, airflow *release, w *world, straight, fenced *deployment) []finding {
	t.Helper()
	var findings []finding
	for _, r := range route.Table() {
		var f finding
		name := r.Method + " " + r.Pattern
		t.Run(strings.ReplaceAll(name, "/", " "), func(t *testing.T) {
			for _, version := range airflow.versions(r) {
				if !serves(t, w, straight, fenced, relations[0].request(r, version), r) {
					continue
				}
				for i, rel := range relations {
					if !r.NeedsToken() && i > 0 {
						break // nobody asks, whatever the relation
					}
					want := denied
					if rel.passes(r) {
						want = passes
					}
					ask := rel.request(r, version)
					plain, guarded := straight.send(t, w, rel.who(r), ask), fenced.send(t, w, rel.who(r), ask)
					want.check(t, plain, guarded)
					if want.name == passes.name && plain.status > 299 && broken[airflow.version] != name+" "+version {
						t.Errorf("straight: %d %s\nwant one that was let through", plain.status, plain.body)
					}
					if t.Failed() {
						t.Fatalf("%s as %q, API version %q: want that it %s", ask.target, rel.who(r), version, want.name)
					}
					f[i].statuses = append(f[i].statuses, plain.status)
					f[i].stopped = want.name == denied.name
					if plain.status < 300 && (!r.Action.Mutates() || plain.changes != "") {
						f[i].through++
					}
				}
			}
		})
		findings = append(findings, f)
	}
	return findings
}

// serves reports whether the release has the route under the version: whoever asks
// without a token is then told so, by Airflow and by the fence alike.
func serves(t *testing.T, w *world, straight, fenced *deployment, r request, of route.Route) bool {
	t.Helper()
	plain := straight.send(t, w, nobody, r)
	if plain.status == http.StatusNotFound || plain.status == http.StatusMethodNotAllowed {
		return false
	}
	if of.NeedsToken() {
		wantSame(t, "status without a token straight", http.StatusUnauthorized, plain.status)
		wantSame(t, "status without a token", http.StatusUnauthorized, fenced.send(t, w, nobody, r).status)
	}
	return true
}
