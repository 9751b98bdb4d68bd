package route_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

const newest = "2026-10-30"

// reads returns the readings of a request, one line each, newest first.
func reads(t *testing.T, method, target, version string) string {
	t.Helper()
	path, query, _ := strings.Cut(target, "?")
	match, err := route.Find(route.Request{
		Method: method, Path: path, RawQuery: query, APIVersion: version, HasAPIVersion: version != "",
	})
	if err != nil {
		var refused *route.Error
		if !errors.As(err, &refused) || refused.Detail == "" {
			t.Fatalf("%s %s: error %#v, want a *route.Error with a detail", method, target, err)
		}
		return string(refused.Reason)
	}
	var lines []string
	for _, r := range match.Readings() {
		line := fmt.Sprintf("%v %v", r.Route.Kind, r.Route.Action)
		for _, part := range []string{r.DagID, r.RunID, r.TaskID, r.Key, r.ID, r.AssetName, r.AssetURI} {
			if part != "" {
				line += " " + part
			}
		}
		if r.AssetAlias != "" {
			line += " alias " + r.AssetAlias
		}
		if r.HasMapIndex {
			line += fmt.Sprintf(" [%d]", r.MapIndex)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func TestRequest_IsReadAsAirflowReadsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, version, want string }{
		{"GET /health", newest, "public read"},
		{"HEAD /docs", "", "documentation read"},
		{"GET /variables/x", newest, "variable read x"},
		{"PUT /variables/a/b", newest, "variable write a/b"},
		{"DELETE /variables//b", newest, "variable delete /b"},
		{"GET /variables/x/", newest, "variable read x/"},
		{"GET /variables/ключ", newest, "variable read ключ"},
		{"GET /variables/...", newest, "variable read ..."},
		{"GET /variables/.x/y.", newest, "variable read .x/y."},
		{"GET /connections/c", newest, "connection read c"},
		{"GET /connections/c/d", newest, "connection read c/d"},
		{"GET /connections/c/", newest, "connection read c/"},

		// An XCom's key takes slashes; item and slice come before the plain route.
		{"GET /xcoms/d/r/t/k", newest, "xcom read d r t k"},
		{"GET /xcoms/d/r/t/k?map_index=3", newest, "xcom read d r t k [3]"},
		{"HEAD /xcoms/d/r/t/k", newest, "xcom count d r t k"},
		{"GET /xcoms/d/r/t/a/b", newest, "xcom read d r t a/b"},
		{"GET /xcoms/d/r/t/k/slice", newest, "xcom read d r t k"},
		{"GET /xcoms/d/r/t/slice", newest, "xcom read d r t slice"},
		{"GET /xcoms/d/r/t/k/item/-1", newest, "xcom read d r t k"},
		{"GET /xcoms/d/r/t/a/item/item/2", newest, "xcom read d r t a/item"},
		{"GET /xcoms/d/r/t/item/2", newest, "xcom read d r t item/2"},
		{"POST /xcoms/d/r/t/k/slice", newest, "xcom write d r t k/slice"},
		{"POST /xcoms/d/r/t/k?map_index=-1&mapped_length=2", newest, "xcom write d r t k [-1]"},
		{"DELETE /xcoms/d/r/t/k/item/3?map_index=0", newest, "xcom delete d r t k/item/3 [0]"},
		{"POST /xcoms/d/r/t", newest, "unlisted_route"},
		{"POST /xcoms/d//t/k", newest, "unlisted_route"},

		// A dag comes from the path or the query.
		{"GET /dag-runs/d/r", newest, "dag read d r"},
		{"POST /dag-runs/d/r", newest, "dag trigger d r"},
		{"POST /dag-runs/d/clear", newest, "dag trigger d clear"},
		{"POST /dag-runs/d/r/clear", newest, "dag clear d r"},
		{"GET /dag-runs/d/r/state", newest, "dag read d r"},
		{"GET /dag-runs/count?dag_id=d&run_ids=a&run_ids=b", newest, "dag count d"},
		{"GET /dag-runs/count?dag%5Fid=d%2Fe+f", newest, "dag count d/e f"},
		{"GET /dag-runs/count?&&dag_id=d&&x=1&x=2", newest, "dag count d"},
		{"GET /dag-runs/previous?dag_id=d&logical_date=2026-01-03T00:00:00Z", newest, "dag read d"},
		{"GET /dags/d", newest, "dag read d"},
		{"GET /task-instances/count?dag_id=d&map_index=2", newest, "dag count d [2]"},
		{"GET /task-instances/states?dag_id=d&task_ids=a&task_ids=b", newest, "dag count d"},
		{"GET /task-instances/previous/d/t", newest, "dag read d t"},
		{"GET /task-instances/breadcrumbs?dag_id=d&run_id=r", newest, "dag read d"},

		{"PATCH /task-instances/018f/run", newest, "self write 018f"},
		{"GET /task-instances/previous/previous-successful-dagrun", newest, "self read previous"},
		{"GET /store/ti/018f/a/b", newest, "self read a/b 018f"},
		{"DELETE /store/ti/018f", newest, "self delete 018f"},
		{"DELETE /store/ti/018f/", newest, "self delete 018f"},
		{"PATCH /connection-tests/018f", newest, "self write 018f"},
		{"PATCH /callbacks/018f/run", newest, "self write 018f"},
		{"PATCH /callbacks/018f/run", "2026-06-30", "unlisted_route"},
		{"PATCH /task-instances/018f/dag-run-note", newest, "self write 018f"},

		{"GET /assets/by-name?name=n", newest, "asset read n"},
		{"GET /assets/by-alias?alias_name=n", newest, "asset read alias n"},
		{"GET /asset-events/by-asset-alias?name=n", newest, "asset read alias n"},
		{"GET /asset-events/by-asset-alias?uri=n", newest, "bad_query"},
		{"GET /assets/by-alias?name=n", newest, "bad_query"},
		{"GET /assets/by-name?name=n&alias_name=m&uri=o", newest, "asset read n"},
		{"GET /asset-events/by-asset?name=n&uri=s3://b/k", newest, "asset read n s3://b/k"},
		{"PUT /store/asset/by-uri/value?uri=s3%3A%2F%2Fb&key=k", newest, "asset write s3://b"},
		{"DELETE /store/asset/by-name/clear?name=n", newest, "asset delete n"},

		// What upstream would answer 404 or 405 to.
		{"GET /", newest, "unlisted_route"},
		{"GET /nothing", newest, "unlisted_route"},
		{"GET /Variables/x", newest, "unlisted_route"},
		{"POST /variables/x", newest, "method_not_allowed"},
		{"get /variables/x", newest, "method_not_allowed"},
		{"OPTIONS /variables/x", newest, "method_not_allowed"},
		{"HEAD /variables/x", newest, "method_not_allowed"},

		// What is named by nothing.
		{"GET /variables/", newest, "bad_query"},
		{"GET /connections/", newest, "bad_query"},
		{"GET /xcoms/d/r/t//slice", newest, "bad_query"},
		{"GET /dag-runs/count", newest, "bad_query"},
		{"GET /dag-runs/count?dag_id=", newest, "bad_query"},
		{"GET /asset-events/by-asset?limit=3", newest, "bad_query"},
	} {
		t.Run(c.request, func(t *testing.T) {
			t.Parallel()
			method, target, _ := strings.Cut(c.request, " ")
			if got := reads(t, method, target, c.version); got != c.want {
				t.Errorf("read as %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPIVersion_PicksTheRouteAndOlderUpstreamsCount(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, version, want string }{
		// Up to 2025-11-05 this reads the variable named keys. A release that
		// knows nothing newer does so whatever the header says.
		{"GET /variables/keys", "2025-11-05", "variable read keys"},
		{"GET /variables/keys", newest, "variable list; variable read keys"},
		{"GET /variables/keys", "", "variable list; variable read keys"},
		{"PUT /variables/keys", newest, "variable write keys"},

		{"GET /dag-runs/d/previous", "2025-05-20", "method_not_allowed"},
		{"GET /dag-runs/d/previous", "2025-08-10", "dag read d"},
		{"GET /dag-runs/d/previous", "2026-04-06", "dag read d previous; dag read d"},
		{"GET /dags/d", "2025-11-05", "unlisted_route"},
		{"GET /dags/d", "2026-05-01", "dag read d"},
		{"GET /dags/d", "2999-01-01", "dag read d"},
		{"GET /variables/x", "2025-04-10", "unlisted_route"},
		{"GET /variables/x", "2025-04-11", "variable read x"},

		{"GET /variables/x", "zzz", "bad_api_version"},
		{"GET /variables/x", "2026-06-3", "bad_api_version"},
		{"GET /variables/x", "2026-06-30T00:00", "bad_api_version"},
		{"GET /variables/x", "2026/06/30", "bad_api_version"},
		{"GET /variables/x", "２026-06-30", "bad_api_version"},
		{"GET /variables/x", "2026-0a-30", "bad_api_version"},
	} {
		t.Run(c.request+" "+c.version, func(t *testing.T) {
			t.Parallel()
			method, target, _ := strings.Cut(c.request, " ")
			if got := reads(t, method, target, c.version); got != c.want {
				t.Errorf("read as %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPIVersion_EmptyIsRefused(t *testing.T) {
	t.Parallel()
	_, err := route.Find(route.Request{Method: "GET", Path: "/variables/x", HasAPIVersion: true})
	var refused *route.Error
	if !errors.As(err, &refused) || refused.Reason != route.BadVersion {
		t.Errorf("error %v, want %s", err, route.BadVersion)
	}
}

func TestRequest_ReadDifferentlyByTwoParsersIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, want string }{
		{"//variables/x", "bad_path"},
		{"//variables/x\n", "bad_path"},
		{"/variables/x\n", "bad_path"},
		{"/variables/x\x00", "bad_path"},
		{"/variables/x\x7f", "bad_path"},
		{"/variables/\xffx", "bad_path"},
		{"/variables/x/../y", "bad_path"},
		{"/variables/..", "bad_path"},
		{"/variables/./x", "bad_path"},
		{"/variables/.a/..", "bad_path"},
		{"/../variables/x", "bad_path"},
		{"/dag-runs/count?dag_id=a&dag_id=b", "bad_query"},
		{"/dag-runs/count?dag_id=a&dag%5fid=b", "bad_query"},
		{"/dag-runs/count?dag_id=a%", "bad_query"},
		{"/dag-runs/count?dag_id=a%4", "bad_query"},
		{"/dag-runs/count?dag_id=a%zz", "bad_query"},
		{"/dag-runs/count?dag_id=a%0a", "bad_query"},
		{"/dag-runs/count?dag_id=a%FF", "bad_query"},
		{"/dag-runs/count?dag_id=\u00e4", "bad_query"},
		{"/dag-runs/count?dag_id=a&x=%FF", "bad_query"},
		{"/dag-runs/count?dag_id=a&%zz=1", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=3_0", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=+3", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=%203", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=03", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=-0", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=-", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=3.0", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=", "bad_query"},
		{"/xcoms/d/r/t/k?map_index", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=9999999999999999999", "bad_query"},
		{"/xcoms/d/r/t/k?map_index=1&map_index=1", "bad_query"},
	} {
		t.Run(fmt.Sprintf("%q", c.target), func(t *testing.T) {
			t.Parallel()
			if got := reads(t, "GET", c.target, newest); got != c.want {
				t.Errorf("read as %q, want %q", got, c.want)
			}
		})
	}
}

func TestMount_IsFoundWhereUpstreamFindsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mount   route.Mount
		path    string
		rest    string
		inside  bool
		refused bool
	}{
		{mount: "/execution", path: "/execution/variables/x", rest: "/variables/x", inside: true},
		{mount: "/execution", path: "/execution", inside: true},
		{mount: "/execution", path: "/execution/", rest: "/", inside: true},
		{mount: "/execution", path: "/execution//x", rest: "//x", inside: true},
		{mount: "/a/execution", path: "/a/execution/x", rest: "/x", inside: true},
		{mount: "/execution", path: "/executions/x"},
		{mount: "/execution", path: "/Execution/x"},
		{mount: "/execution", path: "/api/v2/dags/execution/x"},
		{mount: "/execution", path: "/api/../ui"},
		{mount: "/execution", path: "/execution-api/variables/x"},
		{mount: "/execution", path: "/airflow/execution/variables/x", refused: true},
		{mount: "/execution", path: "/airflow/execution/task-instances/x/heartbeat", refused: true},
		{mount: "/execution", path: "/a/execution/b/execution/variables/x", refused: true},
		{mount: "/execution", path: "/api/v2/dags/execution/dagRuns"},
		{mount: "/execution", path: "/api/v2/dags/execution/assets/queuedEvents"},
		{mount: "/a/execution", path: "/execution/variables/x", refused: true},
		{mount: "/a/execution", path: "/b/execution/ui"},
		{mount: "/execution", path: "/airflow/execution//variables/x\n", refused: true},
		{mount: "/execution", path: "/airflow//execution//variables/x\n", refused: true},
		{mount: "/execution", path: "/ui/execution//dag-runs/d/r/clear\n", refused: true},
		{mount: "/execution", path: "/ui/execution///dag-runs/d/r/clear", refused: true},
		{mount: "/execution", path: "/ui/execution/dag-runs/d/r/clear\n", refused: true},
		{mount: "/execution", path: "/ui/execution/./variables/x", refused: true},
		{mount: "/execution", path: "/ui/execution/y/../variables/x", refused: true},
		{mount: "/execution", path: "/ui/x/../execution/y/..//variables/x", refused: true},
		{mount: "/execution", path: "/ui/execution//dag-runs/d/\n", refused: true}, // a run of that name
		{mount: "/execution", path: "/uiexecution/variables/x", refused: true},     // behind handle_path /ui*
		{mount: "/exec", path: "/execution/variables/x", refused: true},
		{mount: "/a/exec", path: "/exec//variables/x\n", refused: true},
		{mount: "/a/exec", path: "/exec/ui"},
		{mount: "/execution", path: "/airflow/execution//health\n"}, // public
		{mount: "/execution", path: "//execution/x", refused: true},
		{mount: "/execution", path: "/./execution/x", refused: true},
		{mount: "/execution", path: "/ui/../execution/x", refused: true},
		{mount: "/execution", path: "/ui" + strings.Repeat("/execution", 8) + "/ui"},
		{mount: "/execution", path: "/ui" + strings.Repeat("/execution", 8) + "/variables/x", refused: true},
		{mount: "/execution", path: "/ui" + strings.Repeat("/execution", 9) + "/ui", refused: true},
		{mount: "/exec", path: "/ui" + strings.Repeat("/exec", 9) + "/ui", refused: true},
	} {
		rest, inside, err := c.mount.Locate(c.path)
		if rest != c.rest || inside != c.inside || (err != nil) != c.refused {
			t.Errorf("%s: %s is at %q, inside %v, error %v", c.mount, c.path, rest, inside, err)
		}
	}
}

// TestMatch_AgreesWithStarlette checks the matcher against the
// regular expressions that Starlette compiles from the same patterns, over
// random paths made of pieces that such paths are made of.
func TestMatch_AgreesWithStarlette(t *testing.T) {
	t.Parallel()
	type expression struct {
		route.Route
		*regexp.Regexp
	}
	parameter := regexp.MustCompile(`\{([a-z_]+)(:path)?\}`)
	var table []expression
	for _, r := range route.Table() {
		text := parameter.ReplaceAllStringFunc(r.Pattern, func(p string) string {
			name, isPath := strings.CutSuffix(strings.Trim(p, "{}"), ":path")
			if isPath {
				return "(?P<" + name + ">.*)"
			}
			return "(?P<" + name + ">[^/]+)"
		})
		table = append(table, expression{r, regexp.MustCompile("^" + text + "$")})
	}
	pieces := []string{"variables", "keys", "xcoms", "item", "slice", "dag-runs", "previous", "count", "clear", "state", "store", "ti", "asset", "by-name", "value", "health", "a", "b", "", "task-instances", "run"}
	random := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 200_000 {
		path := ""
		for range 1 + random.IntN(7) {
			path += "/" + pieces[random.IntN(len(pieces))]
		}
		method := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}[random.IntN(6)]
		want := "unlisted_route"
		for _, e := range table {
			if !e.MatchString(path) {
				continue
			}
			if e.Method != method {
				if want == "unlisted_route" {
					want = "method_not_allowed"
				}
				continue
			}
			want = e.Method + " " + e.Pattern
			matched++
			break
		}
		m, err := route.Find(route.Request{Method: method, Path: path, RawQuery: "dag_id=d&name=n&uri=u", APIVersion: newest, HasAPIVersion: true})
		var refused *route.Error
		got := ""
		switch {
		case errors.As(err, &refused) && (refused.Reason == route.BadQuery || refused.Reason == route.BadPath):
			continue // refused before it could be compared
		case err != nil:
			got = string(refused.Reason)
		default:
			first := m.Readings()[0].Route
			got = first.Method + " " + first.Pattern
		}
		if got != want {
			t.Fatalf("%s %s: got %q, want %q", method, path, got, want)
		}
	}
	if matched < 1000 {
		t.Errorf("only %d random paths matched a route", matched)
	}
}

func FuzzFindNeverPanicsAndKeepsItsWord(f *testing.F) {
	f.Add("GET", "/variables/keys", "limit=1", newest)
	f.Add("POST", "/xcoms/d/r/t/k/item/3", "map_index=-1&dag_result=1", "")
	f.Add("GET", "//", "%", "2025-04-11")
	f.Fuzz(func(t *testing.T, method, path, query, version string) {
		m, err := route.Find(route.Request{Method: method, Path: "/" + path, RawQuery: query, APIVersion: version, HasAPIVersion: version != ""})
		if err == nil && len(m.Readings()) == 0 {
			t.Error("neither a reading nor an error")
		}
		for _, r := range m.Readings() {
			if err == nil && r.Route.Method != method {
				t.Errorf("%s was read as %s", method, r.Route.Method)
			}
		}
	})
}
