package edge_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/resolver"
)

func TestToken_IsAnsweredAsByAirflow(t *testing.T) {
	e := start(t, "")
	past := time.Now().Add(-time.Hour).Unix()
	for name, c := range map[string]struct {
		header string
		status int
		reason string
	}{
		"none":           {"X: y", http.StatusUnauthorized, "missing_token"},
		"another scheme": {"Authorization: Basic dTpw", http.StatusUnauthorized, "missing_token"},
		"garbage":        {"Authorization: Bearer a.b.c", http.StatusForbidden, "invalid_token"},
		"expired":        {"Authorization: Bearer " + sign(t, taskA, func(c jwt.MapClaims) { c["exp"] = past }), http.StatusForbidden, "invalid_token"},
		"wrong audience": {"Authorization: Bearer " + sign(t, taskA, func(c jwt.MapClaims) { c["aud"] = "apache-airflow" }), http.StatusForbidden, "invalid_token"},
		"no subject":     {"Authorization: Bearer " + sign(t, taskA, func(c jwt.MapClaims) { delete(c, "sub") }), http.StatusForbidden, "invalid_token"},
		"too large":      {"Authorization: Bearer " + strings.Repeat(".", 9000), http.StatusRequestHeaderFieldsTooLarge, "invalid_token"},
	} {
		answered := e.send(t, "GET /variables/var_a", c.header)
		e.isRefusal(t, name, answered, c.status, c.reason)
		if challenge := answered.Header.Get("WWW-Authenticate"); (challenge != "") != (c.status == http.StatusUnauthorized) {
			t.Errorf("%s: WWW-Authenticate %q", name, challenge)
		}
	}
	e.allowed(t, strings.ToUpper(taskA), "PUT /task-instances/"+taskA+"/heartbeat")
}

func TestRequest_AmbiguousIsRefused(t *testing.T) {
	e := start(t, "")
	for _, request := range []string{
		"GET /variables/var_a%0A", "GET /variables/%00", "GET /variables/%FF", "GET //variables/var_a", "GET /variables/x/../var_a",
		"GET /variables/%2e%2e/x", "GET /dag-runs/count?dag_id=dag_a&dag%5Fid=dag_b", "GET /dag-runs/count?dag_id=%zz",
		"GET /xcoms/dag_a/r/t/k?map_index=3_0", "GET /dag-runs/count", "GET /variables/",
	} {
		e.refused(t, taskA, request, http.StatusBadRequest, "invalid_request")
	}
	e.refused(t, taskA, "GET /variables/"+strings.Repeat("x", 9000), http.StatusRequestURITooLong, "invalid_request")
	for _, header := range []string{"Connection: close, Authorization", "Connection: airflow-api-version", "Authorization: Bearer x"} {
		e.refused(t, taskA, "GET /variables/var_a", http.StatusBadRequest, "invalid_request", header)
	}
	version := "Airflow-API-Version: 2026-06-30"
	e.refused(t, taskA, "GET /variables/var_a", http.StatusBadRequest, "invalid_request", version, version)
}

func TestTarget_ThatIsNoPathIsRefusedEverywhere(t *testing.T) {
	e := start(t, "")
	bearer := " HTTP/1.1\r\nHost: " + e.addr + "\r\nConnection: close\r\nAuthorization: Bearer " + sign(t, taskA, nil) + "\r\n\r\n"
	for _, target := range []string{
		"GET http://evil.example/execution/variables/var_b", "GET /execution/variables/var_a#/../var_b", "GET /ui#x",
		"CONNECT evil.example:80", "GET //execution/variables/var_b", "GET /ui/../execution/variables/var_b",
	} {
		if status, rest := e.raw(t, target+bearer); status != "400" {
			t.Errorf("%s: %s %s, want 400", target, status, rest)
		}
		if arrived := e.upstream.Take(); len(arrived) != 0 {
			t.Errorf("%s arrived as %s", target, arrived[0].Target)
		}
	}
	// Go's server answers this one itself.
	if status, _ := e.raw(t, "OPTIONS *"+bearer); status != "200" || len(e.upstream.Take()) != 0 {
		t.Errorf("OPTIONS *: %s, want 200, and nothing at upstream", status)
	}
	for _, target := range []string{"GET /execution%2Fvariables%2Fvar_b", "GET /execution/v%61riables/v%61r_b", "GET /%65xecution/variables/var_b"} {
		if status, rest := e.raw(t, target+bearer); status != "403" {
			t.Errorf("%s: %s %s, want 403", target, status, rest)
		}
		if arrived := e.upstream.Take(); len(arrived) != 0 {
			t.Errorf("%s arrived as %s", target, arrived[0].Target)
		}
	}
}

// uvicorn's httptools takes the body of such a request for another request.
func TestProtocolSwitch_IsRefusedEverywhere(t *testing.T) {
	for _, options := range []string{"", "mode audit", "rules {\n unknown_routes unsafe_allow\n}"} {
		e := start(t, options)
		hidden := "PUT /execution/variables/var_b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
		body := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden)
		chunked := "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
		for _, request := range []string{
			"PUT /execution/task-instances/" + taskA + "/heartbeat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: foo\r\n" + body,
			"POST /execution/xcoms/dag_a/r/t1/k HTTP/1.1\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n" + chunked,
			"GET /execution/health HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n" + body,
			"POST /outside HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: foo\r\n" + body,
			"GET /outside HTTP/1.1\r\nUpgrade: foo\r\n" + body,
			"CONNECT /outside HTTP/1.1\r\n" + body,
			"CONNECT /execution/variables/var_a HTTP/1.1\r\n" + body,
		} {
			line, rest, _ := strings.Cut(request, "\r\n")
			status, answered := e.raw(t, line+"\r\nHost: "+e.addr+"\r\nAuthorization: Bearer "+sign(t, taskA, nil)+"\r\n"+rest)
			if status != "400" {
				t.Errorf("%s: %s %s, want 400", line, status, answered)
			}
			if arrived := e.upstream.Take(); len(arrived) != 0 {
				t.Errorf("%s: %v arrived", line, arrived)
			}
		}
	}
}

func TestRefusal_EchoesTheCorrelationID(t *testing.T) {
	e := start(t, "")
	answered := e.do(t, taskA, "GET /variables/var_b", "correlation-id: 42")
	if got := answered.Header.Get("correlation-id"); got != "42" {
		t.Errorf("correlation-id %q", got)
	}
	if strings.Contains(answered.body, "team") {
		t.Errorf("%s names a team", answered.body)
	}
}

func TestSourceDenial_IsNotBypassed(t *testing.T) {
	e := start(t, "")
	e.world.Refuse(resolver.KindVariable, "var_x", resolver.Denied)
	e.denied(t, taskA, "GET /variables/var_x")
	e.denied(t, taskA, "PUT /variables/var_x")
}

func TestDenial_JustLiftedIsNotReturned(t *testing.T) {
	e := start(t, "cache {\n ttl 1m\n}")
	e.denied(t, taskA, "GET /variables/var_b")
	e.world.Own(resolver.KindVariable, "var_b", "team_a")
	time.Sleep(resolver.RecentAge + 100*time.Millisecond)
	e.allowed(t, taskA, "GET /variables/var_b")
}

func TestWrite_InvalidatesTheOwnerBeforeItsAnswerEnds(t *testing.T) {
	e := start(t, "cache {\n ttl 1m\n}")
	e.allowed(t, taskA, "GET /variables/new")
	e.upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			e.world.Own(resolver.KindVariable, "new", "team_a")
		}
		w.WriteHeader(http.StatusOK)
	})
	e.denied(t, teamless, "GET /variables/var_a")
	e.allowed(t, taskB, "GET /variables/new")
	e.allowed(t, taskA, "PUT /variables/new")
	e.denied(t, taskB, "GET /variables/new")
}

func TestWrite_WithoutAnAnswerInvalidatesTheOwner(t *testing.T) {
	e := start(t, "cache {\n ttl 1m\n}")
	e.allowed(t, taskB, "GET /variables/new")
	e.upstream.Answer(func(http.ResponseWriter, *http.Request) {
		e.world.Own(resolver.KindVariable, "new", "team_a")
		panic(http.ErrAbortHandler)
	})
	if answered := e.do(t, taskA, "PUT /variables/new"); answered.StatusCode != http.StatusBadGateway {
		t.Errorf("%d, want 502", answered.StatusCode)
	}
	e.upstream.Answer(nil)
	e.upstream.Take()
	e.denied(t, taskB, "GET /variables/new")
}
