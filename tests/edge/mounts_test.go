package edge_test

import "testing"

// Where upstream serves the API below another mount, or a handler behind the fence
// strips what stands before it, base_path does not name what upstream routes. A
// path that Starlette could route there is no way past the rules.
func TestMount_OtherExecutionAPIIsNoBypass(t *testing.T) {
	const stripping = "%s\n handle_path /ui* {\n  reverse_proxy UPSTREAM\n }\n handle {\n  reverse_proxy UPSTREAM\n }"
	refused := map[string]string{ // and in audit mode
		"PUT /airflow/execution/variables/var_b":                 "404 200",
		"PUT /airflow/execution//variables/var_b%0A":             "400 400",
		"PUT /airflow/execution%2F%2Fvariables/var_b%0a":         "400 400",
		"PUT /airflow//execution//variables/var_b%0A":            "400 400",
		"PUT /airflow/execution/./variables/var_b":               "400 400",
		"POST /ui/execution%2f%2fdag-runs/dag_b/r/clear%0A":      "400 400",
		"POST /ui%2fexecution%2fdag-runs%2fdag_b/r/clear":        "404 200",
		"POST /ui/x%2f..%2fexecution/y/%2e%2e/dag-runs/dag_b/r":  "400 400",
		"PUT /uiexecution/variables/var_b":                       "404 200",
		"PUT /a/b/c/execution/variables/var_b%0A":                "404 200",
		"GET /x/execution/variables/keys%0A":                     "404 200",
		"GET /airflow/execution///connections/conn_b%0A%0A":      "400 400",
		"GET /api/v2/execution%2Fxcoms/dag_b/r/t/k/slice%0A":     "404 200",
		"GET /airflow/execution/../execution/connections/conn_b": "404 200",
	}
	for i, options := range []string{"", "mode audit"} {
		e := startSite(t, stripping, options)
		send := func(request, want string) {
			t.Helper()
			status, rest := e.raw(t, request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+sign(t, taskA, nil)+"\r\n\r\n")
			if arrived := e.upstream.Take(); status != want || len(arrived) > 0 != (want == "200") {
				t.Errorf("%q: %s: %s %s, want %s; %v arrived", options, request, status, rest, want, arrived)
			}
		}
		for request, want := range refused {
			send(request, want[4*i:4*i+3])
		}
		for _, request := range []string{
			"GET /ui/dags/execution/dagRuns/execution/stats", "GET /api/v2/dags/execution/dagRuns", "PATCH /api/v2/variables/team/execution/key",
			"GET /static/execution/icon.svg", "GET /dags/execution/runs/execution", "GET /airflow/execution//health%0A",
		} {
			send(request, "200")
		}
	}
}
