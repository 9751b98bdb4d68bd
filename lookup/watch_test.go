package lookup_test

import (
	"bytes"
	"context"
	"database/sql"
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

// watched is a watch that tells a test.
type watched struct {
	lookup.Watch
	told   []string
	refuse error
	log    bytes.Buffer
}

func watchOf(t *testing.T, options lookup.Options) (*watched, *lookup.Directory) {
	t.Helper()
	d := directoryOf(t, options)
	w := new(watched)
	w.Watch = lookup.NewWatch(d, slog.New(slog.NewTextHandler(&w.log, nil)), func(_ context.Context, keys ...resolver.Key) error {
		for _, key := range keys {
			w.told = append(w.told, key.Kind.String()+" "+key.Name)
		}
		return w.refuse
	})
	w.expect(t, "at first") // how things are is no change
	return w, d
}

// expect looks, and fails unless it names just these.
func (w *watched) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	w.told = nil
	w.Look(t.Context())
	w.sorted(t, when, want)
}

func (w *watched) sorted(t *testing.T, when string, want []string) {
	t.Helper()
	slices.Sort(w.told)
	slices.Sort(want)
	if !slices.Equal(w.told, want) {
		t.Errorf("%s: told of %q, want %q; %s", when, w.told, want, w.log.String())
	}
}

// restricted returns the URL of a database as the role that the grants script
// makes, which is all that a watch needs; where there are no grants as it is.
func restricted(t *testing.T, s server, db *sql.DB, url string) string {
	t.Helper()
	if s.dialect == "sqlite" {
		return url
	}
	script, err := os.ReadFile(filepath.Join("..", "deploy", "grants", s.dialect+".sql"))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, string(script))
	if s.dialect == "mysql" {
		execute(t, db, "ALTER USER dagfence IDENTIFIED BY '' ACCOUNT UNLOCK")
	}
	return strings.NewReplacer("//airflow@", "//dagfence@", "//root@", "//dagfence@").Replace(url)
}

// testWatch changes one thing after the other, and looks.
func testWatch(t *testing.T, s server) {
	t.Helper()
	for _, release := range releases { // not parallel: the role is the server's
		t.Run(release, func(t *testing.T) {
			db, url := s.airflow(t, release)
			w, _ := watchOf(t, lookup.Options{Database: restricted(t, s, db, url)})
			team := func(name string) string {
				if release >= "3.2" {
					return "team_name = '" + name + "'"
				}
				return "team_id = (SELECT id FROM team WHERE name = '" + name + "')"
			}
			quote := map[string]string{"mysql": "`"}[s.dialect]
			key := quote + "key" + quote
			for _, step := range []struct {
				change string
				told   []string
			}{
				{"SELECT 1", nil},
				{"UPDATE variable SET " + team("team_b") + " WHERE " + key + " = 'var_a'", []string{"variable var_a"}},
				{"UPDATE variable SET val = 'another' WHERE " + key + " = 'var_a'", nil},
				{"UPDATE variable SET " + team("team_a") + " WHERE " + key + " IN ('var_a', 'var_b', 'global_var')", []string{"variable var_a", "variable var_b", "variable global_var"}},
				{"UPDATE connection SET " + team("team_b") + " WHERE conn_id = 'conn_a'", []string{"connection conn_a"}},
				{"UPDATE dag_bundle_team SET " + team("team_b") + " WHERE dag_bundle_name = 'bundle_a'", []string{"dag dag_a"}},
				{"DELETE FROM dag_bundle_team WHERE dag_bundle_name = 'bundle_a'", []string{"dag dag_a"}},
				{"DELETE FROM variable WHERE " + key + " = 'var_b'", nil}, // upstream says so itself
				{"UPDATE dag SET bundle_name = 'bundle_b' WHERE dag_id IN ('dag_a', 'dag_g')", []string{"dag dag_a", "dag dag_g"}},
				{"UPDATE dag SET is_paused = true", nil},
			} {
				if release == "3.0" && strings.Contains(step.change, "team") { // there are none
					continue
				}
				execute(t, db, step.change)
				w.expect(t, step.change, step.told...)
				w.expect(t, "again after "+step.change)
			}
			if release >= "3.2" {
				execute(t, db, "INSERT INTO variable ("+key+", val, is_encrypted, team_name) VALUES ('var_new', 'SECRET-VALUE', false, 'team_a')")
				w.expect(t, "a new variable", "variable var_new")
			}
			if log := w.log.String(); log != "" {
				t.Errorf("it logs %s", log)
			}
		})
	}
}

func TestWatch_SQLite(t *testing.T) {
	t.Parallel()
	testWatch(t, sqliteFiles())
}

func TestWatch_MariaDB(t *testing.T) {
	t.Parallel()
	s, _ := mariaServer(t)
	testWatch(t, s)
}

func TestWatch_PostgreSQL(t *testing.T) {
	t.Parallel()
	s, _ := postgresServer(t)
	t.Run("changes", func(t *testing.T) { testWatch(t, s) })
	t.Run("what commits late", func(t *testing.T) {
		db, url := s.airflow(t, "3.2")
		w, _ := watchOf(t, lookup.Options{Database: url})
		begin := func(change string) *sql.Tx {
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			return tx
		}
		// The first is the older, but commits last; the second locks no team's
		// row again; the third is taken back.
		first := begin("UPDATE variable SET team_name = 'team_b' WHERE key = 'var_a'")
		w.expect(t, "before the first commits")
		w.expect(t, "still before")
		second := begin("UPDATE variable SET team_name = 'team_b' WHERE key = 'global_var'")
		third := begin("UPDATE variable SET team_name = 'team_b' WHERE key = 'a/b'")
		if _, err := second.ExecContext(t.Context(), "UPDATE connection SET team_name = 'team_b' WHERE conn_id = 'conn_a'"); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "before any commits")
		if err := errors.Join(second.Commit(), third.Rollback()); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "as the second commits", "variable global_var", "connection conn_a")
		w.expect(t, "after it")
		if err := first.Commit(); err != nil {
			t.Fatal(err)
		}
		w.expect(t, "as the first commits", "variable var_a")
		w.expect(t, "after it")
	})
	t.Run("the bulk is left alone", func(t *testing.T) { testWatchReadsLittle(t, s) })
}

// testWatchReadsLittle counts the reads of a big table at the server.
func testWatchReadsLittle(t *testing.T, s server) {
	t.Helper()
	db, url := s.airflow(t, "3.2")
	execute(t, db, "INSERT INTO variable (key, val, is_encrypted, team_name) SELECT 'bulk_' || i, repeat('x', 200), false, 'team_a' FROM generate_series(1, 50000) i")
	w, d := watchOf(t, lookup.Options{Database: url})
	if known := w.Known(); known < 50000 {
		t.Errorf("it remembers %d owners", known)
	}
	reads := func() (rows int) {
		// A session reports what it did once a second at most, and when it ends.
		lookup.SessionDB(d).SetMaxIdleConns(0)
		lookup.SessionDB(d).SetMaxIdleConns(1)
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if err := db.QueryRowContext(t.Context(), "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'variable'").Scan(&rows); err != nil {
				t.Fatal(err)
			}
			var others int
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dagfence' AND datname = current_database()").Scan(&others); err != nil {
				t.Fatal(err)
			}
			if others == 0 {
				return rows
			}
			if time.Now().After(deadline) {
				t.Fatal("its sessions do not end")
			}
		}
	}
	// The table is read again until every transaction of the server that was under way
	// has ended, those of other tests too.
	before, settled := reads(), 0
	for deadline := time.Now().Add(30 * time.Second); settled < 3 && time.Now().Before(deadline); {
		w.expect(t, "nothing changes")
		after := reads()
		if settled++; after-before >= 50000 {
			settled = 0
		}
		before = after
	}
	for i := range 20 {
		execute(t, db, fmt.Sprintf("UPDATE variable SET val = 'y' WHERE key = 'bulk_%d'", i))
		w.expect(t, "values change")
	}
	// The rows that were written, and what the server itself looks at meanwhile.
	if read := reads() - before; read > 1000 {
		t.Errorf("20 looks read %d rows of 50,000", read)
	}
	execute(t, db, "UPDATE variable SET team_name = 'team_b' WHERE key = 'bulk_7'")
	w.expect(t, "a team changes", "variable bulk_7")
}

func TestWatch_ComparesWithTheLastKnownAfterAnOutage(t *testing.T) {
	t.Parallel()
	db, url := sqliteFiles().airflow(t, "3.2")
	w, _ := watchOf(t, lookup.Options{Database: url})
	execute(t, db, "ALTER TABLE variable RENAME TO gone")
	w.expect(t, "without its table")
	w.expect(t, "still without")
	if log := w.log.String(); strings.Count(log, "failed to read changed owners") != 1 {
		t.Errorf("it logs %s", log)
	}
	execute(t, db, "ALTER TABLE gone RENAME TO variable; UPDATE variable SET team_name = 'team_b' WHERE key = 'var_a'")
	w.expect(t, "with it again", "variable var_a")
	if log := w.log.String(); strings.Count(log, "changed owners are read again") != 1 {
		t.Errorf("it logs %s", log)
	}
}

func TestWatch_DoesNotRepeatWhatItFailedToPublish(t *testing.T) {
	t.Parallel()
	db, url := sqliteFiles().airflow(t, "3.2")
	w, _ := watchOf(t, lookup.Options{Database: url})
	w.refuse = errors.New("nobody listens")
	execute(t, db, "UPDATE variable SET team_name = 'team_b' WHERE key = 'var_a'")
	w.expect(t, "with nobody listening", "variable var_a")
	w.expect(t, "again")
	execute(t, db, "UPDATE variable SET team_name = 'team_a' WHERE key = 'var_a'")
	w.expect(t, "still with nobody listening", "variable var_a")
	w.refuse = nil
	execute(t, db, "UPDATE variable SET team_name = 'team_b' WHERE key = 'var_a'")
	w.expect(t, "with somebody listening", "variable var_a")
	for _, line := range []string{"failed to publish invalidations", "invalidations are published again"} {
		if strings.Count(w.log.String(), line) != 1 {
			t.Errorf("it logs %s, want %q once", w.log.String(), line)
		}
	}
}

func TestWatch_InvalidatesWhatTheFileReassigns(t *testing.T) {
	t.Parallel()
	const before, after = `
dags: {dag_x: team_a, dag_g: team_a}
bundles: {bundle_b: team_b}
variables: {same: team_a, env_var: team_a, "global_*": team_a}
`, `
dags: {dag_x: team_b, dag_g: team_a}
bundles: {bundle_b: team_c}
variables: {same: team_a, "global_*": team_b}
connections: {conn_a: team_c}
assets: {"s3://new": team_a, "s3://prefix/*": team_a}
grants: [{to: team_c, dags: "dag_a*"}]
`
	_, url := sqliteFiles().airflow(t, "3.2")
	path := file(t, before)
	w, d := watchOf(t, lookup.Options{Database: url, OwnershipFile: path})
	write(t, path, after)
	for deadline := time.Now().Add(10 * time.Second); one(t, d, resolver.KindDag, "dag_x").Team != "team_b"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file is not in force")
		}
	}
	w.told = nil
	w.Look(t.Context())
	slices.Sort(w.told)
	w.told = slices.Compact(w.told) // the file and the database may both tell
	w.sorted(t, "with another file", []string{
		"dag dag_x", "dag dag_a", "dag dag_b", "variable env_var", "variable global_var", "connection conn_a", "asset_name s3://new", "asset_uri s3://new",
	})
	w.expect(t, "again")

	// Without a database it is the names in the file, and no more.
	path = file(t, "dags: {dag_x: team_a}\nassets: {x: team_a}")
	w, d = watchOf(t, lookup.Options{OwnershipFile: path})
	write(t, path, "dags: {dag_x: team_b}\nassets: {x: team_a}")
	for deadline := time.Now().Add(10 * time.Second); one(t, d, resolver.KindDag, "dag_x").Team != "team_b"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file is not in force")
		}
	}
	w.expect(t, "with another file alone", "dag dag_x")
}
