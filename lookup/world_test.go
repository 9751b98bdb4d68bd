package lookup_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	// In a dynamic region of 3.4, which older releases do not have: the task's own
	// expansion within a group, and a loop around it.
	taskAExpanded = "018f0000-0000-7000-8000-0000000000a4" // dag_a, t1, 5
	taskALooped   = "018f0000-0000-7000-8000-0000000000a5" // dag_a, t1, -1: the second time around
	taskOrphan    = "018f0000-0000-7000-8000-00000000000d" // its dag has no row
	taskUnknown   = "018f0000-0000-7000-8000-0000000000ff"
	runID         = "manual__2026-01-01T00:00:00+00:00"
)

// releases are those whose tables testdata has, as scripts/airflow-ddl.py reads
// them from Airflow's own models: 3.0.6, 3.1.8, 3.2.2, 3.3.2 and 3.4.0b2. MariaDB takes the
// tables for MySQL as they are.
var releases = []string{"3.0", "3.1", "3.2", "3.3", "3.4"}

// server is a database server of some dialect, and how to make databases on it.
type server struct {
	dialect string
	// create makes an empty database; it returns an administrator's handle and
	// the URL as Airflow has it.
	create func(tb testing.TB, name string) (*sql.DB, string)
}

func postgresServer(tb testing.TB) (server, *services.PostgresServer) {
	tb.Helper()
	p := services.Postgres(tb)
	return server{dialect: "postgresql", create: func(tb testing.TB, name string) (*sql.DB, string) {
		tb.Helper()
		dsn := "postgres://airflow@" + p.Addr + "/"
		execute(tb, open(tb, "pgx", dsn+"airflow"), "CREATE DATABASE "+name)
		return open(tb, "pgx", dsn+name), p.URL("airflow", name)
	}}, p
}

func mariaServer(tb testing.TB) (server, *services.MariaDBServer) {
	tb.Helper()
	m := services.MariaDB(tb)
	return server{dialect: "mysql", create: func(tb testing.TB, name string) (*sql.DB, string) {
		tb.Helper()
		dsn := "root@tcp(" + m.Addr + ")/%s?multiStatements=true"
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

// migrate makes the release's tables and the world, and returns the tables' SQL.
func (s server) migrate(tb testing.TB, db *sql.DB, release string) string {
	tb.Helper()
	tables, err := os.ReadFile(filepath.Join("testdata", "airflow-"+release+"."+s.dialect+".sql"))
	if err != nil {
		tb.Fatal(err)
	}
	execute(tb, db, string(tables))
	execute(tb, db, world(string(tables)))
	return string(tables)
}

// world is what the tests know, as rows of the tables that the release creates.
func world(tables string) string {
	var rows strings.Builder
	insert := func(table string, values map[string]string) { rows.WriteString(insertInto(tables, table, values)) }
	for _, l := range []string{"a", "b", "g"} {
		insert("dag_bundle", map[string]string{"name": "bundle_" + l})
		insert("dag", map[string]string{"dag_id": "dag_" + l, "bundle_name": "bundle_" + l})
		if l != "g" {
			owned := ownedBy("team_" + l)
			insert("team", map[string]string{"id": owned["team_id"], "name": owned["team_name"]})
			owned["dag_bundle_name"] = "bundle_" + l
			insert("dag_bundle_team", owned)
		}
	}
	task := func(dag string, index int) map[string]string {
		i := strconv.Itoa(index)
		return map[string]string{"task_id": "t1", "dag_id": dag, "run_id": runID, "map_index": i, "region_index": i}
	}
	for _, t := range []struct {
		id, dag string
		index   int
	}{{taskA, "dag_a", -1}, {taskAMapped, "dag_a", 3}, {taskB, "dag_b", -1}, {taskG, "dag_g", -1}, {taskOrphan, "dag_gone", -1}} {
		row := task(t.dag, t.index)
		row["id"] = t.id
		insert("task_instance", row)
	}
	earlier := task("dag_a", -1)
	earlier["task_instance_id"] = taskARetry
	insert("task_instance_history", earlier)
	if strings.Contains(tables, "\nCREATE TABLE dynamic_region (") {
		earlier["id"], earlier["working_set"], earlier["archived_reason"], earlier["try_number"] = taskARetry, "NULL", "retry", "9"
		insert("task_instance", earlier)
		for i, t := range []struct {
			id, region, node string
			index            int
		}{{taskAExpanded, "00000000-0000-7000-8000-000000000001", "t1", 5}, {taskALooped, "00000000-0000-7000-8000-000000000002", "group", 1}} {
			insert("dynamic_region", map[string]string{
				"id": t.region, "dag_id": "dag_a", "run_id": runID, "node_id": t.node, "family_root_id": t.region,
				"path": strconv.Itoa(i), "created_at": "2026-01-01 00:00:00",
			})
			row := task("dag_a", t.index)
			row["id"], row["region_id"] = t.id, t.region
			insert("task_instance", row)
		}
	}
	for _, v := range [][2]string{
		{"var_a", "team_a"}, {"var_b", "team_b"}, {"global_var", ""}, {"Case_Key", "team_b"}, {"a/b", "team_a"}, {"ключ", "team_a"}, {"100%", "team_a"},
	} {
		row := ownedBy(v[1])
		row["key"], row["val"] = v[0], "SECRET-VALUE"
		insert("variable", row)
	}
	for _, c := range [][2]string{{"conn_a", "team_a"}, {"conn_b", "team_b"}, {"global_conn", ""}} {
		row := ownedBy(c[1])
		row["conn_id"], row["password"] = c[0], "SECRET-VALUE"
		insert("connection", row)
	}
	return rows.String()
}

// ownedBy names a team as each release does: by id or by name. No team is none.
func ownedBy(team string) map[string]string {
	if team == "" {
		return map[string]string{}
	}
	return map[string]string{"team_name": team, "team_id": "00000000-0000-0000-0000-00000000000" + team[len(team)-1:]}
}

// A column as scripts/airflow-ddl.py has it: its name, maybe in quotes, and type.
var column = regexp.MustCompile("(?m)^\t[\"`]?(\\w+)[\"`]? ([A-Z]+(?:\\(\\d+\\))?).*$")

// insertInto writes a row of a table, in the columns that the release has. What
// has to have a value and is not given has one that means nothing.
func insertInto(tables, table string, values map[string]string) string {
	_, rest, known := strings.Cut(tables, "\nCREATE TABLE "+table+" (\n")
	if !known {
		return ""
	}
	definition, _, _ := strings.Cut(rest, "\n);")
	var names, literals []string
	for _, found := range column.FindAllStringSubmatch(definition, -1) {
		line, name, kind := found[0], found[1], found[2]
		value, given := values[name]
		switch {
		case value == "NULL":
		case given && kind == "BINARY(16)": // a UUID, as 3.4 keeps some on MySQL
			value = "UNHEX('" + strings.ReplaceAll(value, "-", "") + "')"
		case given && kind == "CHAR(32)": // a UUID where there is no such type
			value = "'" + strings.ReplaceAll(value, "-", "") + "'"
		case given:
			value = "'" + value + "'"
		case name == "CONSTRAINT" || name == "PRIMARY" || name == "UNIQUE", name == "id", !strings.Contains(line, "NOT NULL") || strings.Contains(line, "DEFAULT"):
			continue
		case strings.HasPrefix(kind, "BOOL"):
			value = "false"
		case kind == "JSON":
			value = "'{}'"
		case kind == "INTEGER":
			value = "0"
		default:
			value = "''"
		}
		names, literals = append(names, strings.Fields(line)[0]), append(literals, value)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s);\n", table, strings.Join(names, ", "), strings.Join(literals, ", "))
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
