package airflow_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/dagfence/dagfence/tests/services"
)

// A table is one that requests may change, with the columns that are compared:
// not times, nor what the database numbers itself.
type table struct{ name, columns string }

// changeable is every such table of the newest release, and what older ones had
// instead: 3.1 for teams, all before 3.4 for attempts of a task. Older ones lack
// some tables and columns.
var changeable = []table{
	{"variable", "key, val, description, team_name, team_id"},
	{"connection", "conn_id, conn_type, password, team_name, team_id"},
	{"xcom", "dag_id, run_id, task_id, map_index, key, value"},
	{"xcom_v2", "task_instance_id, key, value"},
	{"dag_run", "dag_id, run_id, state, run_type, logical_date, conf, clear_number"},
	{"dag_run_note", "dag_run_id, content"},
	{"task_instance", "dag_id, run_id, task_id, map_index, region_index, working_set, archived_reason, state, try_number, max_tries, hostname, pid, rendered_map_index"},
	{"task_instance_history", "dag_id, run_id, task_id, map_index, state, try_number"},
	{"dynamic_region", "dag_id, run_id, node_id, parent_region_index"},
	{"rendered_task_instance_fields", "dag_id, run_id, task_id, map_index, rendered_fields"},
	{"rtif_v2", "task_instance_id, rendered_fields"},
	{"hitl_detail", "ti_id, options, subject, body, chosen_options, params_input"},
	{"task_state_store", "dag_id, run_id, task_id, map_index, region_index, key, value"},
	{"asset_state_store", "asset_id, key, value"},
	{"connection_test_request", "id, state, result_message"},
	{"callback", "id, state"},
}

// A database is a metadata database, which can be put back to what it was when
// it was remembered.
type database struct {
	conn     *sql.Conn // one, because of what a session sets
	postgres bool
	tables   []string // the changeable ones of this release
	rows     string   // the query of all their rows, a text each
	lacks    []string // what this release has not
	pristine snapshot
}

// A snapshot is the changeable rows of a database, sorted.
type snapshot []string

// connect opens a database of the server.
func connect(t *testing.T, server *services.PostgresServer, name string) *database {
	t.Helper()
	return openDatabase(t, server.URL("airflow", name))
}

// openDatabase opens what Airflow reaches by the URL.
func openDatabase(t *testing.T, url string) *database {
	t.Helper()
	driver, dsn := "pgx", strings.Replace(url, "+psycopg2", "", 1)
	if file, ok := strings.CutPrefix(url, "sqlite:///"); ok {
		driver, dsn = "sqlite", "file:"+file+"?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatalf("connecting to the test database: %v", err)
	}
	return &database{conn: conn, postgres: driver == "pgx"}
}

// remember lets change return what differs from now on, and put it back.
func (d *database) remember(t *testing.T) {
	t.Helper()
	if d.postgres {
		execute(t, d, "SET session_replication_role = replica") // rows are put back in any order
	}
	var rows []string
	for _, wanted := range changeable {
		columns := d.columns(t, wanted)
		if columns == nil {
			d.lacks = append(d.lacks, wanted.name)
			continue
		}
		d.tables = append(d.tables, wanted.name)
		execute(t, d, "CREATE TABLE IF NOT EXISTS pristine_"+wanted.name+" AS SELECT * FROM "+wanted.name)
		for i, column := range columns {
			columns[i] = " || ' | ' || COALESCE(CAST(" + column + " AS TEXT), 'NULL')"
		}
		rows = append(rows, "SELECT '"+wanted.name+"'"+strings.Join(columns, "")+" FROM "+wanted.name)
	}
	d.rows = strings.Join(rows, " UNION ALL ")
	d.pristine = d.take(t)
}

// columns are those of the table that this release has.
func (d *database) columns(t *testing.T, wanted table) []string {
	t.Helper()
	rows, err := d.conn.QueryContext(t.Context(), "SELECT * FROM "+wanted.name+" WHERE 1 = 0")
	if err != nil {
		return nil // no such table
	}
	defer rows.Close()
	has, err := rows.Columns()
	if err != nil || rows.Err() != nil {
		t.Fatalf("reading the columns of %s: %v", wanted.name, errors.Join(err, rows.Err()))
	}
	return slices.DeleteFunc(strings.Split(wanted.columns, ", "), func(column string) bool {
		lacks := !slices.Contains(has, column)
		if lacks {
			d.lacks = append(d.lacks, wanted.name+"."+column)
		}
		return lacks
	})
}

func execute(t *testing.T, d *database, statement string) {
	t.Helper()
	if _, err := d.conn.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%.200s: %v", statement, err)
	}
}

// value is the one value that a query returns, as text.
func (d *database) value(t *testing.T, query string) string {
	t.Helper()
	var got sql.NullString
	if err := d.conn.QueryRowContext(t.Context(), query).Scan(&got); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return got.String
}

// take reads the changeable rows.
func (d *database) take(t *testing.T) snapshot {
	t.Helper()
	rows, err := d.conn.QueryContext(t.Context(), d.rows)
	if err != nil {
		t.Fatalf("taking a snapshot: %v", err)
	}
	defer rows.Close()
	var taken snapshot
	for rows.Next() {
		var row string
		if err := rows.Scan(&row); err != nil {
			t.Fatalf("taking a snapshot: %v", err)
		}
		taken = append(taken, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("taking a snapshot: %v", err)
	}
	slices.Sort(taken)
	return taken
}

// settle waits for the end of all transactions: with FastAPI 0.165.0, Airflow 3.0
// answers first, and commits then.
func (d *database) settle(t *testing.T) {
	t.Helper()
	if !d.postgres {
		return
	}
	const open = `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'`
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for d.value(t, open) != "0" {
		select {
		case <-ctx.Done():
			t.Fatal("a transaction does not end")
		case <-time.After(time.Millisecond):
		}
	}
}

// change returns how the database differs from what was remembered, rows that went
// and rows that came, once everything is committed, and puts it back.
func (d *database) change(t *testing.T) string {
	t.Helper()
	d.settle(t)
	changes := d.take(t).since(d.pristine)
	if changes == "" {
		return ""
	}
	tx, err := d.conn.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range d.tables {
		for _, statement := range []string{"DELETE FROM " + kept, "INSERT INTO " + kept + " SELECT * FROM pristine_" + kept} {
			if _, err := tx.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatalf("putting the world back: %v", err)
	}
	if left := d.take(t).since(d.pristine); left != "" {
		t.Fatalf("the world could not be put back:\n%s", left)
	}
	return changes
}

// since is what s has otherwise than before.
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
