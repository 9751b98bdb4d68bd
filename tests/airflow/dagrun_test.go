package airflow_test

import (
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// friendly is what becomes of each task that touches what is its own team's, or
// global: with the fence, and without.
var friendly = map[string]string{
	"a_work.variables":          "success",
	"a_work.connections":        "success",
	"a_work.numbers":            "success",
	"a_work.double[0]":          "success",
	"a_work.double[1]":          "success",
	"a_work.double[2]":          "success",
	"a_work.total":              "success",
	"a_work.rendered":           "success",
	"a_work.retried":            "success at attempt 2",
	"a_work.stores":             "success",
	"a_work.outlives_its_token": "success",
	"a_work.looks":              "success",
	"a_work.makes":              "success",
	"a_work.approved":           "success",
	"a_work.skips":              "success",
	"a_work.skipped":            "skipped",
	"a_work.triggers":           "success",
	"a_work.clears":             "success",
	"a_work.senses":             "success",
	"a_work.senses_deferred":    "success",
	"a_work.senses_rescheduled": "success",
	"a_child.rests":             "success at attempt 2",
	"a_on_asset.reads":          "success",
}

// inRegions is what becomes of the tasks of a_loop, which Airflow has since 3.4.
var inRegions = map[string]string{
	"a_loop.loop.plain[0]":     "success",
	"a_loop.loop.plain[1]":     "success",
	"a_loop.loop.mapped[0][0]": "success",
	"a_loop.loop.mapped[0][1]": "success",
	"a_loop.loop.mapped[1][0]": "success",
	"a_loop.loop.mapped[1][1]": "success",
	"a_loop.loop.total[0]":     "success",
	"a_loop.loop.total[1]":     "success",
	"a_loop.loop.is_done[0]":   "success",
	"a_loop.loop.is_done[1]":   "success",
	"a_loop.outside":           "success",
}

// hostile is what becomes of the tasks of a_reach, and what the log of one says
// that the fence has denied.
var hostile = []struct{ task, straight, fenced, says string }{
	{"reads_variable", "failed", "failed", "Access denied for variable"},
	{"reads_variable_or_default", "success", "failed", "Access denied for variable"},
	{"writes_variable", "success", "failed", "Task does not have access to variable"},
	{"deletes_variable", "success", "failed", "Task does not have access to variable"}, // Airflow deletes nothing
	{"reads_connection", "failed", "failed", "Access denied for connection"},
	{"reads_xcom", "failed", "failed", "Task does not have access to XCom"},
	{"reads_xcoms", "failed", "failed", "Task does not have access to XCom"},
	{"writes_xcom", "failed", "failed", "Task may only write or delete XComs of its own"},
	{"writes_xcom_of_its_team", "success", "failed", "Task may only write or delete XComs of its own"},
	{"counts_runs", "success", "failed", "Task does not have access to dag"},
	{"counts_tasks", "success", "failed", "Task does not have access to dag"},
	{"asks_states", "success", "failed", "Task does not have access to dag"},
	{"asks_run_state", "success", "failed", "Task does not have access to dag"},
	{"asks_breadcrumbs", "success", "failed", "Task does not have access to dag"},
	{"asks_dag", "success", "failed", "Task does not have access to dag"},
	{"triggers", "success", "failed", "Task does not have access to dag"},
	{"clears", "success", "failed", "Task does not have access to dag"},
	{"senses", "success", "failed", "Task does not have access to dag"},
	{"senses_task", "success", "failed", "Task does not have access to dag"},
	{"senses_deferred", "success", "success", ""}, // by the triggerer, which is not behind the fence
}

// decided is how often the fence decides what while the dags run. Sensors and
// heartbeats ask as often as time allows, and a sensor that is rescheduled
// clears and stores its XComs each time.
var decided = map[string]int{
	"self read allow self":            atLeast(1),
	"self write allow self":           atLeast(1),
	"self delete allow self":          1,
	"variable read allow own":         7,
	"variable read allow global":      2,
	"variable read allow not_stored":  2,
	"variable write allow own":        1,
	"variable write allow not_stored": 3,
	"variable delete allow own":       2,
	"variable list allow own":         2,
	"connection read allow own":       3,
	"connection read allow global":    2,
	"xcom read allow own":             atLeast(20),
	"xcom count allow own":            1,
	"xcom write allow own":            atLeast(31),
	"xcom delete allow own":           atLeast(1),
	"asset read allow global":         1,
	"dag trigger allow own":           2,
	"dag clear allow own":             1,
	"dag read allow own":              atLeast(1),
	"dag count allow own":             atLeast(1),
	"variable read deny other_team":   2,
	"variable write deny other_team":  1,
	"variable delete deny other_team": 1,
	"connection read deny other_team": 1,
	"xcom read deny other_team":       2,
	"xcom write deny not_own_task":    2,
	"dag read deny other_team":        3,
	"dag count deny other_team":       5,
	"dag trigger deny other_team":     2,
}

// decidedInRegions is what it decides otherwise with a_loop: each of four mapped
// tasks reads a variable, a sequence is counted once more, and a callback asks.
var decidedInRegions = map[string]int{
	"variable read allow own":         11,
	"xcom count allow own":            2,
	"variable read deny unknown_task": 1,
}

// atLeast is that many or more.
func atLeast(times int) int { return -times }

// TestDagRun runs the dags of two teams on a whole Airflow of the newest releases,
// twice: with tasks that reach the api-server straight, and through the fence.
func TestDagRun(t *testing.T) {
	t.Parallel()
	for _, version := range []string{latest, upcoming} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			runDags(t, install(t, version))
		})
	}
}

func runDags(t *testing.T, airflow *release) {
	t.Helper()
	server := services.Postgres(t)
	d := startDags(t, airflow, server)
	straight := d.run(t, "straight", "2026-01-01T00:00:00Z", d.url)
	wantStates(t, d, straight, "success at attempt 2", func(i int) string { return hostile[i].straight })
	d.wantValue(t, `SELECT val FROM variable WHERE key = 'b_put'`, "taken")
	d.wantValue(t, `SELECT count(*) FROM dag_run WHERE run_id = 'taken_straight'`, 1)
	if straight.teamB == "" {
		t.Error("nothing of team B's has changed without the fence, so that it does not with it shows nothing")
	}

	dagfence, status := newFence(t, d.airflow), services.Address(t)
	proxy := dagfence.proxy(t, d.url, "--database", server.URL("dagfence", "airflow"), "--status", status)
	fenced := d.run(t, "fenced", "2026-01-02T00:00:00Z", proxy)
	wantStates(t, d, fenced, "success", func(i int) string { return hostile[i].fenced })
	wantSame(t, "change of what is team B's", "", fenced.teamB)
	for _, reach := range hostile {
		if log := d.log(t, "fenced", "a_reach", reach.task); !strings.Contains(log, reach.says) {
			t.Errorf("the log of a_reach.%s does not say %q:\n%s", reach.task, reach.says, log)
		}
	}
	want := maps.Clone(decided)
	if d.regions {
		maps.Copy(want, decidedInRegions)
	}
	wantDecisions(t, "http://"+status+"/metrics", want)
	dagfence.wantDiscreet(t, new(world))
	for _, process := range dagfence.processes {
		if strings.Contains(process.Output(), "eyJ") { // as every token begins
			t.Error("the output holds a token")
		}
	}
	for _, run := range []*dagRun{straight, fenced} {
		d.wantValue(t, `SELECT duration > `+strconv.Itoa(tokenLife)+` FROM task_instance
			WHERE task_id = 'outlives_its_token' AND run_id = '`+run.name+`'`, true)
	}
	d.wantValue(t, `SELECT val FROM variable WHERE key = 'a_tried'`, "value of global_var")
	if d.regions { // a callback's token is for no task, so the fence knows no team of its own
		d.wantValue(t, `SELECT string_agg(state, ', ' ORDER BY created_at) FROM callback`, "success, failed")
	}
}

// wantStates checks the state of every task instance.
func wantStates(t *testing.T, d *dagRuns, run *dagRun, teamB string, ofHostile func(int) string) {
	t.Helper()
	want := maps.Clone(friendly)
	if d.regions {
		maps.Copy(want, inRegions)
	}
	want["b_work.answer"], want["b_work.reads[0]"], want["b_later.rests"] = teamB, teamB, "none"
	for i, reach := range hostile {
		want["a_reach."+reach.task] = ofHostile(i)
	}
	for _, task := range slices.Sorted(maps.Keys(want)) {
		if run.states[task] != want[task] {
			t.Errorf("%s: %s is %q, want %q", run.name, task, run.states[task], want[task])
		}
	}
	for task := range run.states {
		if _, known := want[task]; !known {
			t.Errorf("%s: there is a task instance %s that no dag of the test should have", run.name, task)
		}
	}
}

var decision = regexp.MustCompile(
	`(?m)^dagfence_decisions_total\{action="(.*)",kind="(.*)",mode="[a-z]*",outcome="(.*)",reason="(.*)"\} (\d+)$`)

// wantDecisions checks how often the fence has decided what, without what is
// public: readiness is asked for until it is there.
func wantDecisions(t *testing.T, url string, decided map[string]int) {
	t.Helper()
	got := make(map[string]int)
	for _, match := range decision.FindAllStringSubmatch(fetch(t, url), -1) {
		if match[2] != "public" {
			got[strings.Join([]string{match[2], match[1], match[3], match[4]}, " ")], _ = strconv.Atoi(match[5])
		}
	}
	for what, times := range got {
		if _, known := decided[what]; !known {
			t.Errorf("decided %q %d times, want never", what, times)
		}
	}
	for what, want := range decided {
		if times := got[what]; times != want && (want > 0 || times < -want) {
			t.Errorf("decided %q %d times, want %d (if negative, at least that many)", what, times, want)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
