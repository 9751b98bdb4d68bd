package lookup_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// testGrants runs the grants script, and proves what its role can and can't
// do. setup is run after the script.
func testGrants(t *testing.T, s server, urlOf func(database string) string, setup []string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "deploy", "grants", s.dialect+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	unseen := granted(s.dialect, string(script))
	for _, release := range releases { // not parallel: the role is the server's
		t.Run(release, func(t *testing.T) {
			db, adminURL := s.airflow(t, release)
			database := adminURL[strings.LastIndex(adminURL, "/")+1:]
			for range 2 { // it may be run again
				execute(t, db, string(script))
			}
			for _, statement := range setup {
				execute(t, db, statement)
			}
			d := directoryOf(t, lookup.Options{Database: urlOf(database)})
			if err := d.Ready(t.Context()); err != nil {
				t.Fatalf("not ready: %v", err)
			}
			team := map[bool]string{true: "", false: "team_a"}[release == "3.0"]
			for _, q := range []resolver.Question{
				ask(resolver.KindTask, taskA), ask(resolver.KindTask, taskARetry), ask(resolver.KindDag, "dag_a"),
				ask(resolver.KindVariable, "var_a"), ask(resolver.KindConnection, "conn_a"),
			} {
				if got := one(t, d, q.Kind, q.Name); got.Outcome != resolver.Found || got.Team != team {
					t.Errorf("%v %s: %v, team %q, %v", q.Kind, q.Name, got.Outcome, got.Team, got.Err)
				}
			}
			for _, query := range []string{"SELECT val FROM variable", "SELECT password FROM connection", "SELECT * FROM variable", "SELECT state FROM task_instance", "SELECT extra FROM asset", "SELECT extra FROM asset_event"} {
				if err := readable(t, lookup.SessionDB(d), query); err == nil {
					t.Errorf("%s passed", query)
				}
			}
			testInspection(t, d, adminURL, s.dialect, release)
			for _, column := range testEachGrant(t, s, db, urlOf(database), release) {
				delete(unseen, column)
			}
		})
	}
	if len(unseen) > 0 {
		t.Errorf("the script grants what no release has: %v", unseen)
	}
}

// granted reads from a grants script which columns it grants, as table.column.
func granted(dialect, script string) map[string]bool {
	lists := map[string]*regexp.Regexp{
		"postgresql": regexp.MustCompile(`\('(\w+)', '\{([^}]+)\}'`),
		"mysql":      regexp.MustCompile(`table_name = '(\w+)' AND column_name IN \(([^)]+)\)`),
	}
	columns := make(map[string]bool)
	for _, list := range lists[dialect].FindAllStringSubmatch(script, -1) {
		for column := range strings.SplitSeq(list[2], ",") {
			if column = strings.Trim(column, " '"); column != "xmin" && column != "xmax" { // PostgreSQL's own
				columns[list[1]+"."+column] = true
			}
		}
	}
	return columns
}

// testInspection: the fence's own role may do nothing that it should not, and
// the administrator everything.
func testInspection(t *testing.T, d *lookup.Directory, adminURL, dialect, release string) {
	t.Helper()
	everything := []string{"read variable.val", "read connection.password", "write variable", "write connection", "write dag"}
	administrator := directoryOf(t, lookup.Options{Database: adminURL})
	for name, of := range map[string]struct {
		directory *lookup.Directory
		excess    []string
	}{"the fence's role": {d, nil}, "the administrator": {administrator, everything}} {
		found, err := of.directory.Inspect(t.Context())
		if err != nil || found.Dialect != dialect || !strings.Contains(found.Releases, release) || found.Teams != (release != "3.0") {
			t.Errorf("%s: found %+v, %v", name, found, err)
		}
		if !slices.Equal(found.Excess, of.excess) {
			t.Errorf("%s may %q, want %q", name, found.Excess, of.excess)
		}
	}
}

// testEachGrant takes each column that the script granted away, and grants it
// again: a column that can't be read must be an error, and not read as "no team".
// It returns all columns, as table.column.
func testEachGrant(t *testing.T, s server, db *sql.DB, url, release string) (columns []string) {
	t.Helper()
	// What only the watch and the check read, and only 3.0 is told apart by.
	spared := map[string]bool{"alembic_version.version_num": release != "3.0", "team.name": release >= "3.2"}
	quote := map[bool]string{true: "`", false: `"`}[s.dialect == "mysql"]
	columns = grantedIn(t, db, s.dialect)
	for _, of := range columns {
		table, column, _ := strings.Cut(of, ".")
		privilege := fmt.Sprintf("SELECT (%[1]s%[2]s%[1]s) ON %[1]s%[3]s%[1]s", quote, column, table)
		execute(t, db, "REVOKE "+privilege+" FROM dagfence")
		d, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
		if err == nil {
			d.Close()
		}
		if opened := err == nil; opened != spared[of] {
			t.Errorf("without the grant of %s: opened %v, %v", of, opened, err)
		}
		if err != nil && (!strings.Contains(err.Error(), "deploy/grants/"+s.dialect+".sql") || !strings.Contains(err.Error(), table)) {
			t.Errorf("without the grant of %s, the error names neither the script nor the table: %v", of, err)
		}
		execute(t, db, "GRANT "+privilege+" TO dagfence")
	}
	return columns
}

// grantedIn returns the columns that the role may read, as table.column.
func grantedIn(t *testing.T, db *sql.DB, dialect string) (columns []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT CONCAT(p.table_name, '.', p.column_name) FROM information_schema.column_privileges p"+
		" JOIN information_schema.columns c ON c.table_schema = p.table_schema AND c.table_name = p.table_name AND c.column_name = p.column_name"+
		" WHERE p.grantee LIKE '%dagfence%' AND p.table_schema = "+map[bool]string{true: "DATABASE()", false: "'public'"}[dialect == "mysql"])
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		columns = append(columns, column)
	}
	if err := rows.Err(); err != nil || len(columns) < 20 {
		t.Fatalf("the role may read %q, %v", columns, err)
	}
	return columns
}

func readable(tb testing.TB, db *sql.DB, query string) error {
	tb.Helper()
	rows, err := db.QueryContext(tb.Context(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next()
	return rows.Err()
}
