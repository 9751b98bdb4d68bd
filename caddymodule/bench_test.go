package caddymodule_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

const (
	benchSecret = "the-secret-that-airflow-signs-with"
	benchTask   = "018f0000-0000-7000-8000-00000000000a"
)

// provisioned is a fence whose owners come from a lookup service.
func provisioned(tb testing.TB) *caddymodule.Handler {
	tb.Helper()
	return provisionedWith(tb, new(resolvertest.World))
}

// provisionedWith is [provisioned] with what else there is in the world.
func provisionedWith(tb testing.TB, world *resolvertest.World) *caddymodule.Handler {
	tb.Helper()
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindVariable, "var_a", "team_a")
	world.Own(resolver.KindVariable, "var_b", "team_b")
	world.Run(benchTask, resolver.Task{DagID: "dag_a", RunID: "r", TaskID: "t1", MapIndex: -1})
	service := httptest.NewServer(resolvertest.Service(world))
	tb.Cleanup(service.Close)
	handler := &caddymodule.Handler{Config: config.Config{
		Token:  config.Token{Secret: benchSecret},
		Lookup: config.Lookup{URL: service.URL},
		Cache:  config.Cache{TTL: caddy.Duration(time.Minute)},
	}}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	tb.Cleanup(cancel)
	if err := handler.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	handler.Quiet()
	tb.Cleanup(func() { _ = handler.Cleanup() })
	return handler
}

func benchRequest(tb testing.TB, method, target string) *http.Request {
	tb.Helper()
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{
		"sub": benchTask, "scope": "execution", "aud": "urn:airflow.apache.org:task", "jti": "0123456789abcdef0123456789abcdef",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString([]byte(benchSecret))
	if err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Airflow-API-Version", "2026-06-30")
	return r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, make(map[string]any)))
}

// withReplacer sets a replacer on the request, as Caddy's server does.
func withReplacer(r *http.Request, replacer *caddy.Replacer) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, replacer))
}

// arriveAnew makes a request that was served one that has just arrived.
func arriveAnew(r *http.Request) {
	r.Header.Del("Dagfence-Via")
	if vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		clear(vars)
	}
}

// nothing is an upstream that costs nothing.
var nothing = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// discard is a response writer that costs little.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

var handlerCases = []struct {
	name, method, target string
	allocs               float64
}{
	{"variable, own", http.MethodGet, "/execution/variables/var_a", 6},
	{"xcom write, own", http.MethodPost, "/execution/xcoms/dag_a/r/t1/return_value?map_index=-1", 6},
	{"heartbeat", http.MethodPut, "/execution/task-instances/" + benchTask + "/heartbeat", 4},
	{"outside", http.MethodGet, "/ui", 1},
}

func TestServeHTTP_AddsFewAllocations(t *testing.T) {
	handler := provisioned(t)
	for _, c := range handlerCases {
		replacer, w := caddy.NewReplacer(), &discard{make(http.Header)}
		r := withReplacer(benchRequest(t, c.method, c.target), replacer)
		once := func() {
			*replacer = *caddy.NewReplacer()
			arriveAnew(r)
			_ = handler.ServeHTTP(w, r, nothing)
		}
		got := testing.AllocsPerRun(200, once) - testing.AllocsPerRun(200, func() { *replacer = *caddy.NewReplacer() })
		t.Logf("%s: %v allocations", c.name, got)
		if got > c.allocs {
			t.Errorf("%s: %v allocations, want at most %v", c.name, got, c.allocs)
		}
	}
}

func BenchmarkServeHTTP(b *testing.B) {
	handler := provisioned(b)
	for _, c := range append(handlerCases, struct {
		name, method, target string
		allocs               float64
	}{"variable, another team's", http.MethodGet, "/execution/variables/var_b", 0}) {
		b.Run(c.name, func(b *testing.B) {
			r, w := benchRequest(b, c.method, c.target), &discard{make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				arriveAnew(r)
				_ = handler.ServeHTTP(w, r, nothing)
			}
		})
	}
}
