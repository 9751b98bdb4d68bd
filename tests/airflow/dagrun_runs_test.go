package airflow_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A dagRun is what became of one run of each dag.
type dagRun struct {
	name   string
	states map[string]string // of dag.task, with the attempt from the second on
	teamB  string            // how team B's rows have changed while team A's dags ran
}

// run runs the dags with tasks that find the Execution API at the URL, and a
// human who says yes. Team B's dag has ended before those of team A begin.
func (d *dagRuns) run(t *testing.T, name, date, executionURL string) *dagRun {
	t.Helper()
	execute(t, d.database, secrets)
	var last int
	if err := d.database.conn.QueryRowContext(t.Context(), `SELECT coalesce(max(id), 0) FROM dag_run`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	_, end := d.start(t, d.airflow.with(map[string]string{
		"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": executionURL + "/execution/",
	}), "scheduler", "--skip-serve-logs")
	trigger := func(dag string) {
		d.call(t, http.MethodPost, "/api/v2/dags/"+dag+"/dagRuns", map[string]any{"dag_run_id": name, "logical_date": date})
	}
	const ended = `SELECT coalesce(bool_and(state NOT IN ('queued', 'running')), false) FROM dag_run WHERE id > $1`
	trigger("b_work")
	d.await(t, ended, last)
	before := d.database.take(t)
	trigger("b_later")
	trigger("a_work")
	trigger("a_reach")
	if d.regions {
		trigger("a_loop")
	}
	d.await(t, ended+` AND dag_id = 'a_on_asset'`, last)
	// What tasks wait for comes when nothing else is under way: if one were queued
	// again before the scheduler heard that it waits, Airflow would fail it.
	d.await(t, `
		SELECT bool_and(coalesce(state, '') = ANY (CASE dag_id || '.' || task_id
			WHEN 'a_work.approved' THEN '{awaiting_input}' WHEN 'a_reach.senses_deferred' THEN '{deferred}'
			ELSE '{success,failed,skipped}' END::text[]))
		FROM (`+d.attempts()+`) a WHERE run > $1 AND dag_id <> 'b_later'`, last)
	execute(t, d.database, `UPDATE dag_run SET state = 'success' WHERE dag_id = 'b_later'`)
	d.call(t, http.MethodPatch, "/api/v2/dags/a_work/dagRuns/"+name+"/taskInstances/approved/-1/hitlDetails",
		map[string]any{"chosen_options": []string{"yes"}, "params_input": map[string]any{}})
	d.await(t, ended, last)
	if d.regions {
		d.await(t, `SELECT state IN ('success', 'failed') FROM callback ORDER BY created_at DESC LIMIT 1`)
	}
	end()
	return &dagRun{name: name, states: d.states(t, last), teamB: ofTeamB(d.database.take(t).since(before))}
}

// attempts is the query of the current attempts of all tasks. The place of one is
// the pass of the loop, if it is in one, and the map index, if it has one.
func (d *dagRuns) attempts() string {
	if d.regions {
		return `SELECT r.id AS run, i.dag_id, i.run_id, task_id, try_number, i.state,
				coalesce('[' || g.parent_region_index || ']', '') || CASE WHEN region_index < 0 THEN '' ELSE '[' || region_index || ']' END AS place
			FROM task_instance i JOIN dag_run r USING (dag_id, run_id) LEFT JOIN dynamic_region g ON g.id = i.region_id WHERE working_set`
	}
	return `SELECT r.id AS run, dag_id, run_id, task_id, try_number, i.state, CASE WHEN map_index < 0 THEN '' ELSE '[' || map_index || ']' END AS place
		FROM task_instance i JOIN dag_run r USING (dag_id, run_id)`
}

// states returns the states of all task instances in runs since the one given.
func (d *dagRuns) states(t *testing.T, last int) map[string]string {
	t.Helper()
	rows, err := d.database.conn.QueryContext(t.Context(), `
		SELECT dag_id || '.' || task_id || place, coalesce(state, 'none') || CASE WHEN try_number < 2 THEN '' ELSE ' at attempt ' || try_number END
		FROM (`+d.attempts()+`) a WHERE run > $1 AND run_id NOT LIKE 'taken%'`, last)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	states := make(map[string]string)
	for rows.Next() {
		var task, state string
		if err := rows.Scan(&task, &state); err != nil {
			t.Fatal(err)
		}
		states[task] = state
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return states
}

// ofTeamB leaves those changes of rows that are in team B's hands.
func ofTeamB(changes string) string {
	var of []string
	for line := range strings.Lines(changes) {
		if strings.Contains(line, " | b_work | ") || strings.Contains(line, " | team_b") {
			of = append(of, line)
		}
	}
	return strings.Join(of, "")
}

// log is what a task of the run has logged in its first attempt.
func (d *dagRuns) log(t *testing.T, run, dag, task string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(d.airflow.settings["AIRFLOW_HOME"], "logs",
		"dag_id="+dag, "run_id="+run, "task_id="+task, "attempt=1.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// await waits until a query of the database is true.
func (d *dagRuns) await(t *testing.T, query string, args ...any) {
	t.Helper()
	const patience, pause = 3 * time.Minute, 100 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		var is bool
		if err := d.database.conn.QueryRowContext(t.Context(), query, args...).Scan(&is); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not so after %v: %s\nstates: %v", patience, query, d.states(t, 0))
		}
	}
}
