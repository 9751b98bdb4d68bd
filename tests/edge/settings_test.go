package edge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/resolver"
)

func TestDag_OfAnotherTeamIsNotReadOrTriggered(t *testing.T) {
	e := start(t, "")
	for _, request := range []string{
		"POST /dag-runs/%/r", "POST /dag-runs/%/r/clear", "GET /dag-runs/%/r", "GET /dag-runs/%/r/state", "GET /dags/%",
		"GET /dag-runs/count?dag_id=%", "GET /dag-runs/previous?dag_id=%", "GET /task-instances/count?dag_id=%",
		"GET /task-instances/states?dag_id=%", "GET /task-instances/previous/%/t1", "GET /task-instances/breadcrumbs?dag_id=%&run_id=r",
	} {
		at := func(dag string) string { return strings.ReplaceAll(request, "%", dag) }
		e.allowed(t, taskA, at("dag_a2"))
		e.allowed(t, taskA, at("dag_g"))
		e.denied(t, taskA, at("dag_b"))
		e.denied(t, teamless, at("dag_a"))
	}
}

func TestDag_MissingIsNotFoundButCounted(t *testing.T) {
	e := start(t, "")
	e.refused(t, taskA, "GET /dag-runs/nowhere/r/state", http.StatusNotFound, "not_found")
	e.refused(t, taskA, "POST /dag-runs/nowhere/r", http.StatusNotFound, "not_found")
	e.refused(t, taskA, "GET /xcoms/nowhere/r/t/k", http.StatusNotFound, "not_found")
	e.allowed(t, taskA, "GET /dag-runs/count?dag_id=nowhere")
	e.allowed(t, taskA, "GET /task-instances/states?dag_id=nowhere")
}

func TestVariable_WithoutARowIsAnsweredByUpstream(t *testing.T) {
	e := start(t, "")
	e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"detail":"nope"}`, http.StatusNotFound) })
	if answered := e.do(t, taskA, "GET /variables/in_a_vault"); answered.StatusCode != http.StatusNotFound || len(e.upstream.Take()) != 1 {
		t.Errorf("%d %s, want upstream's own 404", answered.StatusCode, answered.body)
	}
	e.denied(t, taskA, "GET /variables/_TEAM_B___SECRET")
	e.denied(t, taskA, "GET /connections/_TEAM_B___DB")
}

func TestSelfEndpoints_AreForTheTaskItself(t *testing.T) {
	e := start(t, "")
	e.allowed(t, taskA, "PUT /task-instances/"+taskA+"/heartbeat")
	e.allowed(t, unknown, "PUT /task-instances/"+unknown+"/heartbeat")
	e.denied(t, taskA, "PUT /task-instances/"+taskB+"/heartbeat")
	e.denied(t, taskA, "PATCH /task-instances/"+taskB+"/state")
	if asked := e.world.Calls(); asked != 0 {
		t.Errorf("%d lookups, want none", asked)
	}
}

func TestWorkloadToken_OnlyStartsItsTask(t *testing.T) {
	e := start(t, "")
	bearer := "Authorization: Bearer " + sign(t, taskA, func(c jwt.MapClaims) { c["scope"] = "workload" })
	if answered := e.send(t, "PATCH /task-instances/"+taskA+"/run", bearer); answered.StatusCode != http.StatusOK || len(e.upstream.Take()) != 1 {
		t.Errorf("starting the own task: %d %s", answered.StatusCode, answered.body)
	}
	for _, request := range []string{"GET /variables/var_g", "PUT /task-instances/" + taskA + "/heartbeat", "PATCH /task-instances/" + taskB + "/run"} {
		e.isRefusal(t, request, e.send(t, request, bearer), http.StatusForbidden, "access_denied")
	}
}

func TestUnknownTask_ReachesOnlyItsOwnAndPublicEndpoints(t *testing.T) {
	e := start(t, "")
	e.denied(t, unknown, "GET /variables/var_g")
	e.denied(t, unknown, "POST /xcoms/dag_a/"+run+"/t1/k")
	e.denied(t, unknown, "GET /dag-runs/count?dag_id=dag_g")
	e.allowed(t, unknown, "GET /health")
}

func TestPublicEndpoints_NeedNoToken(t *testing.T) {
	e := start(t, "")
	for _, request := range []string{"GET /health", "GET /health/ping"} {
		if answered := e.send(t, request); answered.StatusCode != http.StatusOK || len(e.upstream.Take()) != 1 {
			t.Errorf("%s: %d %s", request, answered.StatusCode, answered.body)
		}
	}
}

func TestSetting_Documentation(t *testing.T) {
	requests := []string{
		"GET /docs", "HEAD /docs", "GET /docs/oauth2-redirect", "GET /redoc", "HEAD /redoc", "GET /changelog",
		"GET /openapi.json", "GET /openapi.json?version=2026-06-30", "HEAD /openapi.json",
	}
	for options, want := range map[string]int{
		"": http.StatusForbidden, "rules {\n documentation deny\n}": http.StatusForbidden,
		"rules {\n documentation allow\n}": http.StatusOK, "mode audit": http.StatusOK,
	} {
		e := start(t, options)
		for _, request := range requests {
			for _, headers := range [][]string{nil, {"Authorization: Bearer " + sign(t, taskA, nil)}} {
				answered := e.send(t, request, headers...)
				if answered.StatusCode != want || (len(e.upstream.Take()) == 1) != (want == http.StatusOK) {
					t.Errorf("%q: %s: %d %s, want %d", options, request, answered.StatusCode, answered.body, want)
				}
			}
		}
	}
}

func TestSetting_XComWrites(t *testing.T) {
	const own, mapped, otherTask, otherDag = "/t1/k", "/t1/k?map_index=3", "/t2/k", "/xcoms/dag_a2/"
	at := func(rest string) string { return "POST /xcoms/dag_a/" + run + rest }
	for setting, allowed := range map[string][4]bool{
		"task_instance": {true, false, false, false},
		"task":          {true, true, false, false},
		"dag":           {true, true, true, false},
		"off":           {true, true, true, true},
	} {
		t.Run(setting, func(t *testing.T) {
			e := start(t, "rules {\n xcom_writes "+setting+"\n}")
			for i, request := range []string{at(own), at(mapped), at(otherTask), "POST " + otherDag + run + "/t1/k"} {
				if allowed[i] {
					e.allowed(t, taskA, request)
				} else {
					e.denied(t, taskA, request)
				}
			}
			e.denied(t, taskA, "POST /xcoms/dag_b/"+run+"/t1/k")
		})
	}
}

func TestSetting_GlobalWritesDeny(t *testing.T) {
	e := start(t, "rules {\n global_writes deny\n}")
	e.denied(t, taskA, "PUT /variables/var_g")
	e.denied(t, taskA, "POST /dag-runs/dag_g/r")
	e.allowed(t, taskA, "GET /variables/var_g")
	e.allowed(t, teamless, "PUT /variables/var_g")
}

func TestSetting_TeamlessTasksAllow(t *testing.T) {
	e := start(t, "")
	e.denied(t, teamless, "GET /variables/var_a")
	e.denied(t, teamless, "GET /variables/keys")
	e = start(t, "rules {\n teamless_tasks allow\n}")
	e.allowed(t, teamless, "GET /variables/var_a")
	e.allowed(t, teamless, "GET /variables/keys")
	e.denied(t, taskA, "GET /variables/var_b")
}

func TestSetting_RuleGroupsOffAndAudit(t *testing.T) {
	for group, request := range map[string]string{
		"variables":   "PUT /variables/var_b",
		"connections": "GET /connections/conn_b",
		"xcoms":       "POST /xcoms/dag_b/" + run + "/t1/k",
		"dags":        "POST /dag-runs/dag_b/r",
		"assets":      "GET /assets/by-name?name=asset_b",
	} {
		start(t, "").denied(t, taskA, request)
		for _, mode := range []string{"audit", "off"} {
			e := start(t, "rules {\n "+group+" "+mode+"\n}")
			e.allowed(t, taskA, request)
			if group != "dags" {
				e.denied(t, taskA, "GET /dags/dag_b")
			}
		}
	}
}

func TestAssets_AreGlobalUntilOwned(t *testing.T) {
	e := start(t, "")
	e.allowed(t, taskA, "GET /assets/by-name?name=free")
	e.allowed(t, taskA, "PUT /store/asset/by-name/value?name=free&key=k")
	e.denied(t, taskA, "PUT /store/asset/by-name/value?name=asset_b&key=k")
	e.denied(t, taskA, "GET /asset-events/by-asset?name=asset_a&uri=asset_b")
}

func TestAudit_ForwardsEveryUnambiguousRequest(t *testing.T) {
	e := start(t, "mode audit")
	e.allowed(t, taskA, "GET /variables/var_b")
	e.allowed(t, taskA, "GET /dags/nowhere")
	e.allowed(t, taskA, "GET /no/such/endpoint")
	e.allowed(t, taskA, "POST /variables/var_a")
	e.allowed(t, taskA, "PUT /task-instances/"+taskB+"/heartbeat")
	e.world.Refuse(resolver.KindVariable, "var_down", resolver.Unavailable)
	e.allowed(t, taskA, "GET /variables/var_down")
	if answered := e.send(t, "GET /variables/var_a", "Authorization: Bearer not.a.token"); answered.StatusCode != http.StatusOK || len(e.upstream.Take()) != 1 {
		t.Errorf("a bad token: %d %s, want it to pass", answered.StatusCode, answered.body)
	}
	e.refused(t, taskA, "GET /dag-runs/count?dag_id=dag_a&dag_id=dag_b", http.StatusBadRequest, "invalid_request")
	e.refused(t, taskA, "GET /variables/x%0A", http.StatusBadRequest, "invalid_request")
}

func TestSetting_UnknownRoutes(t *testing.T) {
	e := start(t, "")
	e.refused(t, taskA, "GET /no/such/endpoint", http.StatusNotFound, "not_found")
	e.refused(t, taskA, "GET /dags/dag_a/", http.StatusNotFound, "not_found")
	answered := e.do(t, taskA, "POST /variables/var_a")
	e.isRefusal(t, "POST /variables/var_a", answered, http.StatusMethodNotAllowed, "method_not_allowed")
	if allow := answered.Header.Get("Allow"); allow != "GET, PUT, DELETE" {
		t.Errorf("Allow: %q", allow)
	}
	e = start(t, "rules {\n unknown_routes unsafe_allow\n}")
	e.allowed(t, taskA, "GET /no/such/endpoint")
	e.allowed(t, taskA, "POST /variables/var_a")
	e.denied(t, taskA, "GET /variables/var_b")
	e.refused(t, taskA, "GET /variables/x%0A", http.StatusBadRequest, "invalid_request")
}

func TestSetting_BasePath(t *testing.T) {
	e := startSite(t, "%s\n reverse_proxy UPSTREAM", "base_path /airflow/execution")
	for path, status := range map[string]int{
		"/airflow/execution/variables/var_b": http.StatusForbidden,
		"/airflow/execution/variables/var_a": http.StatusOK,
		"/airflow/ui":                        http.StatusOK,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+sign(t, taskA, nil))
		answered, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		if answered.StatusCode != status {
			t.Errorf("%s: %d, want %d", path, answered.StatusCode, status)
		}
	}
}

// A base_path that is not upstream's would make all of the Execution API
// "outside", and let it pass.
func TestBasePath_WrongIsNoBypass(t *testing.T) {
	for options, want := range map[string]int{
		"": http.StatusNotFound, "rules {\n unknown_routes unsafe_allow\n}": http.StatusNotFound, "mode audit": http.StatusOK,
	} {
		e := start(t, options)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.addr+"/airflow/execution/variables/var_a", nil)
		if err != nil {
			t.Fatal(err)
		}
		answered, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		if answered.StatusCode != want {
			t.Errorf("with %q: %d, want %d", options, answered.StatusCode, want)
		}
	}
}

func TestSetting_OnUnavailable(t *testing.T) {
	e := start(t, "")
	e.world.Refuse(resolver.KindVariable, "var_x", resolver.Unavailable)
	answered := e.do(t, taskA, "GET /variables/var_x")
	e.isRefusal(t, "retry", answered, http.StatusServiceUnavailable, "owner_unavailable")
	if answered.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	e = start(t, "on_unavailable deny")
	e.world.Refuse(resolver.KindVariable, "var_x", resolver.Unavailable)
	answered = e.do(t, taskA, "GET /variables/var_x")
	e.isRefusal(t, "deny", answered, http.StatusForbidden, "access_denied")
	if want := `The owner of variable \"var_x\" is currently unavailable`; !strings.Contains(answered.body, want) {
		t.Errorf("%s does not say %s", answered.body, want)
	}
}

func TestAPIVersion_OlderMeansAnotherEndpoint(t *testing.T) {
	e := start(t, "")
	old := "Airflow-API-Version: 2025-11-05"
	e.world.Own(resolver.KindVariable, "keys", "team_b")
	e.refused(t, taskA, "GET /variables/keys", http.StatusForbidden, "access_denied", old)
	e.allowed(t, taskB, "GET /variables/keys", old)
	e.denied(t, taskA, "GET /dag-runs/dag_b/previous")
	e.refused(t, taskA, "GET /dags/dag_a", http.StatusNotFound, "not_found", old)
	e.refused(t, taskA, "GET /variables/var_a", http.StatusBadRequest, "invalid_request", "Airflow-API-Version: latest")
}
