package main_test

import (
	"encoding/json"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule"
	main "github.com/dagfence/dagfence/cmd/dagfence"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	explainSecret = "a-secret-that-no-explanation-has"
	explainTask   = "018f0000-0000-7000-8000-00000000000a" // dag_a, t1
)

// explainWorld serves who owns what, and returns the URL of the lookup service.
func explainWorld(t *testing.T) string {
	t.Helper()
	world := new(resolvertest.World)
	world.Run(explainTask, resolver.Task{DagID: "dag_a", RunID: "run_1", TaskID: "t1", MapIndex: -1})
	for name, team := range map[string]string{"a": "team_a", "b": "team_b", "g": ""} {
		world.Own(resolver.KindDag, "dag_"+name, team)
		world.Own(resolver.KindVariable, "var_"+name, team)
	}
	world.Own(resolver.KindDag, "shared_b", "team_b")
	world.Grant(resolver.KindDag, "shared_b", &resolver.Grants{Read: []string{"team_a"}})
	service := httptest.NewServer(resolvertest.Service(world))
	t.Cleanup(service.Close)
	return service.URL
}

func explained(t *testing.T, args ...string) caddymodule.Explanation {
	t.Helper()
	text, err := printed(t, append([]string{"explain", "--json"}, args...)...)
	if err != nil {
		t.Fatalf("explain %q: %v", args, err)
	}
	var e caddymodule.Explanation
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("explain %q prints %q: %v", args, text, err)
	}
	return e
}

func TestExplain_DecidesAsTheFenceDoes(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", explainSecret)
	lookup := explainWorld(t)
	audit := file(t, "audit.conf", ":8081 {\ndagfence {\nlookup "+lookup+"\nrules {\nvariables audit\n}\n}\n}\n")
	for _, c := range []struct {
		request            string
		outcome, reason    string
		status             int // 0 where it is forwarded
		decided, otherwise string
		flags              []string
	}{
		{"GET /execution/variables/var_a", "allow", "own", 0, "", "", nil},
		{"GET /execution/variables/var_b", "deny", "other_team", 403, "rules variables enforce (default)", "rules variables audit", nil},
		{"PUT /execution/variables/var_g", "allow", "global", 0, "rules global_writes allow (default)", "rules global_writes deny", nil},
		{"GET /execution/variables/none", "allow", "not_stored", 0, "", "", nil},
		{"POST /execution/xcoms/dag_a/run_1/t2/k", "deny", "not_own_task", 403, "rules xcom_writes task_instance (default)", "rules xcom_writes dag", nil},
		{"GET /execution/dag-runs/shared_b/r/state", "allow", "granted", 0, "", "", nil},
		{"POST /execution/dag-runs/shared_b/r", "deny", "other_team", 403, "multi_team on (AIRFLOW__CORE__MULTI_TEAM)", "a grant in the ownership file", nil},
		{"GET /execution/dags/nowhere", "not_found", "unknown_dag", 404, "rules dags enforce (default)", "rules dags off", nil},
		{"GET /execution/docs", "deny", "documentation", 403, "rules documentation deny (default)", "rules documentation allow", nil},
		{"GET /execution/nowhere", "deny", "unlisted_route", 404, "rules unknown_routes deny (default)", "rules unknown_routes unsafe_allow", nil},
		{"PATCH /execution/variables/x", "deny", "method_not_allowed", 405, "", "rules unknown_routes unsafe_allow", nil},
		{"GET /execution/health", "allow", "public", 0, "", "", nil},
		{"PUT /execution/task-instances/" + explainTask + "/heartbeat", "allow", "self", 0, "", "", nil},
		{"GET /execution//variables/x", "deny", "bad_path", 400, "", "", nil},
		{"GET /variables/x", "allow", "outside", 0, "", "", nil},
		{"GET /execution/variables/x", "deny", "bad_api_version", 400, "", "", []string{"--api-version", "tomorrow"}},
		{"GET /execution/variables/var_b", "deny", "other_team", 0, "rules variables audit (configured)", "", []string{"--config", audit}},
	} {
		t.Setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
		method, target, _ := strings.Cut(c.request, " ")
		args := append([]string{method, target, "--task-instance", explainTask}, c.flags...)
		if !slices.Contains(args, "--config") {
			args = append(args, "--lookup", lookup)
		}
		e := explained(t, args...)
		if e.Outcome != c.outcome || e.Reason != c.reason || e.Status != c.status || e.Forwarded != (c.status == 0) {
			t.Errorf("%s: %s (%s), status %d, forwarded %v; want %s (%s), %d", c.request, e.Outcome, e.Reason, e.Status, e.Forwarded, c.outcome, c.reason, c.status)
		}
		if c.decided != "" && !slices.Contains(e.DecidedBy, c.decided) || c.decided == "" && c.status == 0 && len(e.DecidedBy) > 0 {
			t.Errorf("%s: decided by %q, want %q", c.request, e.DecidedBy, c.decided)
		}
		if c.otherwise != "" && !slices.Contains(e.Alternatives, c.otherwise) {
			t.Errorf("%s: otherwise with %q, want %q", c.request, e.Alternatives, c.otherwise)
		}
	}
}

// What is explained may be settings that are only tried: fences must not decide by
// their answers.
func TestExplain_LeavesTheFencesRedisAlone(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", explainSecret)
	server := services.Redis(t)
	owners := file(t, "owners.yaml", "dags: {dag_a: team_a}\nvariables: {var_a: team_a}\n")
	fence := file(t, "fence.conf", ":8081 {\ndagfence {\nownership_file "+owners+"\nredis "+server.URL()+"\n}\n}\n")
	token := file(t, "token", sidecar.Token(t, explainSecret, explainTask, func(c jwt.MapClaims) { c["dag_id"] = "dag_a" }))
	if e := explained(t, "GET", "/execution/variables/var_a", "--token-file", token, "--config", fence); e.Reason != "own" {
		t.Errorf("%+v, want it to be the task's own", e)
	}
	keys, err := server.Client(t).Keys(t.Context(), "*").Result()
	if err != nil || len(keys) > 0 {
		t.Errorf("Redis has %q (%v), want nothing", keys, err)
	}
}

func TestExplain_SaysWhatIsWrongWithAToken(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", explainSecret)
	lookup := explainWorld(t)
	for name, c := range map[string]struct {
		token  string
		status int
		says   string
	}{
		"valid":            {sidecar.Token(t, explainSecret, explainTask, nil), 0, "valid: task instance " + explainTask + ", scope execution"},
		"with claims":      {sidecar.Token(t, explainSecret, explainTask, func(c jwt.MapClaims) { c["dag_id"] = "dag_a" }), 0, `dag_id "dag_a"`},
		"another secret":   {sidecar.Token(t, "another", explainTask, nil), 403, "refused: token signature does not match"},
		"another audience": {sidecar.Token(t, explainSecret, explainTask, func(c jwt.MapClaims) { c["aud"] = "x" }), 403, "refused: token is for another audience"},
		"expired":          {sidecar.Token(t, explainSecret, explainTask, func(c jwt.MapClaims) { c["exp"] = 1 }), 403, "refused: token has expired"},
		"none":             {"", 401, "refused: no bearer token"},
	} {
		args := []string{"GET", "/execution/variables/var_a", "--lookup", lookup}
		if c.token != "" {
			args = append(args, "--token-file", file(t, "token", c.token+"\n"))
		}
		e := explained(t, args...)
		step := e.Steps[slices.IndexFunc(e.Steps, func(s caddymodule.ExplanationStep) bool { return s.Step == "token" })]
		if !strings.Contains(step.Text, c.says) || e.Status != c.status {
			t.Errorf("%s: %q, status %d; want %q, %d", name, step.Text, e.Status, c.says, c.status)
		}
		if text, _ := json.Marshal(e); strings.Contains(string(text), explainSecret) || c.token != "" && strings.Contains(string(text), c.token) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestExplain_TracesAnOwnerToItsBundle(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", explainSecret)
	owners := file(t, "owners.yaml", "dags: {dag_a: team_a, dag_b: team_b}\n")
	token := file(t, "token", sidecar.Token(t, explainSecret, explainTask, func(c jwt.MapClaims) { c["dag_id"] = "dag_a" }))
	text, err := printed(t, "explain", "GET", "/execution/dags/dag_b", "--ownership-file", owners, "--token-file", token)
	for _, want := range []string{
		`owner           ownership file: dag "dag_a" belongs to team "team_a"`, `ownership file: dag "dag_b" belongs to team "team_b"`,
		`rule            deny: another team owns it; the task's team is "team_a"`,
		`result          deny: 403 Task does not have access to dag "dag_b" (other_team)`,
		`otherwise with  a grant in the ownership file; rules dags audit; rules dags off; multi_team off; mode audit`,
	} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("it prints\n%s(%v), want it to have\n%s", text, err, want)
		}
	}
}

func TestExplain_NamesTheInvalidArgument(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", explainSecret)
	lookup := explainWorld(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"GET"}, 2, "takes a method and a target"},
		{[]string{"GET", "/execution/dags/a", "--task-instance", "x"}, 1, "invalid task instance id: must be a UUID"},
		{[]string{"GET", "/execution/dags/a b", "--task-instance", explainTask}, 1, "400"},
		{[]string{"GET", "/execution/variables/100%"}, 1, `invalid URL escape "%"`},
		{[]string{"GET", "/x", "--task-instance", explainTask, "--token-file", "x"}, 2, "mutually exclusive"},
		{[]string{"GET", "/x", "--token-file", filepath.Join(t.TempDir(), "none")}, 1, "--token-file"},
		{[]string{"GET", "/x", "--config", "x"}, 2, "--lookup and --config are mutually exclusive"},
	} {
		_, err := printed(t, append([]string{"explain", "--lookup", lookup}, c.args...)...)
		if err == nil || main.ExitCode(err) != c.code || !strings.Contains(main.Sentence(err), c.says) {
			t.Errorf("explain %q: %v, want code %d and %q", c.args, err, c.code, c.says)
		}
	}
}

func TestInvalidate_ReachesFencesOnTheRedis(t *testing.T) {
	server := services.Redis(t)
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", busSecret)
	heard := listen(t, server)
	config := file(t, "fence.conf", ":8081 {\ndagfence {\nownership_file /none\nredis "+server.URL()+"\n}\n}\n")
	for _, flags := range [][]string{{"--redis", server.URL()}, {"--config", config}} {
		for kind, keys := range map[string][]string{
			"variable": {"variable x"}, "connection": {"connection x"}, "dag": {"dag x"}, "task": {"task x"},
			"asset": {"asset x", "asset_name x", "asset_uri x"},
		} {
			text, err := printed(t, append([]string{"invalidate", kind, "x"}, flags...)...)
			if err != nil || text != "invalidated "+kind+" \"x\"\n" {
				t.Fatalf("invalidate %s: %q, %v", kind, text, err)
			}
			for _, want := range keys {
				if got := heard(); got != want {
					t.Errorf("invalidate %s %q: the fences hear %q, want %q", kind, flags, got, want)
				}
			}
		}
	}
}

func TestInvalidate_NamesTheInvalidArgument(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", busSecret)
	without := file(t, "fence.conf", ":8081 {\ndagfence {\nownership_file /none\n}\n}\n")
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"variable"}, 2, "takes a kind and a name"},
		{[]string{"pool", "x"}, 2, `invalid kind "pool": must be task, dag, variable, connection or asset`},
		{[]string{"variable", "x"}, 1, "no Redis is configured, so no fence can be reached: each asks again after cache ttl"},
		{[]string{"variable", "x", "--config", without}, 1, "no Redis is configured"},
		{[]string{"variable", "x", "--config", without, "--redis", "redis://x"}, 2, "mutually exclusive"},
		{[]string{"variable", "x", "--redis", "redis://127.0.0.1:1"}, 1, "invalidating in redis"},
		{[]string{"variable", "x", "--redis", "memcached://hidden@x"}, 1, "redis: "},
	} {
		_, err := printed(t, append([]string{"invalidate"}, c.args...)...)
		if err == nil || main.ExitCode(err) != c.code || !strings.Contains(main.Sentence(err), c.says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("invalidate %q: %v, want code %d and %q", c.args, err, c.code, c.says)
		}
	}
}
