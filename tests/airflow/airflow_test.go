// Package airflow_test holds the fence against real Airflow: a released
// api-server, its metadata database, its own models and tokens.
package airflow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// TestAccessMatrix asks each request of the matrix twice, of two api-servers on
// equal databases: straight, and through a sidecar with a lookup service and
// Redis.
func TestAccessMatrix(t *testing.T) {
	airflow := install(t, latest)
	server, redis := services.Postgres(t), services.Redis(t)
	w := seed(t, airflow, server, "straight", "fenced")

	straightURL, wait := airflow.serve(t, server.URL("airflow", "straight"))
	upstream, waitUpstream := airflow.serve(t, server.URL("airflow", "fenced"))
	dagfence := newFence(t, sidecar.Build(t), airflow)
	wait()
	waitUpstream()
	lookup := dagfence.lookup(t, server.URL("dagfence", "fenced"))
	proxy := dagfence.proxy(t, upstream, "--redis", redis.URL(), "--lookup", lookup)

	straight := &deployment{straightURL, connect(t, server, "straight")}
	fenced := &deployment{proxy, connect(t, server, "fenced")}
	ask(t, w, straight, fenced, matrix())
	dagfence.wantDiscreet(t, w)

	t.Run("the Task SDK of each release", func(t *testing.T) { askSDKs(t, w, dagfence, straightURL, upstream, lookup) })
	t.Run("a request hidden behind another", func(t *testing.T) { wantNothingSmuggled(t, w, fenced) })
	t.Run("what the denied writes do without the fence", func(t *testing.T) {
		const taken, triggered = `SELECT val FROM variable WHERE key = 'b_put'`,
			`SELECT count(*) FROM dag_run WHERE dag_id = 'dag_b' AND run_id = 'new'`
		straight.wantValue(t, taken, "taken")
		fenced.wantValue(t, taken, "value of b_put")
		straight.wantValue(t, triggered, 1)
		fenced.wantValue(t, triggered, 0)
	})
}

// ask holds each cell against both deployments, and logs the matrix.
func ask(t *testing.T, w *world, straight, fenced *deployment, cells []cell) {
	t.Helper()
	var table strings.Builder
	count := make(map[string]int)
	for _, c := range cells {
		if !t.Run(c.name, func(t *testing.T) {
			plain, guarded := straight.send(t, w, c.who, c.request), fenced.send(t, w, c.who, c.request)
			fmt.Fprintf(&table, "%-22s %-6s %-75s %d  %d %s\n",
				c.who, c.request.method, c.request.target, plain.status, guarded.status, c.fenced.name)
			if plain.status != c.straight {
				t.Errorf("straight: %d %s\nwant: %d", plain.status, plain.body, c.straight)
			}
			c.fenced.check(t, plain, guarded)
		}) {
			count["failed"]++
		}
		count[c.fenced.name]++
	}
	t.Logf("%d cells, %v: who, request, status straight, status through the fence, verdict\n%s", len(cells), count, &table)
}

func TestMatrixNamesAreUnique(t *testing.T) {
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
