package airflow_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// TestMigration_KeepsFencesServing migrates a database from 3.3 to 3.4 and
// back with Airflow's own commands, while tasks ask through two fences: one that
// reads the database, and one that asks a lookup service on it. Every answer is the
// right one or 503, and heartbeats pass throughout.
func TestMigration_KeepsFencesServing(t *testing.T) {
	t.Parallel()
	older, newer := install(t, "3.3.2"), install(t, "3.4.0b2")
	server, w := seed(t, older)
	database := connect(t, server, "airflow")
	execute(t, database, capitals)
	f := newFence(t, older)
	url, redis := server.URL("dagfence", "airflow"), services.Redis(t).URL()
	u := &upgraded{database: database, world: w, fence: f}
	upstream := "http://" + sidecar.NewRecorder(t).Addr
	u.addRoute(f.proxy(t, upstream, "--database", url))
	u.addRoute(f.proxy(t, upstream, "--lookup", f.lookup(t, url, "--redis", redis), "--redis", redis))
	u.round(t, true)
	owner := server.URL("airflow", "airflow")
	u.migrate(t, newer.command(t, owner, "airflow", "db", "migrate"), "3.4")
	u.migrate(t, newer.command(t, owner, "airflow", "db", "downgrade", "--yes", "--to-version", "3.3.2"), "3.2 and 3.3")
}

// capitals makes many variables, so that none is asked for twice, and writes one
// team with capitals, which 3.4 makes small and 3.3 does not make great again.
const capitals = `
INSERT INTO team VALUES ('Team_A');
INSERT INTO variable (key, val, is_encrypted, team_name) SELECT 'many_' || l || '_' || n, 'v', false, CASE l WHEN 'a' THEN 'Team_A' ELSE 'team_b' END
	FROM unnest(ARRAY['a', 'b']) AS l, generate_series(1, 20000) AS n;
UPDATE variable SET team_name = 'Team_A' WHERE team_name = 'team_a';
UPDATE connection SET team_name = 'Team_A' WHERE team_name = 'team_a';
UPDATE dag_bundle_team SET team_name = 'Team_A' WHERE team_name = 'team_a';
DELETE FROM team WHERE name = 'team_a';`

// upgraded is a database that is migrated, and the routes by which tasks ask.
type upgraded struct {
	database *database
	world    *world
	fence    *fence
	routes   []*askedRoute
	rounds   int
}

// askedRoute is a fence, with when it first and last answered 503, and 403 to a
// team that had just been renamed.
type askedRoute struct {
	deployment

	unavailable, renamed span
}

// span is from the first to the last of some events.
type span struct{ first, last time.Time }

func (s *span) add() {
	s.last = time.Now()
	if s.first.IsZero() {
		s.first = s.last
	}
}

func (u *upgraded) addRoute(url string) {
	u.routes = append(u.routes, &askedRoute{deployment: deployment{url: url}})
}

// round sends each request once through each fence, and reports whether each had
// the right answer. With calm, any other is an error.
func (u *upgraded) round(t *testing.T, calm bool) (right bool) {
	t.Helper()
	u.rounds++
	a, b := fmt.Sprintf("/variables/many_a_%d", u.rounds), fmt.Sprintf("/variables/many_b_%d", u.rounds)
	const value, current, archived, other = `{"value":"v"}`, "dag_a.t1", "dag_a.retry", "dag_b.t1"
	keys := get("/variables/keys").under("2026-06-30")
	right = true
	for i, route := range u.routes {
		for _, c := range []struct {
			who    string
			ask    request
			status int
		}{
			{current, get(a), 200},
			{current, get(b), 403},
			{current, put(a, value), 200},
			{current, put(b, value), 403},
			{other, get(a), 403},
			{other, get(b), 200},
			{archived, get(a), 200},
			{archived, get(b), 403},
			{current, get("/connections/conn_a"), 200},
			{current, get("/connections/conn_b"), 403},
			{current, get("/xcoms/dag_a2/{run1}/t1/return_value"), 200},
			{current, get("/xcoms/dag_b/{run1}/t1/return_value"), 403},
			{current, keys, 200},
			{archived, keys, 403},
			{current, put("/task-instances/{dag_a.t1}/heartbeat", `{"hostname":"worker","pid":100}`), 200},
		} {
			got := route.send(t, u.world, c.who, c.ask)
			if got.status == http.StatusServiceUnavailable {
				route.unavailable.add()
			}
			right = right && got.status == c.status
			switch self := strings.HasPrefix(c.ask.target, "/task-instances/"); {
			case got.status == c.status, !calm && !self && got.status == http.StatusServiceUnavailable:
			case !calm && !self && c.status == http.StatusOK && c.who != other && got.status == http.StatusForbidden:
				route.renamed.add()
			default:
				t.Errorf("fence %d, round %d: %s %s by %s is %d, want %d: %s", i, u.rounds, c.ask.method, c.ask.target, c.who, got.status, c.status, got.body)
			}
		}
	}
	return right
}

// migrate runs a migration while tasks ask. The grants are made again when an
// operator would have had to read why they are needed.
func (u *upgraded) migrate(t *testing.T, migration *exec.Cmd, releases string) {
	t.Helper()
	for _, route := range u.routes {
		route.unavailable, route.renamed = span{}, span{}
	}
	var output []byte
	done := make(chan error, 1)
	started := time.Now()
	go func() {
		var err error
		output, err = migration.CombinedOutput()
		done <- err
	}()
	for over := false; !over; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatalf("%v: %v\n%s", migration.Args, err, output)
			}
			over = true
		default:
			u.round(t, false)
		}
	}
	migrated := time.Now()
	sidecar.Within(t, 20*time.Second, "each reader of the database says which grants are missing", func() bool {
		u.round(t, false)
		said := 0
		for _, process := range u.fence.processes {
			if last := lastError(process.Output()); strings.Contains(last, "permission denied for table task_instance") &&
				strings.Contains(last, "deploy/grants/postgresql.sql") {
				said++
			}
		}
		return said == 2 // the fence that asks a lookup service reads none
	})
	for _, statement := range grants(t) {
		execute(t, u.database, statement)
	}
	granted := time.Now()
	sidecar.Within(t, 20*time.Second, "all is answered right", func() bool { return u.round(t, false) })
	for range 20 {
		u.round(t, true)
	}
	for i, route := range u.routes {
		denied := route.renamed.last.Sub(route.renamed.first)
		t.Logf("to %s in %v: fence %d answered 503 from %v before the migration's end until %v after the grants, and 403 for %v", releases,
			migrated.Sub(started).Round(time.Millisecond), i, migrated.Sub(route.unavailable.first).Round(time.Millisecond),
			route.unavailable.last.Sub(granted).Round(time.Millisecond), denied.Round(time.Millisecond))
		// A refusal is confirmed where an answer is older than a second; while the
		// database can't be read, it stands for the time to live, 5 s.
		if denied > 6*time.Second || releases != "3.4" && !route.renamed.first.IsZero() {
			t.Errorf("fence %d denied team Team_A what it owns for %v", i, denied)
		}
	}
	for _, i := range []int{0, 1} { // the fence with a database, and the lookup service
		if said := u.fence.processes[i].Output(); !strings.Contains(said, `"airflow":"`+releases+`"`) && !strings.Contains(said, `"airflow": "`+releases+`"`) {
			t.Errorf("no word of the schema of %s:\n%s", releases, said)
		}
	}
}

// lastError is the last line about a database that does not answer.
func lastError(output string) (line string) {
	for l := range strings.Lines(output) {
		if strings.Contains(l, "metadata database unavailable") {
			line = l
		}
	}
	return line
}
