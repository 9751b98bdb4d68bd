package scale_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	// few and many are how many dags, variables, connections and task instances
	// a database has; DAGFENCE_SCALE_ROWS sets many.
	few, many = 1_000, 200_000
	asked     = 500
)

// rowsOf fills every table that is asked; foreign keys play no part in reading,
// and would take most of the time.
const rowsOf = `
ALTER TABLE task_instance_history DROP CONSTRAINT task_instance_history_ti_fkey;
ALTER TABLE dag DROP CONSTRAINT dag_bundle_name_fkey;
ALTER TABLE variable DROP CONSTRAINT variable_team_name_fkey;
ALTER TABLE connection DROP CONSTRAINT connection_team_name_fkey;
INSERT INTO team SELECT 'team_' || n FROM generate_series(0, 99) n;
INSERT INTO dag_bundle SELECT 'bundle_' || n FROM generate_series(0, 999) n;
INSERT INTO dag_bundle_team SELECT 'bundle_' || n, 'team_' || n %% 100 FROM generate_series(0, 999) n;
INSERT INTO dag (dag_id, is_paused, bundle_name) SELECT 'dag_' || n, false, 'bundle_' || n %% 1000 FROM generate_series(0, %[1]d - 1) n;
INSERT INTO variable (key, val, team_name) SELECT 'var_' || n, 'v', 'team_' || n %% 100 FROM generate_series(0, %[1]d - 1) n;
INSERT INTO connection (conn_id, conn_type, team_name) SELECT 'conn_' || n, 'http', 'team_' || n %% 100 FROM generate_series(0, %[1]d - 1) n;
INSERT INTO task_instance (id, task_id, dag_id, run_id)
	SELECT ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 't1', 'dag_' || n, 'r' FROM generate_series(0, %[1]d - 1) n;
INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, try_number)
	SELECT ('018f0000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid, 't1', 'dag_' || n, 'r', 1 FROM generate_series(0, %[1]d - 1) n;
ANALYZE`

func manyRows(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DAGFENCE_SCALE_ROWS")
	if text == "" {
		return many
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < asked {
		t.Fatalf("DAGFENCE_SCALE_ROWS is %q: give a number of rows, %d at least", text, asked)
	}
	return n
}

// metadata is a metadata database of Airflow 3.3 with so many rows, in which
// each plan of the role "fence" is logged.
type metadata struct {
	*services.PostgresServer

	name string
}

func newMetadata(t *testing.T, server *services.PostgresServer, rows int) *metadata {
	t.Helper()
	db := &metadata{server, fmt.Sprintf("airflow_%d", rows)}
	execute(t, (&metadata{server, "airflow"}).session(t), "CREATE DATABASE "+db.name)
	started := time.Now()
	execute(t, db.session(t), services.AirflowTables(t)+fmt.Sprintf(rowsOf, rows))
	t.Logf("%d rows in each table: loaded in %v", rows, time.Since(started).Round(ms))
	return db
}

func (db *metadata) session(t *testing.T) *pgx.Conn {
	t.Helper()
	session, err := pgx.Connect(t.Context(), "postgres://airflow@"+db.Addr+"/"+db.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close(t.Context()) })
	return session
}

func execute(t *testing.T, session *pgx.Conn, script string) {
	t.Helper()
	if _, err := session.Exec(t.Context(), script); err != nil {
		t.Fatal(err)
	}
}

// fenceRole logs its plans.
const fenceRole = `CREATE ROLE fence LOGIN SUPERUSER;
ALTER ROLE fence SET session_preload_libraries = auto_explain;
ALTER ROLE fence SET auto_explain.log_min_duration = 0`

// reads are what the server has read of the tables so far.
type reads struct{ whole, byIndex, blocks int }

func (db *metadata) reads(t *testing.T) (r reads) {
	t.Helper()
	session := db.session(t)
	sidecar.Within(t, 10*time.Second, "the fence's sessions end, and their counts are in", func() bool {
		var sessions int
		if err := session.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fence'").Scan(&sessions); err != nil {
			t.Fatal(err)
		}
		return sessions == 0
	})
	err := session.QueryRow(t.Context(), `SELECT sum(seq_scan)::int, sum(idx_scan)::int,
		sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::int
		FROM pg_stat_user_tables JOIN pg_statio_user_tables USING (relid, relname)
		WHERE relname IN ('dag', 'variable', 'connection', 'task_instance', 'task_instance_history')`).Scan(&r.whole, &r.byIndex, &r.blocks)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// kindsOfName are names that exist and one of each kind that does not.
var kindsOfName = []struct {
	kind    resolver.Kind
	name    string // of the number
	outcome resolver.Outcome
}{
	{resolver.KindTask, "018f0000-0000-7000-8000-%012x", resolver.Found},
	{resolver.KindTask, "018f0000-0000-7000-9000-%012x", resolver.Found}, // in the history
	{resolver.KindTask, "018f0000-0000-7000-a000-%012x", resolver.NotFound},
	{resolver.KindDag, "dag_%d", resolver.Found},
	{resolver.KindDag, "no_dag_%d", resolver.NotFound},
	{resolver.KindVariable, "var_%d", resolver.Found},
	{resolver.KindVariable, "no_var_%d", resolver.NotFound},
	{resolver.KindConnection, "conn_%d", resolver.Found},
	{resolver.KindConnection, "no_conn_%d", resolver.NotFound},
}

// lookUp asks a directory for names of each kind, spread over all rows, and
// returns what the server has read of its tables for one question, and the CPU
// time that its sessions took.
func (db *metadata) lookUp(t *testing.T, rows int) (r reads, took time.Duration) {
	t.Helper()
	before := db.reads(t)
	directory, err := lookup.New(lookup.Options{Database: db.URL("fence", db.name), Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	started := childrenTime(t, db.Pid())
	for i := range asked {
		for _, of := range kindsOfName {
			name := fmt.Sprintf(of.name, i*(rows/asked))
			answer := directory.Resolve(t.Context(), []resolver.Question{{Key: resolver.Key{Kind: of.kind, Name: name}}})[0]
			if answer.Outcome != of.outcome {
				t.Fatalf("%v %s: %v (%v), want %v", of.kind, name, answer.Outcome, answer.Err, of.outcome)
			}
		}
	}
	took = (childrenTime(t, db.Pid()) - started) / time.Duration(asked*len(kindsOfName))
	directory.Close()
	after := db.reads(t)
	return reads{after.whole - before.whole, after.byIndex - before.byIndex, after.blocks - before.blocks}, took
}

// childrenTime is the CPU time that the living children of a process have taken.
func childrenTime(t *testing.T, parent int) (total time.Duration) {
	t.Helper()
	const tick = 10 * ms // of USER_HZ, which is 100 on Linux
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		content, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(content[strings.LastIndexByte(string(content), ')')+1:]))
		if fields[1] != strconv.Itoa(parent) {
			continue
		}
		for _, field := range fields[11:13] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			total += time.Duration(ticks) * tick
		}
	}
	return total
}

var planned = regexp.MustCompile(`(?m)^\s*(?:-> +)?((?:Seq|Index|Index Only|Bitmap \w+) Scan (?:using \w+ )?on \w+)`)

func TestLookup_CostDoesNotGrowWithRows(t *testing.T) {
	server := services.Postgres(t)
	execute(t, (&metadata{server, "airflow"}).session(t), fenceRole)
	questions := asked * len(kindsOfName)
	of := make(map[int]reads)
	rows := manyRows(t)
	for _, n := range []int{few, rows} {
		db := newMetadata(t, server, n)
		printed := len(server.Output())
		r, took := db.lookUp(t, n)
		of[n] = r
		var plans []string
		for _, match := range planned.FindAllStringSubmatch(server.Output()[printed:], -1) {
			plans = append(plans, match[1])
		}
		slices.Sort(plans)
		t.Logf("%d rows: %.2f blocks and %v of the server's CPU a question; %d scans by index, %d of a whole table\n%s", n,
			float64(r.blocks)/float64(questions), took, r.byIndex, r.whole, strings.Join(slices.Compact(plans), "\n"))
		if r.whole != 0 || r.byIndex < questions {
			t.Errorf("%d rows: %d scans of a whole table and %d by an index for %d questions", n, r.whole, r.byIndex, questions)
		}
		for _, plan := range plans {
			// The tables of bundles and teams are small, and those of assets empty here:
			// package lookup looks at their plans.
			_, table, _ := strings.Cut(plan, " on ")
			if strings.HasPrefix(plan, "Seq Scan") && table != "dag_bundle_team" && table != "team" && !strings.HasPrefix(table, "asset") {
				t.Errorf("%d rows: %s", n, plan)
				break
			}
		}
		if len(plans) < questions {
			t.Errorf("%d plans were logged", len(plans))
		}
	}
	// An index that is deeper by two levels is read in two blocks more, and no
	// question uses more than four.
	if a, b := of[few].blocks, of[rows].blocks; b > a+questions*8 {
		t.Errorf("%d questions read %d blocks of few rows and %d of many", questions, a, b)
	}
}
