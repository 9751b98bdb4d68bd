package lookup_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
)

// The task instances of the world that every database of these tests holds.
const (
	taskA       = "018f0000-0000-7000-8000-00000000000a" // dag_a, t1, -1
	taskAMapped = "018f0000-0000-7000-8000-0000000000a3" // dag_a, t1, 3
	taskARetry  = "018f0000-0000-7000-8000-0000000000a9" // dag_a, t1, -1: an earlier attempt, in the history
	taskB       = "018f0000-0000-7000-8000-00000000000b" // dag_b, t1, -1
	taskG       = "018f0000-0000-7000-8000-00000000000c" // dag_g, t1, -1
	taskOrphan  = "018f0000-0000-7000-8000-00000000000d" // its dag has no row
	taskUnknown = "018f0000-0000-7000-8000-0000000000ff"
	runID       = "manual__2026-01-01T00:00:00+00:00"
)

var releases = []string{"3.0", "3.1", "3.2"}

// server is a database server of some dialect, and how to make databases on it.
type server struct {
	dialect string
	// create makes an empty database; it gives an administrator's handle and
	// the URL as Airflow has it.
	create func(tb testing.TB, name string) (*sql.DB, string)
}

func postgresServer(tb testing.TB) (server, *services.PostgresServer) {
	tb.Helper()
	p := services.Postgres(tb)
	return server{dialect: "postgresql", create: func(tb testing.TB, name string) (*sql.DB, string) {
		tb.Helper()
		dsn := fmt.Sprintf("postgres://airflow@127.0.0.1:%d/", p.Port)
		execute(tb, open(tb, "pgx", dsn+"airflow"), "CREATE DATABASE "+name)
		return open(tb, "pgx", dsn+name), p.URL("airflow", name)
	}}, p
}

func mariaServer(tb testing.TB) (server, *services.MariaDBServer) {
	tb.Helper()
	m := services.MariaDB(tb)
	return server{dialect: "mysql", create: func(tb testing.TB, name string) (*sql.DB, string) {
		tb.Helper()
		dsn := fmt.Sprintf("root@tcp(127.0.0.1:%d)/%%s?multiStatements=true", m.Port)
		execute(tb, open(tb, "mysql", fmt.Sprintf(dsn, "airflow")), "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
		return open(tb, "mysql", fmt.Sprintf(dsn, name)), m.URL("root", name)
	}}, m
}

func sqliteFiles() server {
	return server{dialect: "sqlite", create: func(tb testing.TB, name string) (*sql.DB, string) {
		tb.Helper()
		path := filepath.Join(tb.TempDir(), name+".db")
		db := open(tb, "sqlite", path)
		execute(tb, db, "PRAGMA journal_mode=WAL") // as Airflow does
		return db, "sqlite:///" + path
	}}
}

// airflow makes a database with the tables of the release, and the world.
func (s server) airflow(tb testing.TB, release string) (*sql.DB, string) {
	tb.Helper()
	name := "airflow" + strings.ReplaceAll(release, ".", "") + fmt.Sprintf("_%08x", hash(tb.Name()))
	db, url := s.create(tb, name)
	s.migrate(tb, db, release)
	return db, url
}

func (s server) migrate(tb testing.TB, db *sql.DB, release string) {
	tb.Helper()
	tables, err := os.ReadFile(filepath.Join("testdata", "airflow-"+release+"."+s.dialect+".sql"))
	if err != nil {
		tb.Fatal(err)
	}
	execute(tb, db, string(tables))
	execute(tb, db, s.world(release))
}

// world is what the tests know, as SQL of the release.
func (s server) world(release string) string {
	var sql strings.Builder
	add := func(format string, args ...any) { _, _ = fmt.Fprintf(&sql, format+";\n", args...) }
	id := func(uuid string) string {
		if s.dialect != "postgresql" && release == "3.2" {
			return strings.ReplaceAll(uuid, "-", "")
		}
		return uuid
	}
	teamColumn, teamValue := "", func(string) string { return "" }
	quoted := func(team string) string {
		switch {
		case team == "":
			return ", NULL"
		case release == "3.1" && s.dialect == "postgresql":
			return fmt.Sprintf(", '00000000-0000-0000-0000-00000000000%s'", team[len(team)-1:])
		case release == "3.1":
			return fmt.Sprintf(", '0000000000000000000000000000000%s'", team[len(team)-1:])
		}
		return ", '" + team + "'"
	}
	switch release {
	case "3.1":
		teamColumn, teamValue = ", team_id", quoted
	case "3.2":
		teamColumn, teamValue = ", team_name", quoted
	}
	for _, l := range []string{"a", "b", "g"} {
		team := map[string]string{"a": "team_a", "b": "team_b"}[l]
		add("INSERT INTO dag_bundle (name) VALUES ('bundle_%s')", l)
		add("INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_%s', false, 'bundle_%s')", l, l)
		if release == "3.1" && team != "" {
			add("INSERT INTO team (id, name) VALUES (%s, '%s')", quoted(team)[2:], team)
		}
		if release == "3.2" && team != "" {
			add("INSERT INTO team (name) VALUES ('%s')", team)
		}
		if release != "3.0" && team != "" {
			add("INSERT INTO dag_bundle_team (dag_bundle_name%s) VALUES ('bundle_%s'%s)", teamColumn, l, quoted(team))
		}
	}
	for _, t := range []struct {
		id, dag string
		index   int
	}{{taskA, "dag_a", -1}, {taskAMapped, "dag_a", 3}, {taskB, "dag_b", -1}, {taskG, "dag_g", -1}, {taskOrphan, "dag_gone", -1}} {
		add("INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index) VALUES ('%s', 't1', '%s', '%s', %d)", id(t.id), t.dag, runID, t.index)
	}
	add("INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, map_index, try_number) VALUES ('%s', 't1', 'dag_a', '%s', -1, 1)", id(taskARetry), runID)
	key := map[string]string{"mysql": "`key`"}[s.dialect]
	if key == "" {
		key = `"key"`
	}
	for _, v := range [][2]string{
		{"var_a", "team_a"}, {"var_b", "team_b"}, {"global_var", ""}, {"Case_Key", "team_b"}, {"a/b", "team_a"}, {"ключ", "team_a"}, {"100%", "team_a"},
	} {
		add("INSERT INTO variable (%s, val%s) VALUES ('%s', 'SECRET-VALUE'%s)", key, teamColumn, v[0], teamValue(v[1]))
	}
	for _, c := range [][2]string{{"conn_a", "team_a"}, {"conn_b", "team_b"}, {"global_conn", ""}} {
		add("INSERT INTO connection (conn_id, conn_type, password%s) VALUES ('%s', 'http', 'SECRET-VALUE'%s)", teamColumn, c[0], teamValue(c[1]))
	}
	return sql.String()
}

func open(tb testing.TB, driver, dsn string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(tb testing.TB, db *sql.DB, script string) {
	tb.Helper()
	if _, err := db.ExecContext(tb.Context(), script); err != nil {
		tb.Fatalf("%v\n%s", err, script)
	}
}

func hash(text string) (h uint32) {
	for _, c := range []byte(text) {
		h = h*31 + uint32(c)
	}
	return h
}

// directoryOf opens a directory until the test ends, silent by default.
func directoryOf(tb testing.TB, options lookup.Options) *lookup.Directory {
	tb.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	d, err := lookup.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(d.Close)
	return d
}

// file writes an ownership file.
func file(tb testing.TB, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "owners.yaml")
	write(tb, path, content)
	return path
}

func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func ask(kind resolver.Kind, name string) resolver.Question {
	return resolver.Question{Key: resolver.Key{Kind: kind, Name: name}}
}

// one asks one question.
func one(tb testing.TB, d resolver.Resolver, kind resolver.Kind, name string) resolver.Answer {
	tb.Helper()
	return oneWithin(tb.Context(), tb, d, kind, name)
}

func oneWithin(ctx context.Context, tb testing.TB, d resolver.Resolver, kind resolver.Kind, name string) resolver.Answer {
	tb.Helper()
	answers := d.Resolve(ctx, []resolver.Question{ask(kind, name)})
	if len(answers) != 1 {
		tb.Fatalf("one question had %d answers", len(answers))
	}
	return answers[0]
}
