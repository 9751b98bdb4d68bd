// Package monitoring_test lets a real Prometheus scrape real fences and a real lookup
// service, and compares the shipped configuration, rules, alerts and dashboard, and
// the pages about them, with what comes of it.
package monitoring_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	root = "../.."
	// names is how many tasks of dag_a there are, and how many variables each team has.
	names = 20_000
	// oldSDK is a Task SDK that ignores denials.
	oldSDK = "apache-airflow-task-sdk/1.2.0 (Python/3.12)"
	owners = "dags:\n  dag_a: team_a\n"
)

// rows are who owns what, in Airflow's tables.
var rows = fmt.Sprintf(`
INSERT INTO team VALUES ('team_a'), ('team_b');
INSERT INTO dag_bundle VALUES ('bundle_a'), ('bundle_b');
INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a'), ('bundle_b', 'team_b');
INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_a', false, 'bundle_a'), ('dag_b', false, 'bundle_b');
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index)
	SELECT ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 't', 'dag_a', 'r', n FROM generate_series(0, %[1]d) AS n;
INSERT INTO variable (key, val, team_name)
	SELECT l || '_' || n, 'v', 'team_' || l FROM unnest(ARRAY['a', 'b']) AS l, generate_series(0, %[1]d) AS n;`, names-1)

// task is the id of a task instance of team_a.
func task(n int64) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012x", n%names) }

// world is a deployment: two fences, one before a lookup service and with a Redis,
// one before the database itself.
type world struct {
	redis                    *services.RedisServer
	lookup, fence, embedding *sidecar.Dagfence
	database                 string
	// Files that a test changes.
	caddyfile, ownershipFile, lookupToken string

	client *http.Client
	// calm stops the usual traffic.
	calm []func()
	// asked makes each name of a load that repeats none.
	asked atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	upstream := sidecar.NewRecorder(t)
	url, database := newDatabase(t)
	dir := t.TempDir()
	w := &world{
		redis: services.Redis(t), database: database,
		caddyfile: filepath.Join(dir, "Caddyfile"), ownershipFile: filepath.Join(dir, "owners.yaml"), lookupToken: filepath.Join(dir, "token"),
		client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 16}},
	}
	write(t, w.ownershipFile, owners)
	write(t, w.lookupToken, "token-of-the-fences")
	w.lookup = sidecar.Lookup(t, "--database", url, "--ownership-file", w.ownershipFile, "--token-file", w.lookupToken, "--redis", w.redis.URL())
	addr, status := services.Address(t), services.Address(t)
	write(t, w.caddyfile, "{\n admin off\n persist_config off\n auto_https off\n}\n"+sidecar.Site(addr)+"dagfence {\n lookup http://"+w.lookup.Addr+
		" {\n  token token-of-the-fences\n }\n redis "+w.redis.URL()+"\n rules {\n  dags audit\n }\n}\nreverse_proxy "+upstream.Addr+"\n}\n"+
		sidecar.Site(status)+"dagfence_status\n}\n")
	w.fence = sidecar.Start(t, sidecar.Command(t, "run", "--config", w.caddyfile), addr, status)
	w.fence.WaitReady(t)
	w.embedding = sidecar.Proxy(t, "http://"+upstream.Addr, "--database", url, "--ownership-file", w.ownershipFile)
	t.Cleanup(w.client.CloseIdleConnections)
	return w
}

// newDatabase returns the URLs of a database with the rows, as Airflow has it and as
// PostgreSQL's clients do.
func newDatabase(t *testing.T) (airflow, database string) {
	t.Helper()
	server := services.Postgres(t)
	database = "postgres://airflow@" + server.Addr + "/airflow"
	execute(t, database, services.AirflowTables(t)+rows)
	return server.URL("airflow", "airflow"), database
}

// execute executes a script in a session that lasts as long as the test.
func execute(t *testing.T, database, script string) {
	t.Helper()
	session, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(context.WithoutCancel(t.Context())) })
	if _, err := session.Exec(t.Context(), script); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// send sends "METHOD /path" below the mount as a task instance. What comes of it
// shows in the metrics.
func (w *world) send(t *testing.T, d *sidecar.Dagfence, task, userAgent, request string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.Addr+"/execution"+path, http.NoBody)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, sidecar.Secret, task, nil))
	r.Header.Set("User-Agent", userAgent)
	if answered, err := w.client.Do(r); err == nil {
		_ = answered.Body.Close()
	}
}

// load sends requests until the test ends, or until it is stopped.
func (w *world) load(t *testing.T, pause time.Duration, one func(n int64)) (stop func()) {
	t.Helper()
	ended := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(pause)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				one(w.asked.Add(1))
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(ended)
		group.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// usual is traffic that fires no alert: tasks read, write and sense what is
// their own, and one group of rules is audited.
func (w *world) usual(t *testing.T) {
	t.Helper()
	for _, d := range []*sidecar.Dagfence{w.fence, w.embedding} {
		w.calm = append(w.calm,
			w.load(t, 20*time.Millisecond, func(n int64) { w.send(t, d, task(n%3), "", fmt.Sprintf("GET /variables/a_%d", n%5)) }),
			w.load(t, 300*time.Millisecond, func(int64) { w.send(t, d, task(1), "", "PUT /variables/a_1") }))
	}
	w.calm = append(w.calm,
		w.load(t, 300*time.Millisecond, func(int64) { w.send(t, w.fence, task(1), "", "GET /dag-runs/dag_b/count") }),
		w.load(t, 300*time.Millisecond, func(n int64) { w.send(t, w.fence, task(n), "", fmt.Sprintf("GET /connections/none_%d", n)) }))
}
