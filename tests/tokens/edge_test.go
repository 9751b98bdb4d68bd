package tokens_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/golang-jwt/jwt/v5"

	_ "github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// An edge is a whole Caddy with a fence, before an upstream that counts what
// arrives. The task is dag_a's t1 in the run r1, and all it touches is global.
type edge struct {
	url     string
	arrived atomic.Int32
}

// newEdge starts a Caddy whose fence verifies by the options of the token block,
// until the test ends. Caddy has one configuration in a process, so tests that
// have an edge do not run in parallel.
func newEdge(t *testing.T, token string) *edge {
	t.Helper()
	e := new(edge)
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { e.arrived.Add(1) }))
	t.Cleanup(upstream.Close)
	world := new(resolvertest.World)
	world.Run(taskID, resolver.Task{DagID: "dag_a", RunID: "r1", TaskID: "t1", MapIndex: -1})
	world.Own(resolver.KindDag, "dag_a", "team_a")
	lookup := httptest.NewServer(resolvertest.Service(world))
	t.Cleanup(lookup.Close)

	address := services.Address(t)
	e.url = "http://" + address + "/execution"
	sidecar.Caddy(t, "", sidecar.Site(address)+fmt.Sprintf(`	dagfence {
		multi_team off
		lookup %s
		token {
			%s
		}
	}
	reverse_proxy %s
}
`, lookup.URL, token, upstream.Listener.Addr()))
	return e
}

// send sends a request with a token, and returns its status and whether it arrived
// at upstream.
func (e *edge) send(t *testing.T, method, path, token string, header ...string) (status int, body string, arrived bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, e.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Set(name, value)
	}
	before := e.arrived.Load()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content), e.arrived.Load() > before
}

// passes says that a request of the task reaches upstream.
func (e *edge) passes(t *testing.T, token string) {
	t.Helper()
	if status, body, arrived := e.send(t, http.MethodPut, heartbeat, token); status != http.StatusOK || !arrived {
		t.Errorf("%d %s, arrived: %v; want it to pass", status, body, arrived)
	}
}

// refused says that a token is refused as invalid, with these words, and that
// nothing reaches upstream.
func (e *edge) refused(t *testing.T, token, words string) {
	t.Helper()
	status, body, arrived := e.send(t, http.MethodPut, heartbeat, token)
	if status != http.StatusForbidden || arrived || !strings.Contains(body, `"reason":"invalid_token"`) || !strings.Contains(body, words) {
		t.Errorf("%d %s, arrived: %v; want 403 %s", status, body, arrived, words)
	}
}

const heartbeat = "/task-instances/" + taskID + "/heartbeat"

// issue makes a token as Airflow's JWTGenerator does, with changed claims.
func (s signer) issue(tb testing.TB, change map[string]any) string {
	tb.Helper()
	now := time.Now().Unix()
	claims := jwt.MapClaims{"sub": taskID, "scope": "execution", "aud": audience, "jti": "x", "iat": now, "nbf": now, "exp": now + 600}
	maps.Copy(claims, change)
	header := map[string]string{"alg": s.alg, "kid": s.kid, "typ": "JWT"}
	return compact(string(must(json.Marshal(header))), string(must(json.Marshal(claims))), s.sign)
}
