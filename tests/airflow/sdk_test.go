package airflow_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// What a Task SDK makes of a denied variable or connection. An SDK may be older
// than the api-server that it asks.
const (
	asksLast     = iota // 1.0.0 to 1.1.0: no backend is behind the Execution API
	fallsThrough        // 1.1.1 to 1.2.1: a denial is treated as not found
	stops               // 1.2.2 and later: apache/airflow pull request 66575
)

// sdkReleases are the releases of Airflow whose Task SDK asks, each of another
// minor version, and the release of the api-server that they ask.
var sdkReleases = []struct {
	version string
	makes   int
	server  string
}{
	{"3.0.6", asksLast, latest},     // Task SDK 1.0.6
	{"3.1.8", fallsThrough, latest}, // Task SDK 1.1.8
	{"3.2.2", stops, latest},        // Task SDK 1.2.2
	{latest, stops, latest},         // Task SDK 1.3.2
	{upcoming, stops, upcoming},     // Task SDK 1.4.0b2
}

// askSDKs lets the Task SDKs ask the api-server straight, through a fence, through
// one that can't tell who owns what, and what denies in a form of its own.
func askSDKs(t *testing.T, airflow *release, w *world, dagfence *fence, database *database, upstream, lookup string) {
	t.Helper()
	status := services.Address(t)
	fenced := dagfence.proxy(t, upstream, "--lookup", lookup, "--status", status)
	process := dagfence.processes[len(dagfence.processes)-1]
	down := dagfence.proxy(t, upstream, "--lookup", "http://"+services.Address(t))
	servers := []string{"straight=" + upstream, "fenced=" + fenced, "down=" + down}
	for _, sdk := range sdkReleases {
		if sdk.server != airflow.version {
			continue
		}
		t.Run(sdk.version, func(t *testing.T) {
			asked := servers
			if sdk.makes == stops {
				asked = append(slices.Clone(servers), stubs(t)...)
			}
			outcomes := askSDK(t, install(t, sdk.version), w, asked...)
			database.change(t) // what it wrote is put back
			for _, row := range sdkRows {
				if got, want := outcomes[row.server][row.call], row.want[sdk.makes]; got != want {
					t.Errorf("%s, %s: %q, want %q", row.server, row.call, got, want)
				}
			}
			if sdk.makes == stops {
				wantOneFormHonoured(t, outcomes)
			}
		})
	}
	counted, named := "", 0
	if airflow.version == latest {
		// Two calls each of the client, of what a worker has, of the backend and of
		// the chain.
		counted, named = `{sdk_version="1.1.8"} 8`, 1
	}
	if got := ignoredDenials(t, "http://"+status+"/metrics"); got != counted {
		t.Errorf("denials that were not honoured: %q, want %q", got, counted)
	}
	if got := strings.Count(process.Output(), "upgrade the worker to Airflow 3.2.2"); got != named {
		t.Errorf("the log names outdated workers %d times, want %d:\n%s", got, named, process.Output())
	}
}

// askSDK runs sdk.py as a task of team_a, with the release's Task SDK, against
// servers as name=URL. It returns each server's outcomes by call.
func askSDK(t *testing.T, airflow *release, w *world, servers ...string) map[string]map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "outcomes.json")
	airflow = airflow.with(map[string]string{
		"AIRFLOW__WORKERS__EXECUTION_API_RETRIES":        "2",
		"AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "0.01",
		"AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "0.02",
	})
	airflow.run(t, "sqlite://", "python", append([]string{"sdk.py", w.Tokens[taskA], w.IDs[taskA], file}, servers...)...)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes map[string]map[string]string
	if err := json.Unmarshal(content, &outcomes); err != nil {
		t.Fatalf("reading what sdk.py wrote: %v", err)
	}
	return outcomes
}

// forms are ways to say 403. The Task SDK takes none but the first for a denial.
var forms = []struct{ name, contentType, body string }{
	{"as the fence", "application/json", `{"detail":{"reason":"access_denied","message":"Task does not have access"}}`},
	{"with a charset", "application/json; charset=utf-8", `{"detail":{"reason":"access_denied","message":"Task does not have access"}}`},
	{"in plain text", "text/plain", "Forbidden"},
	{"in no JSON", "application/json", "Forbidden"},
	{"as a page", "text/html", "<html><body><h1>403 Forbidden</h1></body></html>"},
}

// stubs denies everything in each of the forms.
func stubs(t *testing.T) (servers []string) {
	t.Helper()
	for _, form := range forms {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", form.contentType)
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, form.body)
		}))
		t.Cleanup(server.Close)
		servers = append(servers, form.name+"="+server.URL)
	}
	return servers
}

func wantOneFormHonoured(t *testing.T, outcomes map[string]map[string]string) {
	t.Helper()
	for i, form := range forms {
		for call, ignored := range map[string]string{
			"other's: _get_variable":             "api, spy: " + noVariable,
			"other's: _get_connection":           "api, spy: " + noConnection,
			"other's: _async_get_connection":     "api, spy: " + noConnection,
			"stock: Variable.get with a default": "api: the default",
		} {
			want := ignored
			if i == 0 {
				want = "api: " + accessDenied
			}
			if got := outcomes[form.name][call]; got != want {
				t.Errorf("a 403 %s, %s: %q, want %q", form.name, call, got, want)
			}
		}
	}
}

// ignoredDenials returns the labels and values of the metric that are not 0.
func ignoredDenials(t *testing.T, url string) string {
	t.Helper()
	var counters []string
	for line := range strings.Lines(fetch(t, url)) {
		if counter, ok := strings.CutPrefix(line, "dagfence_denials_not_honoured_total"); ok && !strings.HasSuffix(counter, " 0\n") {
			counters = append(counters, strings.TrimSpace(counter))
		}
	}
	return strings.Join(counters, ", ")
}
