package edge_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// A write is judged when its headers are in, and done when its body is.
func TestWrite_IsJudgedByOwnersAtItsLastByte(t *testing.T) {
	var complete atomic.Int32 // requests that upstream has all of
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			complete.Add(1)
		}
	}))
	t.Cleanup(upstream.Close)
	e := startSite(t, "%s\n reverse_proxy "+upstream.Listener.Addr().String(), "")
	for name, framing := range map[string][2]string{
		"with a length":           {"Content-Length: 13\r\n\r\n{\"value\":\"v\"", "}"},
		"with a length, in two":   {"Content-Length: 13\r\n\r\n{\"val", "ue\":\"v\"}"},
		"in chunks":               {"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"val\r\n", "8\r\nue\":\"v\"}\r\n0\r\n\r\n"},
		"in chunks, but the last": {"Transfer-Encoding: chunked\r\n\r\nd\r\n{\"value\":\"v\"}\r\n", "0\r\n\r\n"},
		"in chunks, but a byte":   {"Transfer-Encoding: chunked\r\n\r\nd\r\n{\"value\":\"v\"}\r\n0\r\n\r", "\n"},
		"with an empty body":      {"Transfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n"},
	} {
		for owner, want := range map[string]string{"nobody": "200", "team_a": "200", "team_b": "403"} {
			e.world.Remove(resolver.KindVariable, "new")
			conn := e.dial(t)
			_, _ = fmt.Fprintf(conn, "PUT /execution/variables/new HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s", sign(t, taskA, nil), framing[0])
			time.Sleep(50 * time.Millisecond) // it is judged, and its first part on its way
			if owner != "nobody" {
				e.world.Own(resolver.KindVariable, "new", owner)
			}
			_, _ = io.WriteString(conn, framing[1])
			answered, _ := io.ReadAll(conn)
			if !strings.HasPrefix(string(answered), "HTTP/1.1 "+want) {
				t.Errorf("%s, then %s's: %s, want %s", name, owner, answered, want)
			}
			if n := complete.Swap(0); n == 1 != (want == "200") {
				t.Errorf("%s, then %s's: upstream got the whole of %d requests", name, owner, n)
			}
		}
	}
}

// What has no body is judged once, and then by what is true: no answer that was
// known before will do.
func TestWrite_WithoutABodyIsJudgedByCurrentOwners(t *testing.T) {
	e := start(t, "cache {\n ttl 1m\n}")
	for _, request := range []string{"DELETE /execution/variables/new", "PUT /execution/variables/new", "POST /execution/dag-runs/dag_x/r/clear"} {
		e.world.Remove(resolver.KindVariable, "new")
		e.world.Own(resolver.KindDag, "dag_x", "team_a")
		for _, read := range []string{"GET /variables/new", "GET /dags/dag_x"} {
			e.allowed(t, taskA, read) // so that the owner is known
		}
		e.world.Own(resolver.KindVariable, "new", "team_b")
		e.world.Own(resolver.KindDag, "dag_x", "team_b")
		status, rest := e.raw(t, request+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\nAuthorization: Bearer "+sign(t, taskA, nil)+"\r\n\r\n")
		if status != "403" || len(e.upstream.Take()) != 0 {
			t.Errorf("%s: %s %s, want 403, and nothing at upstream", request, status, rest)
		}
		time.Sleep(resolver.RecentAge + 50*time.Millisecond) // what is known by now is old enough to be asked again
	}
}

// A write asks the source once more than a read, unless only who the task is
// matters.
func TestWrite_AsksTheSourceOncePerJudgement(t *testing.T) {
	e := start(t, "")
	for _, c := range []struct {
		request string
		calls   int
	}{
		{"PUT /variables/var_a", 2}, // before the body and behind it
		{"PUT /variables/var_a", 2}, // whose owner was forgotten with the first
		{"DELETE /variables/var_a", 1},
		{"POST /dag-runs/dag_a/r2", 1},            // known by now; behind the body alone
		{"POST /xcoms/dag_a/" + run + "/t1/k", 0}, // who the task is never changes
		{"PUT /task-instances/" + taskA + "/heartbeat", 0},
	} {
		before := e.world.Calls()
		e.allowed(t, taskA, c.request)
		if calls := e.world.Calls() - before; calls != c.calls {
			t.Errorf("%s: %d calls of the source, want %d", c.request, calls, c.calls)
		}
	}
}
