// Package airflow_test holds the fence against real Airflow: a released
// api-server, its metadata database, its own models and tokens.
package airflow_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// TestAccessMatrix asks each request of the matrix twice of each release's
// api-server: straight, and through a sidecar with a lookup service and Redis.
func TestAccessMatrix(t *testing.T) {
	t.Parallel()
	var found compatibility
	const onSQLite = latest + " on SQLite"
	t.Run("Airflow", func(t *testing.T) {
		for _, version := range releases {
			t.Run(version, func(t *testing.T) {
				t.Parallel()
				airflow := install(t, version)
				server, w := seed(t, airflow)
				found.add(version, testRelease(t, airflow, w, newFence(t, airflow),
					server.URL("airflow", "airflow"), server.URL("dagfence", "airflow")))
			})
		}
		t.Run(onSQLite, func(t *testing.T) {
			t.Parallel()
			airflow := install(t, latest)
			url := "sqlite:///" + filepath.Join(t.TempDir(), "airflow.db")
			w := populate(t, airflow, url)
			found.add(onSQLite, testRelease(t, airflow, w, newFence(t, airflow), url, url))
		})
	})
	found.check(t)
	found.wantAlike(t, latest, onSQLite)
}

// testRelease holds a release's api-server on the database against the matrix.
// The fence reads the database as owners names it.
func testRelease(t *testing.T, airflow *release, w *world, dagfence *fence, url, owners string) []finding {
	t.Helper()
	database := openDatabase(t, url)
	database.remember(t)
	if airflow.version == upcoming {
		wantSame(t, "what the newest release lacks", "variable.team_id connection.team_id xcom task_instance.map_index "+
			"task_instance_history rendered_task_instance_fields task_state_store.map_index", strings.Join(database.lacks, " "))
	}
	upstream, wait := airflow.serve(t, url)
	lookup := dagfence.lookup(t, owners, "--ownership-file", w.ownershipFile(t))
	wait()
	proxy := dagfence.proxy(t, upstream, "--redis", services.Redis(t).URL(), "--lookup", lookup)

	straight, fenced := &deployment{upstream, database}, &deployment{proxy, database}
	ask(t, airflow, w, straight, fenced, matrix())
	findings := askRoutes(t, airflow, w, straight, fenced)
	t.Run("a request hidden behind another", func(t *testing.T) { wantNothingSmuggled(t, w, fenced) })
	t.Run("heartbeats beside trailers", func(t *testing.T) { wantNeighboursAnswered(t, w, fenced) })
	if airflow.version >= latest {
		t.Run("a last byte behind another team's write", func(t *testing.T) { wantNothingOverwritten(t, w, fenced) })
	}
	if airflow.version == upcoming {
		t.Run("XComs of regions", func(t *testing.T) { wantXComsOfRegions(t, w, straight, fenced) })
	}
	if airflow.version >= latest && database.postgres { // an SDK asks what is as old as it is, or newer
		t.Run("the Task SDK", func(t *testing.T) { askSDKs(t, airflow, w, dagfence, database, upstream, lookup) })
	}
	dagfence.wantDiscreet(t, w)
	return findings
}

// ask compares each cell with both deployments, and logs the matrix.
func ask(t *testing.T, airflow *release, w *world, straight, fenced *deployment, cells []cell) {
	t.Helper()
	var table strings.Builder
	count := make(map[string]int)
	for _, c := range cells {
		if !t.Run(c.name, func(t *testing.T) {
			plain, guarded := straight.send(t, w, c.who, c.request), fenced.send(t, w, c.who, c.request)
			fmt.Fprintf(&table, "%-22s %-6s %-75s %d  %d %s\n",
				c.who, c.request.method, c.request.target, plain.status, guarded.status, c.fenced.name)
			if want := airflow.status(c); plain.status != want {
				t.Errorf("straight: %d %s\nwant: %d", plain.status, plain.body, want)
			}
			c.fenced.check(t, plain, guarded)
		}) {
			count["failed"]++
		}
		count[c.fenced.name]++
	}
	t.Logf("%d cells, %v: who, request, status straight, status through the fence, verdict\n%s", len(cells), count, &table)
}

func TestMatrix_NamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range matrix() {
		if seen[c.name] {
			t.Errorf("two cells are named %q", c.name)
		}
		seen[c.name] = true
	}
	if len(seen) < 200 || !slices.ContainsFunc(matrix(), func(c cell) bool { return c.fenced.name == "denied" }) {
		t.Errorf("the matrix has %d cells", len(seen))
	}
}
