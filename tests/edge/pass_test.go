package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAllowedRequest_ArrivesUnchanged(t *testing.T) {
	e := start(t, "")
	for _, target := range []string{
		"/variables/a%2Fb", "/variables/a/b", "/variables//b", "/variables/%D0%BA%D0%BB%D1%8E%D1%87", "/variables/100%25",
		"/variables/pct%252Fkey", "/variables/sp%20ace", "/variables/a+b;c=d", "/variables/x?unknown=1&unknown=2",
		"/dag-runs/count?dag_id=dag_a&run_ids=a%3Ab&run_ids=c+d", "/xcoms/dag_a/manual__1%2B00:00/t1/k;x?map_index=-1",
	} {
		e.allowed(t, taskA, "GET "+target)
	}
	token := sign(t, taskA, nil)
	e.send(t, "PUT /variables/var_a", "Authorization: bearer "+token, "Airflow-API-Version: 2026-06-30", "correlation-id: 7",
		"Traceparent: 00-1-2-3", "X-Forwarded-Uri: /execution/variables/var_b", "X-Custom: a", "X-Custom: b")
	arrived := e.upstream.Take()
	if len(arrived) != 1 {
		t.Fatalf("%d requests arrived", len(arrived))
	}
	for name, want := range map[string]string{
		"Authorization": "bearer " + token, "Airflow-Api-Version": "2026-06-30", "Correlation-Id": "7",
		"Traceparent": "00-1-2-3", "X-Custom": "a,b",
	} {
		if got := strings.Join(arrived[0].Header.Values(name), ","); got != want {
			t.Errorf("%s arrived as %q, want %q", name, got, want)
		}
	}
	if arrived[0].Body != `{"value":"v"}` {
		t.Errorf("body %q", arrived[0].Body)
	}
}

func TestAllowedResponse_IsUpstreams(t *testing.T) {
	e := start(t, "")
	e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Refreshed-API-Token", "new.token.here")
		w.Header().Set("correlation-id", "7")
		w.Header().Set("Content-Range", "map_indexes 3")
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header()["X-Twice"] = []string{"a", "b"}
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, "whatever")
	})
	answered := e.do(t, taskA, "GET /variables/var_a")
	if answered.StatusCode != http.StatusConflict || answered.body != "whatever" {
		t.Errorf("%d %q", answered.StatusCode, answered.body)
	}
	for name, want := range map[string]string{
		"Refreshed-API-Token": "new.token.here", "correlation-id": "7", "Content-Range": "map_indexes 3",
		"Content-Type": "application/json; charset=utf-8", "X-Twice": "a,b",
	} {
		if got := strings.Join(answered.Header.Values(name), ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestResponse_IsStreamed(t *testing.T) {
	e := start(t, "")
	goOn := make(chan struct{})
	e.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, "second\n")
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.addr+"/execution/variables/var_a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sign(t, taskA, nil))
	answered, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	lines := bufio.NewReader(answered.Body)
	if line, err := lines.ReadString('\n'); line != "first\n" {
		t.Errorf("before upstream is done: %q, %v", line, err)
	}
	close(goOn)
	if line, err := lines.ReadString('\n'); line != "second\n" {
		t.Errorf("after: %q, %v", line, err)
	}
}

func TestDeniedBody_IsNeitherAwaitedNorRequested(t *testing.T) {
	e := start(t, "")
	for _, framing := range []string{
		"Content-Length: 100000000", "Content-Length: 5", "Transfer-Encoding: chunked",
		"Content-Length: 100000000\r\nExpect: 100-continue", "Transfer-Encoding: chunked\r\nExpect: 100-continue",
	} {
		// The body never comes: a fence that waits for it would not answer.
		conn := e.dial(t)
		_, _ = fmt.Fprintf(conn, "PUT /execution/variables/var_b HTTP/1.1\r\nHost: %s\r\n%s\r\nAuthorization: Bearer %s\r\n\r\n",
			e.addr, framing, sign(t, taskA, nil))
		answered, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v, want an answer at once", framing, err)
			continue
		}
		body, _ := io.ReadAll(answered.Body)
		answered.Body.Close()
		if answered.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "access_denied") {
			t.Errorf("%s: %d %s, want 403", framing, answered.StatusCode, body)
		}
		if arrived := e.upstream.Take(); len(arrived) != 0 {
			t.Errorf("%s: %d requests arrived", framing, len(arrived))
		}
	}
}

func TestMount_RequestsOutsideAreUnchanged(t *testing.T) {
	e := start(t, "")
	bearer := " HTTP/1.1\r\nHost: " + e.addr + "\r\nConnection: close\r\n\r\n"
	for _, target := range []string{"/", "/ui/../api", "/executions/x", "/api/v2/dags/execution/dagRuns?x=1&x=2", "/Execution/x", "/a%0Ab", "/api//v2"} {
		status, rest := e.raw(t, "GET "+target+bearer)
		arrived := e.upstream.Take()
		if status != "200" || len(arrived) != 1 || arrived[0].Target != target {
			t.Errorf("%s: %s %s, arrived %v", target, status, rest, arrived)
		}
	}
}

// A guard with a matcher beside an unguarded fallback is the classic bypass:
// Caddy's matchers see a cleaned path, reverse_proxy sends the raw one.
func TestHandleBlock_IsNoBypass(t *testing.T) {
	for name, block := range map[string]string{
		"handle":      "handle /execution/* {\n reverse_proxy UPSTREAM\n}\nhandle {\n reverse_proxy UPSTREAM\n}\n%s",
		"route":       "route /execution/* {\n reverse_proxy UPSTREAM\n}\n%s\nreverse_proxy UPSTREAM",
		"handle_path": "handle_path /other/* {\n reverse_proxy UPSTREAM\n}\n%s\nreverse_proxy UPSTREAM",
	} {
		t.Run(name, func(t *testing.T) {
			e := startSite(t, block, "")
			bearer := " HTTP/1.1\r\nHost: " + e.addr + "\r\nConnection: close\r\nAuthorization: Bearer " + sign(t, taskA, nil) + "\r\n\r\n"
			for target, want := range map[string]string{
				"/execution/variables/var_b": "403", "/execution%2Fvariables%2Fvar_b": "403", "/execution/x/../variables/var_b": "400",
				"//execution/variables/var_b": "400", "/%65xecution/variables/var_b": "403", "/execution/variables/var_a": "200",
			} {
				status, rest := e.raw(t, "GET "+target+bearer)
				arrived := e.upstream.Take()
				if status != want || (want != "200" && len(arrived) != 0) {
					t.Errorf("%s: %s %s, arrived %v; want %s", target, status, rest, arrived, want)
				}
			}
		})
	}
}

func TestPlaceholders_HaveTheDecision(t *testing.T) {
	e := startSite(t, "header >X-Decision \"{http.dagfence.decision} {http.dagfence.reason} {http.dagfence.kind} {http.dagfence.task_team} {http.dagfence.dag_id} {http.dagfence.task_id}\"\n%s\nreverse_proxy UPSTREAM", "")
	for request, want := range map[string]string{
		"GET /variables/var_a":            "allow own variable team_a  " + taskA,
		"GET /variables/var_b":            "deny other_team variable team_a  " + taskA,
		"GET /dags/dag_b":                 "deny other_team dag team_a dag_b " + taskA,
		"GET /health":                     "allow public public   ",
		"GET /dag-runs/count?dag_id=%zz":  "deny bad_query dag   ",
		"PUT /task-instances/x/heartbeat": "deny other_task_instance self   " + taskA,
		"GET /nothing":                    "deny unlisted_route none   ",
	} {
		if got := e.do(t, taskA, request).Header.Get("X-Decision"); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, want %q", request, got, want)
		}
	}
}
