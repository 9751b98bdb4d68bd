// Package edge_test runs a whole Caddy, with the fence in it, between real HTTP
// clients and an upstream that records what arrives.
package edge_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	"github.com/golang-jwt/jwt/v5"

	_ "github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret   = "the-secret-that-airflow-signs-with"
	taskA    = "018f0000-0000-7000-8000-00000000000a" // dag_a, t1
	mappedA  = "018f0000-0000-7000-8000-0000000000a3" // dag_a, t1, map index 3
	taskB    = "018f0000-0000-7000-8000-00000000000b" // dag_b, t1
	teamless = "018f0000-0000-7000-8000-00000000000c" // dag_g, t1
	unknown  = "018f0000-0000-7000-8000-0000000000ff"
	run      = "manual__2026-01-01T00:00:00+00:00"
)

// newWorld is the world of the lookup service: who owns what.
func newWorld() *resolvertest.World {
	world := new(resolvertest.World)
	for id, task := range map[string]resolver.Task{
		taskA:    {DagID: "dag_a", RunID: run, TaskID: "t1", MapIndex: -1},
		mappedA:  {DagID: "dag_a", RunID: run, TaskID: "t1", MapIndex: 3},
		taskB:    {DagID: "dag_b", RunID: run, TaskID: "t1", MapIndex: -1},
		teamless: {DagID: "dag_g", RunID: run, TaskID: "t1", MapIndex: -1},
	} {
		world.Run(id, task)
	}
	for name, team := range map[string]string{"a": "team_a", "b": "team_b", "g": ""} {
		world.Own(resolver.KindDag, "dag_"+name, team)
		world.Own(resolver.KindVariable, "var_"+name, team)
		world.Own(resolver.KindConnection, "conn_"+name, team)
		world.Own(resolver.KindAsset, "asset_"+name, team)
	}
	world.Own(resolver.KindDag, "dag_a2", "team_a")
	return world
}

// edge is a Caddy with a fence, before an upstream.
type edge struct {
	addr     string
	world    *resolvertest.World
	upstream *sidecar.Recorder
}

// site is the Caddyfile's site block around the fence: %s is the directive with
// its options, UPSTREAM the upstream's address.
const site = "%s\n reverse_proxy UPSTREAM"

// start runs a fence with the given options before a recording upstream.
func start(t *testing.T, options string) *edge {
	t.Helper()
	return startSite(t, site, options)
}

func startSite(t *testing.T, block, options string) *edge {
	t.Helper()
	e := &edge{addr: services.Address(t), world: newWorld(), upstream: sidecar.NewRecorder(t)}
	lookup := httptest.NewServer(resolvertest.Service(e.world))
	t.Cleanup(lookup.Close)
	directive := fmt.Sprintf("dagfence {\n%s\n}", options)
	if !strings.Contains(options, "lookup ") {
		directive = fmt.Sprintf("dagfence {\n lookup %s\n %s\n}", lookup.URL, options)
	}
	if !strings.Contains(options, "token {") {
		directive = strings.Replace(directive, "dagfence {", "dagfence {\n token {\n  secret "+secret+"\n }", 1)
	}
	block = strings.ReplaceAll(fmt.Sprintf(block, directive), "UPSTREAM", e.upstream.Addr)
	load(t, sidecar.Site(e.addr)+block+"\n}\n")
	return e
}

// servers are global options: the shipped Caddyfile's limit, and every version of
// HTTP, since what a Caddyfile serves is the operator's choice.
const servers = "servers {\n protocols h1 h2 h2c h3\n max_header_size 64KiB\n}\n"

// load runs sites of a Caddyfile until the test ends.
func load(t *testing.T, sites string) {
	t.Helper()
	sidecar.Caddy(t, servers, sites)
}

func tryLoad(t *testing.T, sites string) error {
	t.Helper()
	return sidecar.TryCaddy(t, servers, sites)
}

// sign makes a token as Airflow does, with changed claims.
func sign(t *testing.T, id string, change func(jwt.MapClaims)) string {
	t.Helper()
	return sidecar.Token(t, secret, id, change)
}

// client follows no redirects and adds no headers of its own accord.
var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

// response is an answer with its body read.
type response struct {
	*http.Response
	body string
}

// reason is the machine-readable reason of an answer in Airflow's form.
func (r response) reason() string {
	var body struct {
		Detail struct{ Reason, Message string } `json:"detail"`
	}
	if err := json.Unmarshal([]byte(r.body), &body); err != nil || body.Detail.Message == "" {
		return "no reason in " + r.body
	}
	return body.Detail.Reason
}

// do sends "METHOD /path" below the mount with a task's token.
func (e *edge) do(t *testing.T, id, request string, header ...string) response {
	t.Helper()
	return e.send(t, request, append([]string{"Authorization: Bearer " + sign(t, id, nil)}, header...)...)
}

// send sends "METHOD /path" below the mount with these headers alone.
func (e *edge) send(t *testing.T, request string, header ...string) response {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var body io.Reader
	if method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch {
		body = strings.NewReader(`{"value":"v"}`)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.addr+"/execution"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	answered, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answered.Body.Close()
	content, err := io.ReadAll(answered.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answered, string(content)}
}

// dial connects to the fence, for as long as an answer may take.
func (e *edge) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends bytes as they are, and returns the status and everything that follows.
func (e *edge) raw(t *testing.T, request string) (status, rest string) {
	t.Helper()
	conn := e.dial(t)
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answered, _ := io.ReadAll(conn)
	head, rest, _ := strings.Cut(string(answered), "\r\n")
	_, status, _ = strings.Cut(head, " ")
	status, _, _ = strings.Cut(status, " ")
	return status, rest
}

// allowed says that a request reaches upstream just as it was sent.
func (e *edge) allowed(t *testing.T, id, request string, header ...string) {
	t.Helper()
	answered := e.do(t, id, request, header...)
	arrived := e.upstream.Take()
	method, path, _ := strings.Cut(request, " ")
	switch {
	case answered.StatusCode != http.StatusOK:
		t.Errorf("%s: %d %s, want it to pass", request, answered.StatusCode, answered.body)
	case len(arrived) != 1:
		t.Errorf("%s: %d requests arrived, want one", request, len(arrived))
	case arrived[0].Method != method || arrived[0].Target != "/execution"+path:
		t.Errorf("%s arrived as %s %s", request, arrived[0].Method, arrived[0].Target)
	}
}

// refused says that a request is answered at the edge, in JSON, and that
// nothing reaches upstream.
func (e *edge) refused(t *testing.T, id, request string, status int, reason string, header ...string) {
	t.Helper()
	e.isRefusal(t, request, e.do(t, id, request, header...), status, reason)
}

func (e *edge) isRefusal(t *testing.T, request string, answered response, status int, reason string) {
	t.Helper()
	if answered.StatusCode != status {
		t.Errorf("%s: %d %s, want %d", request, answered.StatusCode, answered.body, status)
	}
	if answered.Request.Method != http.MethodHead && answered.reason() != reason {
		t.Errorf("%s: reason %s, want %s", request, answered.reason(), reason)
	}
	// Exactly this: behind "; charset=utf-8" the Task SDK does not see the deny.
	if got := answered.Header["Content-Type"]; len(got) != 1 || got[0] != "application/json" {
		t.Errorf("%s: Content-Type %q", request, got)
	}
	if arrived := e.upstream.Take(); len(arrived) != 0 {
		t.Errorf("%s: %d requests arrived at upstream", request, len(arrived))
	}
}

func (e *edge) denied(t *testing.T, id, request string) {
	t.Helper()
	e.refused(t, id, request, http.StatusForbidden, "access_denied")
}
