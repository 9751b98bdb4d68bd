package lookup_test

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
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
			testMissingGrant(t, s, db, urlOf(database), release)
		})
	}
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

// testMissingGrant: a column of teams that is hidden must not read as "no team".
func testMissingGrant(t *testing.T, s server, db *sql.DB, url, release string) {
	t.Helper()
	column := map[string]string{"3.0": "bundle_name", "3.1": "team_id", "3.2": "team_name", "3.3": "team_name", "3.4": "team_name"}[release]
	table := map[bool]string{true: "dag", false: "variable"}[release == "3.0"]
	execute(t, db, fmt.Sprintf("REVOKE SELECT (%s) ON %s FROM dagfence", column, table))
	d, err := lookup.New(lookup.Options{Database: url, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		d.Close()
		t.Fatal("opened without a grant that it needs")
	}
	if text := err.Error(); !strings.Contains(text, "deploy/grants/"+s.dialect+".sql") || !strings.Contains(text, table) {
		t.Errorf("the error %q names neither the script nor the table", text)
	}
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
