package demo_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/demo"
)

// The calls are made in this order, since they write.
func TestStub_AnswersAsAirflow(t *testing.T) {
	t.Parallel()
	origin, token := demo.Stub(t)
	notFound := func(what string) string {
		return `{"detail":{"reason":"not_found","message":"` + what + ` not found"}}`
	}
	const run = "/xcoms/dag_a/run_1/"
	for _, call := range []struct {
		who, method, path, body string
		status                  int
		want                    string // the body
	}{
		{"none", "GET", "/health", "", 200, `{"status":"healthy"}`},
		{"none", "GET", "/health/ping", "", 200, `{"failing":{},"ok":[]}`},
		{"none", "GET", "/variables/var_a", "", 401, `{"detail":"Missing auth token"}`},
		{"expired", "GET", "/variables/var_a", "", 403, `{"detail":"Invalid auth token"}`},
		{"forged", "GET", "/variables/var_a", "", 403, `{"detail":"Invalid auth token"}`},
		{"team_a", "GET", "/nothing", "", 404, `{"detail":"Not Found"}`},
		{"team_a", "GET", "/../other", "", 404, `{"detail":"Not Found"}`},
		{"none", "GET", "/docs", "", 501, `{"detail":"the demo's stub has no such endpoint"}`},
		{"team_a", "PUT", "/variables/huge", strings.Repeat("x", 1<<20+1), 413, ""},

		{"team_a", "GET", "/variables/var_a", "", 200, `{"key":"var_a","value":"of team_a"}`},
		{"team_a", "GET", "/variables/no_such", "", 404, notFound("Variable")},
		{"team_a", "PUT", "/variables/var_b", `{"val":"taken"}`, 201, `{"message":"Variable successfully set"}`},
		{"team_b", "GET", "/variables/var_b", "", 200, `{"key":"var_b","value":"taken"}`},
		{"team_b", "GET", "/variables/keys", "", 200, `{"keys":["b/c","var_b"],"total_entries":2}`},
		{"team_b", "PUT", "/variables/new/b", `{"val":"x"}`, 201, `{"message":"Variable successfully set"}`},
		{"team_b", "GET", "/variables/keys", "", 200, `{"keys":["b/c","new/b","var_b"],"total_entries":3}`},
		{"team_b", "PUT", "/variables/var_b", `{"val":null}`, 422, `{"detail":"the body is not a JSON object with a string val"}`},
		{"team_b", "DELETE", "/variables/new/b", "", 204, ""},
		{"team_b", "DELETE", "/variables/new/b", "", 204, ""},
		{"team_b", "GET", "/variables/new/b", "", 404, notFound("Variable")},
		{"unknown", "GET", "/variables/keys", "", 200, `{"keys":["a/b","a_delete","a_keep","b/c","global_delete","global_put","global_var","keys","var_a","var_b"],"total_entries":10}`},
		{"unknown", "PUT", "/variables/by_unknown", `{"val":"x"}`, 201, `{"message":"Variable successfully set"}`},

		{"team_a", "GET", "/connections/conn_a", "", 200, `{"conn_id":"conn_a","conn_type":"http","extra":null,` +
			`"host":"a.example.com","login":null,"password":null,"port":null,"schema":null}`},
		{"team_a", "GET", "/connections/no_such", "", 404, notFound("Connection")},

		{"team_a", "GET", run + "t1/return_value", "", 200, `{"key":"return_value","value":"of t1"}`},
		{"team_a", "GET", run + "mapped/return_value?map_index=2", "", 200, `{"key":"return_value","value":2}`},
		{"team_a", "GET", run + "mapped/return_value", "", 404, notFound("XCom")},
		{"team_a", "POST", run + "t1/k/slash", `{"a":[1]}`, 201, `{"message":"XCom successfully set"}`},
		{"team_a", "POST", run + "t1/k/slash", `{"a":[2]}`, 201, `{"message":"XCom successfully set"}`},
		{"team_a", "GET", run + "t1/k/slash", "", 200, `{"key":"k/slash","value":{"a":[2]}}`},
		{"team_a", "POST", run + "t1/k/slash", `{`, 422, `{"detail":"the body is not JSON"}`},
		{"team_a", "DELETE", run + "t1/k/slash", "", 200, `{"message":"XCom with key: k/slash successfully deleted."}`},
		{"team_a", "GET", run + "t1/k/slash", "", 404, notFound("XCom")},

		{"team_a", "GET", "/dags/dag_a", "", 200, `{"bundle_name":"bundle_a","bundle_version":null,"dag_id":"dag_a","is_paused":false,` +
			`"next_dagrun":null,"owners":"airflow","relative_fileloc":"dag_a.py","tags":[]}`},
		{"team_a", "GET", "/dags/no_dag", "", 404, notFound("Dag or Dag run")},
		{"team_a", "GET", "/dag-runs/count?dag_id=dag_a", "", 200, `1`},
		{"team_a", "POST", "/dag-runs/dag_a/new", `{}`, 204, ""},
		{"team_a", "POST", "/dag-runs/dag_a/new", `{}`, 409, `{"detail":{"reason":"already_exists","message":"A run already exists for Dag 'dag_a' with run_id 'new'"}}`},
		{"team_a", "GET", "/dag-runs/count?dag_id=dag_a", "", 200, `2`},
		{"team_a", "GET", "/dag-runs/dag_a/run_1/state", "", 200, `{"state":"running"}`},
		{"team_a", "POST", "/dag-runs/dag_a/run_1/clear", "", 204, ""},
		{"team_a", "GET", "/dag-runs/dag_a/run_1/state", "", 200, `{"state":"queued"}`},
		{"team_a", "POST", "/dag-runs/dag_a/no_run/clear", "", 404, notFound("Dag or Dag run")},
		{"team_a", "GET", "/dag-runs/dag_a/no_run/state", "", 404, notFound("Dag or Dag run")},
		{"team_a", "GET", "/task-instances/count?dag_id=dag_a", "", 200, `3`},

		{"team_a", "PUT", "/task-instances/01990000-0000-7000-8000-0000000000a1/heartbeat", `{}`, 204, ""},
		{"team_a", "PUT", "/task-instances/01990000-0000-7000-8000-0000000000a3/heartbeat", `{}`, 410, `{"detail":{"reason":"not_found",` +
			`"message":"Task Instance not found, it may have been moved to the Task Instance History table"}}`},
		{"team_a", "PUT", "/task-instances/01990000-0000-7000-8000-0000000000ff/heartbeat", `{}`, 404, notFound("Task Instance")},
		{"team_a", "PATCH", "/task-instances/01990000-0000-7000-8000-0000000000a1/state", `{}`, 204, ""},
		{"team_a", "GET", "/assets/by-name?name=orders", "", 200, `{"extra":null,"group":"asset","name":"orders","uri":"s3://bucket/orders"}`},
		{"team_a", "GET", "/assets/by-name?name=no_such", "", 404, notFound("Asset")},
	} {
		status, body, header := send(t, call.method, origin+"/execution"+call.path, token(call.who), call.body)
		if status != call.status || body != call.want {
			t.Errorf("%s %s: %d %s\nwant %d %s", call.method, call.path, status, body, call.status, call.want)
		}
		if got := header.Get("Content-Type"); call.want != "" && got != "application/json" {
			t.Errorf("%s %s: Content-Type %q", call.method, call.path, got)
		}
	}
	_, _, header := send(t, "HEAD", origin+"/execution"+run+"mapped/return_value", token("team_a"), "")
	if got := header.Get("Content-Range"); got != "map_indexes 3" {
		t.Errorf("Content-Range %q", got)
	}
}

func send(t *testing.T, method, url, token, body string) (status int, answer string, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(content)), response.Header
}
