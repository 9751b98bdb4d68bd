package airflow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
)

// jwtSecret signs the tokens of the world.
const jwtSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// The two runs that each dag of the world has.
const (
	run1 = "manual__2026-01-01T00:00:00+00:00"
	run2 = "manual__2026-01-02T00:00:00+00:00"
)

// A world is what world.py wrote into a database and minted: two teams, four
// dags, their tasks' ids and tokens.
type world struct {
	IDs    map[string]string `json:"ids"`
	Tokens map[string]string `json:"tokens"`
	file   string
}

// seed migrates the server's database "airflow", fills it, and copies it once
// under each name: the same ids and tokens are valid in all copies.
func seed(t *testing.T, airflow *release, server *services.PostgresServer, copies ...string) *world {
	t.Helper()
	w := &world{file: filepath.Join(t.TempDir(), "world.json")}
	airflow.run(t, server.URL("airflow", "airflow"), "airflow", "db", "migrate")
	airflow.run(t, server.URL("airflow", "airflow"), "python", "world.py", "seed", w.file)
	w.read(t)
	conn := connect(t, server, "airflow")
	for _, statement := range grants {
		execute(t, conn, statement)
	}
	if err := conn.Close(t.Context()); err != nil { // a template is copied while nobody is connected to it
		t.Fatal(err)
	}
	conn = connect(t, server, "postgres")
	for _, name := range copies {
		execute(t, conn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE airflow")
	}
	return w
}

// mint replaces the tokens by what the release signs with its settings.
func (w *world) mint(t *testing.T, airflow *release, databaseURL string) {
	t.Helper()
	airflow.run(t, databaseURL, "python", "world.py", "mint", w.file)
	clear(w.Tokens)
	w.read(t)
}

func (w *world) read(t *testing.T) {
	t.Helper()
	content, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, w); err != nil {
		t.Fatalf("reading what world.py wrote: %v", err)
	}
}

// fill replaces {run1}, {run2} and {dag.task}, a task instance's id.
func (w *world) fill(text string) string {
	pairs := []string{"{run1}", run1, "{run2}", run2}
	for name, id := range w.IDs {
		pairs = append(pairs, "{"+name+"}", id)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// authorization is the Authorization header of a task, by the name that
// world.py gave its token; a name with a blank in it that it did not mint is
// the header itself. Nobody has none.
func (w *world) authorization(t *testing.T, who string) string {
	t.Helper()
	if who == nobody {
		return ""
	}
	if scheme, name, ok := strings.Cut(who, " as "); ok {
		return scheme + " " + w.Tokens[name]
	}
	token, ok := w.Tokens[who]
	if !ok {
		t.Fatalf("world.py minted no token %q", who)
	}
	return "Bearer " + token
}

// changeable is every row that a request may change, a JSON object each. Times
// and what the database numbers itself are left out, so that two copies of the
// world that were changed alike look alike.
const changeable = `
	SELECT 'variable ' || to_jsonb(x)::text FROM (SELECT key, val, description, team_name FROM variable) x
	UNION ALL
	SELECT 'connection ' || to_jsonb(x)::text FROM (SELECT conn_id, conn_type, password, team_name FROM connection) x
	UNION ALL
	SELECT 'xcom ' || to_jsonb(x)::text FROM (SELECT dag_id, run_id, task_id, map_index, key, value FROM xcom) x
	UNION ALL
	SELECT 'dag_run ' || to_jsonb(x)::text FROM (
		SELECT dag_id, run_id, state, run_type, logical_date, conf, clear_number FROM dag_run) x
	UNION ALL
	SELECT 'task_instance ' || to_jsonb(x)::text FROM (
		SELECT dag_id, run_id, task_id, map_index, state, try_number, max_tries, hostname, pid, rendered_map_index
		FROM task_instance) x
	UNION ALL
	SELECT 'task_instance_history ' || to_jsonb(x)::text FROM (
		SELECT dag_id, run_id, task_id, map_index, state, try_number FROM task_instance_history) x
	UNION ALL
	SELECT 'rendered_task_instance_fields ' || to_jsonb(x)::text FROM (
		SELECT dag_id, run_id, task_id, map_index, rendered_fields FROM rendered_task_instance_fields) x
	UNION ALL
	SELECT 'hitl_detail ' || to_jsonb(x)::text FROM (
		SELECT ti_id, options, subject, body, chosen_options, params_input FROM hitl_detail) x
	UNION ALL
	SELECT 'task_state_store ' || to_jsonb(x)::text FROM (
		SELECT dag_id, run_id, task_id, map_index, key, value FROM task_state_store) x
	UNION ALL
	SELECT 'asset_state_store ' || to_jsonb(x)::text FROM (SELECT asset_id, key, value FROM asset_state_store) x`

// A snapshot is the changeable rows of a database, sorted.
type snapshot []string

func take(t *testing.T, conn *pgx.Conn) snapshot {
	t.Helper()
	rows, err := conn.Query(t.Context(), changeable)
	if err != nil {
		t.Fatalf("taking a snapshot: %v", err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("taking a snapshot: %v", err)
	}
	slices.Sort(taken)
	return taken
}

// since is how the database changed from before to s: rows that went and came.
func (s snapshot) since(before snapshot) string {
	count := make(map[string]int)
	for _, row := range s {
		count[row]++
	}
	for _, row := range before {
		count[row]--
	}
	var changes []string
	for row, n := range count {
		switch {
		case n > 0:
			changes = append(changes, "+"+row)
		case n < 0:
			changes = append(changes, "-"+row)
		}
	}
	slices.Sort(changes)
	return strings.Join(changes, "\n")
}

func connect(t *testing.T, server *services.PostgresServer, database string) *pgx.Conn {
	t.Helper()
	url := strings.Replace(server.URL("airflow", database), "+psycopg2", "", 1)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connecting to the test database: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

func execute(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
