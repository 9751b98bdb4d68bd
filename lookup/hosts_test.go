package lookup_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// grantedRole runs the grants script in the database.
func grantedRole(t *testing.T, db *sql.DB, before string) {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("..", "deploy", "grants", "postgresql.sql"))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, before+string(script))
}

// eventually fails the test unless the condition holds within ten seconds.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}

// session is which server a directory reads, and how.
func session(t *testing.T, d *lookup.Directory) (address, readOnly string) {
	t.Helper()
	row := lookup.SessionDB(d).QueryRowContext(t.Context(), "SELECT host(inet_server_addr()) || ':' || inet_server_port(), current_setting('transaction_read_only')")
	if err := row.Scan(&address, &readOnly); err != nil {
		t.Fatal(err)
	}
	return address, readOnly
}

func TestSeveralServers_TheRequestedOneIsRead(t *testing.T) {
	t.Parallel()
	s, primary := postgresServer(t)
	db, url := s.airflow(t, "3.3")
	database := url[strings.LastIndex(url, "/")+1:]
	grantedRole(t, db, "")
	standby := primary.Standby(t)
	silent := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	first, second := primary.Addr, standby.Addr
	for attrs, want := range map[string]string{
		"read-write": first, "primary": first, "read-only": second, "standby": second, "prefer-standby": second, "any": "",
	} {
		for _, hosts := range [][]string{{first, second}, {second, first}, {silent, second, first}} {
			t.Run(attrs+" "+strings.Join(hosts, ","), func(t *testing.T) {
				t.Parallel()
				d := directoryOf(t, lookup.Options{Database: "postgresql+psycopg2://dagfence@/" + database +
					"?host=" + strings.Join(hosts, "&host=") + "&target_session_attrs=" + attrs})
				if err := d.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				address, readOnly := session(t, d)
				if want != "" && address != want || readOnly != "on" {
					t.Errorf("%s is read, read-only %s, want %s", address, readOnly, want)
				}
				if got := one(t, d, resolver.KindVariable, "var_b"); got.Team != "team_b" {
					t.Errorf("%v of %q: %v", got.Outcome, got.Team, got.Err)
				}
			})
		}
	}
}

func TestPromotedServer_IsRead(t *testing.T) {
	t.Parallel()
	s, primary := postgresServer(t)
	db, url := s.airflow(t, "3.3")
	grantedRole(t, db, "")
	standby := primary.Standby(t)
	d := directoryOf(t, lookup.Options{Database: fmt.Sprintf(
		"postgresql://dagfence@%s,%s/%s?target_session_attrs=read-write", primary.Addr, standby.Addr, url[strings.LastIndex(url, "/")+1:],
	)})
	if address, _ := session(t, d); address != primary.Addr {
		t.Fatalf("%s is read, want the primary, %s", address, primary.Addr)
	}
	primary.Signal(t, syscall.SIGINT) // it waits for no client
	primary.Stop()
	eventually(t, "with a standby alone", func() error {
		got := one(t, d, resolver.KindVariable, "var_b")
		if got.Outcome != resolver.Unavailable || !strings.Contains(got.Err.Error(), "server is in standby mode") {
			return fmt.Errorf("%v, %w", got.Outcome, got.Err)
		}
		return nil
	})
	standby.Promote(t)
	eventually(t, "after the promotion", func() error {
		if got := one(t, d, resolver.KindVariable, "var_b"); got.Team != "team_b" {
			return got.Err
		}
		return nil
	})
	if address, readOnly := session(t, d); address != standby.Addr || readOnly != "on" {
		t.Errorf("%s is read, read-only %s", address, readOnly)
	}
}

// Airflow's tables may be in any schema, and tables of the same name in another.
func TestTables_MayBeInASchema(t *testing.T) {
	t.Parallel()
	s, _ := postgresServer(t)
	const schema = `air "flow"`
	for _, release := range releases {
		db, url := s.create(t, "schema"+strings.ReplaceAll(release, ".", ""))
		quoted := `"` + strings.ReplaceAll(schema, `"`, `""`) + `"`
		execute(t, db, "CREATE SCHEMA "+quoted+"; ALTER DATABASE schema"+strings.ReplaceAll(release, ".", "")+" SET search_path = "+quoted)
		db.SetMaxIdleConns(0) // the next session has the new search_path
		s.migrate(t, db, release)
		grantedRole(t, db, "")
		execute(t, db, "ALTER DATABASE schema"+strings.ReplaceAll(release, ".", "")+" SET search_path = public")
		execute(t, db, "CREATE TABLE public.variable (key text, team_name text); INSERT INTO public.variable VALUES ('var_a', 'team_x')")
		execute(t, db, "GRANT SELECT ON public.variable TO dagfence")
		d := directoryOf(t, lookup.Options{Database: strings.Replace(url, "//airflow@", "//dagfence@", 1), DatabaseSchema: schema})
		found, err := d.Inspect(t.Context())
		if err != nil || len(found.Excess) != 0 {
			t.Fatalf("%s: %+v, %v", release, found, err)
		}
		team := map[bool]string{true: "", false: "team_a"}[release == "3.0"]
		for kind, name := range map[resolver.Kind]string{resolver.KindTask: taskA, resolver.KindDag: "dag_a", resolver.KindVariable: "var_a", resolver.KindConnection: "conn_a"} {
			if got := one(t, d, kind, name); got.Outcome != resolver.Found || got.Team != team {
				t.Errorf("%s: %v %s: %v, team %q, %v", release, kind, name, got.Outcome, got.Team, got.Err)
			}
		}
		w := lookup.NewWatch(d, slog.New(slog.DiscardHandler), func(_ context.Context, _ ...resolver.Key) error { return nil })
		w.Look(t.Context())
		if w.Known() == 0 {
			t.Errorf("%s: the watch sees nothing", release)
		}
	}
}
