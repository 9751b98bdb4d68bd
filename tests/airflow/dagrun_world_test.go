package airflow_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// tokenLife is how many seconds a task's token is good for: longer than a task
// waits for its start, even where other tests have the processors.
const tokenLife = 20

// dagRuns is a whole Airflow with the dags of dagrun/: api-server, dag
// processor, triggerer, and a scheduler for as long as dags run.
type dagRuns struct {
	*deployment
	airflow     *release
	regions     bool // whether the release has regions, and tokens for callbacks
	databaseURL string
	token       string // of the REST API's user
}

// startDags starts all but the scheduler, and waits until the dags are parsed.
func startDags(t *testing.T, airflow *release, server *services.PostgresServer) *dagRuns {
	t.Helper()
	bundles := t.TempDir()
	if err := os.CopyFS(bundles, os.DirFS("dagrun")); err != nil {
		t.Fatal(err)
	}
	d := &dagRuns{regions: airflow.version >= upcoming, databaseURL: server.URL("airflow", "airflow"), airflow: airflow.with(map[string]string{
		"AIRFLOW__API_AUTH__JWT_LEEWAY":                  "0",
		"AIRFLOW__CORE__EXECUTOR":                        "LocalExecutor",
		"AIRFLOW__CORE__PARALLELISM":                     "8",
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS":  "True",
		"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION":     "False",
		"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundleList(t, bundles),
		"AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME":    strconv.Itoa(tokenLife),
		"AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC":    "1",
		"AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME":  "0.2",
		"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL":       "1",
	})}
	d.airflow.run(t, d.databaseURL, "airflow", "db", "migrate")
	d.deployment = &deployment{database: connect(t, server, "airflow")}
	for _, statement := range append(grants(t), "INSERT INTO team VALUES ('team_a'), ('team_b')", secrets) {
		execute(t, d.database, statement)
	}
	if d.regions { // and pools of teams, which airflow teams create makes
		execute(t, d.database, "INSERT INTO slot_pool (pool, slots, include_deferred, team_name) SELECT 'default_pool_' || name, 128, false, name FROM team")
	}
	d.database.remember(t)
	address := services.Address(t)
	host, port, _ := strings.Cut(address, ":")
	d.url = "http://" + address
	apiServer, _ := d.start(t, d.airflow, "api-server", "--host", host, "--port", port, "--workers", "1")
	d.start(t, d.airflow, "dag-processor")
	// Triggers of a team run in a triggerer of that team's alone.
	d.start(t, d.airflow, "triggerer", "--skip-serve-logs", "--team-name", "team_a")
	apiServer.WaitReady(t, healthy(d.url+"/execution/health"))
	defined := 6
	if d.regions {
		defined++
	}
	d.await(t, "SELECT count(*) = $1 FROM serialized_dag", defined)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(d.call(t, http.MethodGet, "/auth/token", nil), &answer); err != nil {
		t.Fatal(err)
	}
	d.token = answer.Token
	return d
}

// bundleList is a bundle for each folder that is named after a team.
func bundleList(t *testing.T, folder string) string {
	t.Helper()
	var bundles []any
	for _, team := range []string{"team_a", "team_b"} {
		bundles = append(bundles, map[string]any{
			"name": "of_" + team, "team_name": team,
			"classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
			"kwargs":    map[string]any{"path": filepath.Join(folder, team)},
		})
	}
	list, err := json.Marshal(bundles)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

// secrets are the variables and connections of both teams and of nobody, and
// nothing that dags have left there.
const secrets = `
	DELETE FROM variable;
	DELETE FROM connection;
	INSERT INTO variable (key, val, is_encrypted, team_name)
	SELECT key, 'value of ' || key, false, team FROM (VALUES
		('var_a', 'team_a'), ('var_b', 'team_b'), ('b_put', 'team_b'), ('b_delete', 'team_b'), ('global_var', NULL)
	) AS v (key, team);
	INSERT INTO connection (conn_id, conn_type, password, is_encrypted, is_extra_encrypted, team_name)
	SELECT id, 'http', 'of ' || id, false, false, team FROM (VALUES
		('conn_a', 'team_a'), ('conn_b', 'team_b'), ('global_conn', NULL)
	) AS c (id, team)`

// start starts a component of Airflow, and returns what ends it, at the end of the
// test at the latest. It has a session of its own: what it runs are processes.
func (d *dagRuns) start(t *testing.T, airflow *release, args ...string) (component *services.Process, end func()) {
	t.Helper()
	cmd := airflow.command(t, d.databaseURL, "airflow", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	component = services.Start(t, cmd)
	end = sync.OnceFunc(func() { // once: its number may be another's later
		component.MayEnd()
		endSession(t, component.Pid())
	})
	t.Cleanup(end)
	return component, end
}

// endSession kills all processes of a session. Asking is not enough: a SIGTERM
// that reaches Airflow's scheduler in a callback of the garbage collector is
// lost, and a scheduler that is killed leaves its workers behind.
func endSession(t *testing.T, session int) {
	t.Helper()
	for alive := true; alive; {
		alive = false
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			t.Fatal(err)
		}
		for _, stat := range stats {
			content, err := os.ReadFile(stat)
			if err != nil {
				continue // it has ended
			}
			pid, rest, _ := strings.Cut(string(content), " ")
			// Behind the name, which may hold anything: state, parent, group, session.
			fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
			number, err := strconv.Atoi(pid)
			if err != nil || fields[0] == "Z" || fields[3] != strconv.Itoa(session) {
				continue
			}
			alive = true
			_ = syscall.Kill(number, syscall.SIGKILL)
		}
	}
}

// call asks Airflow's REST API.
func (d *dagRuns) call(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, d.url+path, strings.NewReader(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+d.token)
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s %v: %s", method, path, response.Status, err, answer)
	}
	return answer
}
