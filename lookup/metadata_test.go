package lookup_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

func TestMetadata_PostgreSQL(t *testing.T) {
	t.Parallel()
	s, p := postgresServer(t)
	t.Run("owners", func(t *testing.T) { testOwners(t, s) })
	t.Run("assets", func(t *testing.T) { testAssets(t, s) })
	t.Run("idle grants", func(t *testing.T) { testIdleGrants(t, s) })
	t.Run("plans of assets", func(t *testing.T) { testAssetPlans(t, s, []string{"ANALYZE"}, explain, "Seq Scan") })
	t.Run("attempts", func(t *testing.T) { testAttempts(t, s) })
	t.Run("session", func(t *testing.T) { testSession(t, s, "SELECT pg_sleep(20)") })
	t.Run("schema", func(t *testing.T) { testUnknownSchema(t, s) })
	t.Run("later schema", func(t *testing.T) { testLaterSchema(t, s) })
	t.Run("grants", func(t *testing.T) {
		testGrants(t, s, func(name string) string { return p.URL("dagfence", name) }, nil)
	})
	t.Run("locked table", func(t *testing.T) { testLockedTable(t, s) })
	t.Run("comes up later", func(t *testing.T) { testComesUpLater(t, s) })
	t.Run("pooler", func(t *testing.T) { testPooler(t, s) })
}

func TestMetadata_MariaDB(t *testing.T) {
	t.Parallel()
	s, m := mariaServer(t)
	t.Run("owners", func(t *testing.T) { testOwners(t, s) })
	t.Run("assets", func(t *testing.T) { testAssets(t, s) })
	t.Run("idle grants", func(t *testing.T) { testIdleGrants(t, s) })
	t.Run("plans of assets", func(t *testing.T) {
		testAssetPlans(t, s, []string{"ANALYZE TABLE asset", "ANALYZE TABLE asset_active", "ANALYZE TABLE asset_alias", "ANALYZE TABLE asset_event"}, explain, `\|[a-z_]+\|(ALL|index)\|`)
	})
	t.Run("attempts", func(t *testing.T) { testAttempts(t, s) })
	t.Run("session", func(t *testing.T) { testSession(t, s, "SELECT SLEEP(20)") })
	t.Run("schema", func(t *testing.T) { testUnknownSchema(t, s) })
	t.Run("later schema", func(t *testing.T) { testLaterSchema(t, s) })
	t.Run("grants", func(t *testing.T) {
		const password = "p@ss:w/ord%41#?&"
		testGrants(t, s, func(name string) string {
			return strings.Replace(m.URL("dagfence", name), "dagfence@", "dagfence:p%40ss%3Aw%2Ford%2541%23%3F%26@", 1)
		}, []string{fmt.Sprintf("ALTER USER dagfence IDENTIFIED BY '%s' ACCOUNT UNLOCK", password)})
	})
	t.Run("a key that the collation equates", func(t *testing.T) {
		t.Parallel()
		db, url := s.airflow(t, "3.2")
		var equated string
		if err := db.QueryRowContext(t.Context(), "SELECT `key` FROM variable WHERE `key` = 'case_KEY  '").Scan(&equated); err != nil {
			t.Fatalf("the server is to take them for equal: %v", err)
		}
		// Airflow would serve the very row, so its owner is who is asked for.
		d := directoryOf(t, lookup.Options{Database: url})
		file := filepath.Join(t.TempDir(), "owners.yaml")
		if err := os.WriteFile(file, []byte("variables:\n  Case_Key: team_of_the_file\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		filed := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file})
		for _, name := range []string{"Case_Key", "case_key", "CASE_KEY", "Case_Key ", "Cäse_Key"} {
			if got := one(t, d, resolver.KindVariable, name); got.Outcome != resolver.Found || got.Team != "team_b" {
				t.Errorf("variable %q: %v of %q (%v), want found of team_b", name, got.Outcome, got.Team, got.Err)
			}
			if got := one(t, filed, resolver.KindVariable, name); got.Outcome != resolver.Found || got.Team != "team_of_the_file" {
				t.Errorf("variable %q in the file: %v of %q (%v)", name, got.Outcome, got.Team, got.Err)
			}
		}
		if got := one(t, d, resolver.KindConnection, "CONN_B"); got.Outcome != resolver.Found || got.Team != "team_b" {
			t.Errorf("connection CONN_B: %v of %q, want found of team_b", got.Outcome, got.Team)
		}
		if got := one(t, d, resolver.KindVariable, "Case_Kex"); got.Outcome != resolver.NotFound {
			t.Errorf("another variable: %v, want not_found", got.Outcome)
		}
		if got := one(t, d, resolver.KindDag, "dag_a "); got.Outcome != resolver.Found || got.Team != "team_a" {
			t.Errorf("dag with a trailing blank: %v of %q, want found of team_a", got.Outcome, got.Team)
		}
	})
	t.Run("a file beside a row that the collation equates", func(t *testing.T) {
		t.Parallel()
		_, url := s.airflow(t, "3.2")
		const names = `{"*": team_a, %s: team_b}`
		d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, fmt.Sprintf(
			"dags: "+names+"\nvariables: "+names+"\nconnections: "+names+"\ngrants: [{to: team_a, dags: dag_a}, {to: team_c, dags: dag_b}]\n", "dag_b", "var_b", "conn_b"))})
		for _, asked := range []resolver.Key{
			{Kind: resolver.KindDag, Name: "dag_b "},
			{Kind: resolver.KindDag, Name: "dag_b"},
			{Kind: resolver.KindVariable, Name: "var_b "},
			{Kind: resolver.KindVariable, Name: "VAR_B"},
			{Kind: resolver.KindVariable, Name: "var_b"},
			{Kind: resolver.KindConnection, Name: "Conn_B"},
			{Kind: resolver.KindConnection, Name: "conn_b  "},
		} {
			got := one(t, d, asked.Kind, asked.Name)
			if got.Outcome != resolver.Found || got.Team != "team_b" && !slices.Contains(got.Others, "team_b") {
				t.Errorf("%v %q: %v of %q and %q (%v), want team_b", asked.Kind, asked.Name, got.Outcome, got.Team, got.Others, got.Err)
			}
			if asked.Kind == resolver.KindDag && (!got.Grants.Reads("team_c") || got.Grants.Reads("team_a")) {
				t.Errorf("dag %q is granted to %+v", asked.Name, got.Grants)
			}
		}
		for _, asked := range []resolver.Key{{Kind: resolver.KindDag, Name: "dag_x"}, {Kind: resolver.KindVariable, Name: "var_x"}} {
			if got := one(t, d, asked.Kind, asked.Name); got.Outcome != resolver.Found || got.Team != "team_a" {
				t.Errorf("%v %q has no row: %v of %q (%v), want team_a by the file", asked.Kind, asked.Name, got.Outcome, got.Team, got.Err)
			}
		}
	})
	t.Run("collations", func(t *testing.T) { testCollations(t, s) })
	t.Run("collations of assets", func(t *testing.T) { testAssetCollations(t, s) })
	t.Run("unknown option of TLS", func(t *testing.T) {
		t.Parallel()
		d := directoryOf(t, lookup.Options{Database: m.URL("root", "airflow") + "?ssl_mode=REQUIRED&charset=utf8mb4"})
		if err := d.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "TLS") {
			t.Errorf("TLS is required of a server without it: %v", err)
		}
	})
}

// testCollations asks for names that differ in case or trailing whitespace, of rows
// that do as far as the collation lets them: whose a row is, its own key says. The
// last is the nearest that MariaDB has to MySQL 8's own default. The ids of dags
// have utf8mb3_bin whatever the database has.
func testCollations(t *testing.T, s server) {
	t.Helper()
	for _, c := range []struct {
		collation, beside string // a variable of team_a beside Case_Key, which is team_b's
		want              map[string]string
	}{
		{"utf8mb4_general_ci", "", map[string]string{"Case_Key": "team_b", "case_key": "team_b", "Case_Key ": "team_b", "case_key\t": ""}},
		{"utf8mb4_bin", "case_key", map[string]string{"Case_Key": "team_b", "case_key": "team_a", "Case_Key ": "team_b", "case_key ": "team_a", "CASE_KEY": ""}},
		{"utf8mb4_unicode_nopad_ci", "case_key ", map[string]string{"Case_Key": "team_b", "case_key": "team_b", "Case_Key ": "team_a", "CASE_KEY ": "team_a", "Case_Key  ": ""}},
	} {
		for _, release := range releases[1:] { // 3.0 knows no teams
			t.Run(c.collation+" "+release, func(t *testing.T) {
				t.Parallel()
				db, url := s.create(t, fmt.Sprintf("collation_%08x", hash(t.Name())))
				execute(t, db, "ALTER DATABASE COLLATE "+c.collation)
				tables := s.migrate(t, db, release)
				if c.beside != "" {
					row := ownedBy("team_a")
					row["key"] = c.beside
					execute(t, db, insertInto(tables, "variable", row))
				}
				execute(t, db, insertInto(tables, "dag", map[string]string{"dag_id": "Dag_A", "bundle_name": "bundle_b"}))
				d := directoryOf(t, lookup.Options{Database: url})
				check := func(kind resolver.Kind, name, team string) {
					want := map[bool]resolver.Outcome{true: resolver.NotFound, false: resolver.Found}[team == ""]
					if got := one(t, d, kind, name); got.Outcome != want || got.Team != team {
						t.Errorf("%v %q: %v of %q (%v), want %v of %q", kind, name, got.Outcome, got.Team, got.Err, want, team)
					}
				}
				for name, team := range c.want {
					check(resolver.KindVariable, name, team)
				}
				for name, team := range map[string]string{"dag_a": "team_a", "Dag_A": "team_b", "dag_a ": "team_a", "Dag_A ": "team_b", "DAG_A": ""} {
					check(resolver.KindDag, name, team)
				}
			})
		}
	}
}

func TestMetadata_SQLite(t *testing.T) {
	t.Parallel()
	s := sqliteFiles()
	t.Run("owners", func(t *testing.T) { testOwners(t, s) })
	t.Run("assets", func(t *testing.T) { testAssets(t, s) })
	t.Run("idle grants", func(t *testing.T) { testIdleGrants(t, s) })
	t.Run("plans of assets", func(t *testing.T) { testAssetPlans(t, s, []string{"ANALYZE"}, explainSQLite, `SCAN [a-z]`) })
	t.Run("attempts", func(t *testing.T) { testAttempts(t, s) })
	t.Run("session", func(t *testing.T) { testSession(t, s, "") })
	t.Run("schema", func(t *testing.T) { testUnknownSchema(t, s) })
	t.Run("later schema", func(t *testing.T) { testLaterSchema(t, s) })
}

// testOwners asks the same of every schema; 3.0 knows no teams.
func testOwners(t *testing.T, s server) {
	t.Helper()
	for _, release := range releases {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			_, url := s.airflow(t, release)
			before := time.Now()
			d := directoryOf(t, lookup.Options{Database: url})
			if err := d.Ready(t.Context()); err != nil {
				t.Fatalf("not ready: %v", err)
			}
			task := func(dag string, index int) resolver.Task {
				return resolver.Task{DagID: dag, RunID: runID, TaskID: "t1", MapIndex: index}
			}
			var none resolver.Task
			cases := []struct {
				kind    resolver.Kind
				name    string
				outcome resolver.Outcome
				team    string
				task    resolver.Task
			}{
				{resolver.KindTask, taskA, resolver.Found, "team_a", task("dag_a", -1)},
				{resolver.KindTask, taskAMapped, resolver.Found, "team_a", task("dag_a", 3)},
				{resolver.KindTask, taskARetry, resolver.Found, "team_a", task("dag_a", -1)},
				{resolver.KindTask, taskB, resolver.Found, "team_b", task("dag_b", -1)},
				{resolver.KindTask, taskG, resolver.Found, "", task("dag_g", -1)},
				{resolver.KindTask, taskOrphan, resolver.NotFound, "", none},
				{resolver.KindTask, taskUnknown, resolver.NotFound, "", none},
				{resolver.KindTask, strings.ToUpper(taskA), resolver.NotFound, "", none},
				{resolver.KindTask, strings.ReplaceAll(taskA, "-", ""), resolver.NotFound, "", none},
				{resolver.KindTask, "x' OR '1'='1", resolver.NotFound, "", none},
				{resolver.KindTask, "018f0000+0000-7000-8000-00000000000a", resolver.NotFound, "", none},
				{resolver.KindDag, "dag_a", resolver.Found, "team_a", none},
				{resolver.KindDag, "dag_g", resolver.Found, "", none},
				{resolver.KindDag, "dag_gone", resolver.NotFound, "", none},
				{resolver.KindDag, "DAG_A", resolver.NotFound, "", none},
				{resolver.KindVariable, "var_a", resolver.Found, "team_a", none},
				{resolver.KindVariable, "var_b", resolver.Found, "team_b", none},
				{resolver.KindVariable, "global_var", resolver.Found, "", none},
				{resolver.KindVariable, "a/b", resolver.Found, "team_a", none},
				{resolver.KindVariable, "ключ", resolver.Found, "team_a", none},
				{resolver.KindVariable, "100%", resolver.Found, "team_a", none},
				{resolver.KindVariable, "var_", resolver.NotFound, "", none},
				{resolver.KindVariable, "var_a\x00", resolver.NotFound, "", none},
				{resolver.KindVariable, "var_a\xff", resolver.NotFound, "", none},
				{resolver.KindVariable, "", resolver.NotFound, "", none},
				{resolver.KindVariable, "' OR 1=1 --", resolver.NotFound, "", none},
				{resolver.KindConnection, "conn_b", resolver.Found, "team_b", none},
				{resolver.KindConnection, "global_conn", resolver.Found, "", none},
				{resolver.KindConnection, "conn_", resolver.NotFound, "", none},
				{resolver.KindAsset, "s3://anything", resolver.NotFound, "", none},
			}
			if release == "3.4" {
				for id, index := range map[string]int{taskAExpanded: 5, taskALooped: -1} {
					row := cases[0]
					row.name, row.task = id, task("dag_a", index)
					cases = append(cases, row)
				}
			}
			questions := make([]resolver.Question, len(cases))
			for i, c := range cases {
				questions[i] = ask(c.kind, c.name)
			}
			for i, got := range d.Resolve(t.Context(), questions) {
				c := cases[i]
				if release == "3.0" {
					c.team = ""
				}
				if got.Outcome != c.outcome || got.Team != c.team || got.Task != c.task || got.Others != nil || got.Err != nil {
					t.Errorf("%v %q: got %v, team %q, %+v, %v; want %v, team %q, %+v", c.kind, c.name, got.Outcome, got.Team, got.Task, got.Err, c.outcome, c.team, c.task)
				}
				if got.AsOf.Before(before) || got.AsOf.After(time.Now()) {
					t.Errorf("%v %q: as of %v", c.kind, c.name, got.AsOf)
				}
			}
		})
	}
}

// testSession proves that a session can't write, and that the server ends a
// statement by itself.
func testSession(t *testing.T, s server, slow string) {
	t.Helper()
	t.Parallel()
	_, url := s.airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: url, Timeout: 300 * time.Millisecond})
	db := lookup.SessionDB(d)
	for _, write := range []string{"DELETE FROM variable", "CREATE TABLE mine (id integer)", "UPDATE dag SET bundle_name = 'bundle_a'"} {
		if _, err := db.ExecContext(t.Context(), write); err == nil {
			t.Errorf("%s passed", write)
		}
	}
	if slow == "" {
		return
	}
	start := time.Now()
	rows, err := db.QueryContext(t.Context(), slow)
	if err == nil {
		for rows.Next() {
		}
		err = errors.Join(rows.Err(), rows.Close())
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("%s ran %v (%v)", slow, took, err)
	}
}

// testUnknownSchema proves that what is no schema of Airflow's never reads as
// "no team".
func testUnknownSchema(t *testing.T, s server) {
	t.Helper()
	for name, c := range map[string]struct {
		release string
		change  []string
		want    string
	}{
		"another application's": {"", []string{"CREATE TABLE orders (id integer)"}, "airflow db migrate"},
		"columns renamed by a later release": {"3.2", []string{
			"ALTER TABLE variable RENAME COLUMN team_name TO owner_team", "UPDATE alembic_version SET version_num = 'ffffffffffff'",
		}, `alembic_version is "ffffffffffff"`},
		"no teams, but not a revision of 3.0": {"3.0", []string{"UPDATE alembic_version SET version_num = '22ed7efa9da2'"}, "22ed7efa9da2"},
		"half of it":                          {"3.2", []string{"DROP TABLE dag_bundle_team"}, "dag_bundle_team"},
		"a later release":                     {"3.4", []string{"ALTER TABLE task_instance RENAME COLUMN region_index TO coordinate"}, "task_instance.region_index"},
		"a later release, other releases":     {"3.4", []string{"ALTER TABLE task_instance RENAME COLUMN region_index TO coordinate"}, "3.0, 3.1, 3.2 and 3.3, 3.4"},
		"half of it, of 3.1":                  {"3.1", []string{"DROP TABLE dag_bundle_team"}, "dag_bundle_team"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, url := s.create(t, fmt.Sprintf("other_%08x", hash(t.Name())))
			if c.release != "" {
				s.migrate(t, db, c.release)
			}
			for _, change := range c.change {
				execute(t, db, change)
			}
			d, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if text := err.Error(); !strings.HasPrefix(text, "database: ") || !strings.Contains(text, c.want) {
				t.Errorf("got %q, want it to say database and %q", text, c.want)
			}
		})
	}
}

// testLaterSchema takes away, one after the other, each column that is read of 3.4,
// as a later release may, and puts it back: at start and while running it is one
// error that names the table, the column, and what is known.
func testLaterSchema(t *testing.T, s server) {
	t.Helper()
	db, url := s.airflow(t, "3.4")
	d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, "assets: {x: team_a}")})
	const known = "Airflow 3.0, 3.1, 3.2 and 3.3, 3.4"
	check := func(when string, err error, table, column string) {
		if err == nil {
			t.Errorf("%s, %s.%s gone: no error", when, table, column)
		} else if text := err.Error(); !strings.Contains(text, table+"."+column) || !strings.Contains(text, known) ||
			!strings.Contains(text, "airflow db migrate") || !strings.Contains(text, "upgrade dagfence") || strings.Contains(text, "\n") {
			t.Errorf("%s, %s.%s gone: %s", when, table, column, text)
		}
	}
	for kind, columns := range map[resolver.Kind]string{
		resolver.KindTask: "task_instance.id task_instance.dag_id task_instance.run_id task_instance.task_id task_instance.region_id" +
			" task_instance.region_index task_instance.working_set dynamic_region.id dynamic_region.node_id",
		resolver.KindDag:        "dag.dag_id dag.bundle_name dag_bundle_team.dag_bundle_name dag_bundle_team.team_name",
		resolver.KindVariable:   "variable.key variable.team_name",
		resolver.KindConnection: "connection.conn_id connection.team_name",
		resolver.KindAssetName:  "asset.name asset.uri",
		resolver.KindAssetURI:   "asset_active.name asset_active.uri",
		resolver.KindAssetAlias: "asset.id asset_alias.id asset_alias.name asset_alias_asset.alias_id asset_alias_asset.asset_id" +
			" asset_event.id asset_event.asset_id asset_alias_asset_event.alias_id asset_alias_asset_event.event_id",
	} {
		for read := range strings.FieldsSeq(columns) {
			table, column, _ := strings.Cut(read, ".")
			rename := map[bool]string{true: "`%s`", false: `"%s"`}[s.dialect == "mysql"]
			rename = "ALTER TABLE " + table + " RENAME COLUMN " + rename + " TO " + rename
			if err := d.Ready(t.Context()); err != nil {
				t.Fatalf("before %s: %v", read, err)
			}
			execute(t, db, fmt.Sprintf(rename, column, "moved"))
			check("while running", one(t, d, kind, taskA).Err, table, column)
			check("while running, again", one(t, d, kind, taskA).Err, table, column)
			started, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				started.Close()
			}
			check("at start", err, table, column)
			execute(t, db, fmt.Sprintf(rename, "moved", column))
		}
	}
}

func TestMissingTeam_IsNotGlobal(t *testing.T) {
	t.Parallel()
	s := sqliteFiles() // which does not enforce foreign keys by itself
	db, url := s.airflow(t, "3.1")
	execute(t, db, "DELETE FROM team WHERE name = 'team_b'")
	d := directoryOf(t, lookup.Options{Database: url})
	for kind, name := range map[resolver.Kind]string{
		resolver.KindTask: taskB, resolver.KindDag: "dag_b", resolver.KindVariable: "var_b", resolver.KindConnection: "conn_b",
	} {
		if got := one(t, d, kind, name); got.Outcome != resolver.Unavailable || !errors.Is(got.Err, resolver.ErrUnavailable) {
			t.Errorf("%v %s: %v, team %q", kind, name, got.Outcome, got.Team)
		}
	}
	if got := one(t, d, resolver.KindVariable, "var_a"); got.Outcome != resolver.Found {
		t.Errorf("var_a: %v (%v)", got.Outcome, got.Err)
	}
}

func TestContradictingRows_AreUnavailable(t *testing.T) {
	t.Parallel()
	s := sqliteFiles()
	db, url := s.airflow(t, "3.2")
	execute(t, db, "DROP INDEX idx_dag_bundle_team_dag_bundle_name") // which forbids it
	execute(t, db, "INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('bundle_a', 'team_b')")
	d := directoryOf(t, lookup.Options{Database: url})
	if got := one(t, d, resolver.KindDag, "dag_a"); got.Outcome != resolver.Unavailable {
		t.Errorf("a dag of two teams: %v, team %q", got.Outcome, got.Team)
	}
}

func TestAirflowUpgrade_ChangesTheSchemaWhileRunning(t *testing.T) {
	t.Parallel()
	upgrade := func(t *testing.T, from string) (*lookup.Directory, *clock) {
		t.Helper()
		s := sqliteFiles()
		db, url := s.airflow(t, from)
		now := newClock()
		d := directoryOf(t, lookup.Options{Database: url}.At(now.Now))
		if got := one(t, d, resolver.KindVariable, "var_a"); got.Outcome != resolver.Found {
			t.Fatalf("before: %v (%v)", got.Outcome, got.Err)
		}
		execute(t, db, "PRAGMA foreign_keys=OFF")
		for _, table := range []string{"alembic_version", "connection", "variable", "task_instance_history", "task_instance", "dynamic_region", "dag_bundle_team", "dag", "dag_bundle", "team", "asset_alias_asset_event", "asset_alias_asset", "asset_event", "asset_alias", "asset_active", "asset"} {
			execute(t, db, "DROP TABLE IF EXISTS "+table)
		}
		s.migrate(t, db, "3.2")
		return d, now
	}
	t.Run("what broke is fetched again at once", func(t *testing.T) {
		t.Parallel()
		d, _ := upgrade(t, "3.1")
		if got := one(t, d, resolver.KindVariable, "var_a"); got.Outcome != resolver.Unavailable {
			t.Errorf("by the old schema: %v", got.Outcome)
		}
		if got := one(t, d, resolver.KindVariable, "var_a"); got.Team != "team_a" {
			t.Errorf("by the new schema: %v, team %q, %v", got.Outcome, got.Team, got.Err)
		}
	})
	t.Run("what still runs is fetched again within a minute", func(t *testing.T) {
		t.Parallel()
		d, now := upgrade(t, "3.0")
		now.Add(time.Minute)
		if got := one(t, d, resolver.KindVariable, "var_a"); got.Team != "team_a" {
			t.Errorf("%v, team %q, %v", got.Outcome, got.Team, got.Err)
		}
		if got := one(t, d, resolver.KindTask, taskB); got.Team != "team_b" {
			t.Errorf("%v, team %q, %v", got.Outcome, got.Team, got.Err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	s, _ := postgresServer(b)
	_, url := s.airflow(b, "3.2")
	d := directoryOf(b, lookup.Options{Database: url})
	for name, questions := range map[string][]resolver.Question{
		"task":                {ask(resolver.KindTask, taskA)},
		"task_and_variable":   {ask(resolver.KindTask, taskA), ask(resolver.KindVariable, "var_a")},
		"sixteen_of_all_kind": sixteen(),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, a := range d.Resolve(b.Context(), questions) {
					if a.Outcome != resolver.Found {
						b.Fatal(a.Outcome, a.Err)
					}
				}
			}
		})
	}
}

func sixteen() (questions []resolver.Question) {
	for range 4 {
		questions = append(questions, ask(resolver.KindTask, taskA), ask(resolver.KindVariable, "var_a"), ask(resolver.KindConnection, "conn_b"), ask(resolver.KindDag, "dag_g"))
	}
	return questions
}
