package faults_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
)

const (
	taskA = "018f0000-0000-7000-8000-00000000000a" // dag_a, t1
	runID = "r1"
	// names is how many variables a_0, a_1, ... team_a has, and b_0, ... team_b.
	names = 20_000
	// attempts is how many attempts of taskA there are, itself the first.
	attempts = 64
)

// attempt is the task instance of one of the attempts of taskA, for more requests
// at once than one task instance may have under way.
func attempt(n int) string {
	if n%attempts == 0 {
		return taskA
	}
	return fmt.Sprintf("018f0000-0000-7000-8000-%012x", 0x1000+n%attempts)
}

// rows are who owns what, in Airflow's tables.
var rows = []string{
	"INSERT INTO team VALUES ('team_a'), ('team_b')",
	"INSERT INTO dag_bundle VALUES ('bundle_a'), ('bundle_b')",
	"INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a'), ('bundle_b', 'team_b')",
	"INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_a', false, 'bundle_a'), ('dag_b', false, 'bundle_b')",
	"INSERT INTO task_instance (id, task_id, dag_id, run_id) VALUES ('" + taskA + "', 't1', 'dag_a', '" + runID + "')",
	fmt.Sprintf("INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, try_number) SELECT"+
		" ('018f0000-0000-7000-8000-' || lpad(to_hex(4096 + n), 12, '0'))::uuid, 't1', 'dag_a', '"+runID+"', n FROM generate_series(1, %d) AS n", attempts-1),
	fmt.Sprintf("INSERT INTO variable (key, val, team_name) SELECT l || '_' || n, 'v', 'team_' || l"+
		" FROM unnest(ARRAY['a', 'b']) AS l, generate_series(0, %d) AS n", names-1),
	"INSERT INTO connection (conn_id, conn_type, team_name) VALUES ('conn_a', 'http', 'team_a'), ('conn_b', 'http', 'team_b')",
}

// database is a PostgreSQL with the world in it.
type database struct {
	*services.PostgresServer

	url string
	// owner is the test that ends it.
	owner *testing.T
}

func newDatabase(t *testing.T, settings ...string) *database {
	t.Helper()
	server := services.Postgres(t, settings...)
	db := &database{server, server.URL("airflow", "airflow"), t}
	db.connect(t, services.AirflowTables(t)+strings.Join(rows, ";\n"))
	db.connect(t, "CHECKPOINT") // or all of it is gone when the server is stopped at once: durability is off
	return db
}

// connect opens a session for as long as the test runs, and executes the
// script in it.
func (db *database) connect(t *testing.T, script string) *pgx.Conn {
	t.Helper()
	session, err := db.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(t.Context()) })
	if _, err := session.Exec(t.Context(), script); err != nil {
		t.Fatal(err)
	}
	return session
}

func (db *database) dial(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, "postgres://airflow@"+db.Addr+"/airflow")
}

// through returns the database's URL with a wire in between.
func (db *database) through(w wire) string {
	return strings.Replace(db.url, db.Addr, w.Listen, 1) + "?sslmode=disable"
}
