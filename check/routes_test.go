package check_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy/forwardauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	_ "github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/check"
)

// routesOf returns the findings about a Caddyfile's routes.
func routesOf(t *testing.T, caddyfile string) []check.Finding {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, caddyfile)
	}
	var document struct {
		Apps struct {
			HTTP struct{ Servers map[string]any }
		}
	}
	if err := json.Unmarshal(adapted, &document); err != nil {
		t.Fatal(err)
	}
	return check.Routes(document.Apps.HTTP.Servers)
}

func TestRoutes_WhereTheFenceIsOnTheWayToUpstream(t *testing.T) {
	t.Parallel()
	for _, site := range []string{
		"dagfence\nreverse_proxy airflow:8080",
		"reverse_proxy airflow:8080\ndagfence",
		"dagfence\nhandle /execution/* {\nreverse_proxy airflow:8080\n}\nrespond 404",
		"dagfence\nhandle /airflow/* {\nreverse_proxy airflow:8080\n}\nhandle {\nreverse_proxy airflow:8080\n}",
		"dagfence\nhandle_path /airflow/* {\nreverse_proxy airflow:8080\n}",
		"dagfence\nhandle_path /grafana/* {\nrewrite * /x{uri}\nreverse_proxy grafana:80\n}\nreverse_proxy airflow:8080",
		"handle /grafana/* {\nreverse_proxy grafana:80\n}\nhandle {\ndagfence\nreverse_proxy airflow:8080\n}",
		"route {\nrespond /healthz 200\ndagfence\nreverse_proxy airflow:8080\n}",
		"route {\nreverse_proxy /grafana/* grafana:80\ndagfence\nreverse_proxy airflow:8080\n}",
		"forward_auth auth:9091 {\nuri /verify\n}\ndagfence\nreverse_proxy airflow:8080",
		"dagfence\nforward_auth auth:9091 {\nuri /verify\n}\nreverse_proxy airflow:8080",
		"dagfence\nreverse_proxy airflow:8080 {\nheader_up Host {upstream_hostport}\nheader_up -X-Forwarded-*\n}",
		"dagfence\nrequest_header X-Team a\nreverse_proxy airflow:8080",
		"dagfence\nreverse_proxy airflow:8080\nhandle_errors {\ndagfence\nreverse_proxy airflow:8080\n}",
		"dagfence\nreverse_proxy airflow:8080\nhandle_errors {\nrespond oops\n}",
		"dagfence\nreverse_proxy airflow:8080\n}\ngrafana.example.com {\nreverse_proxy grafana:80",
		"dagfence\nrespond 204",
		"reverse_proxy airflow:8080",
	} {
		if found := routesOf(t, ":8081 {\n"+site+"\n}"); len(found) != 1 || found[0].State != check.OK {
			t.Errorf("%v of\n%s", found, site)
		}
	}
}

func TestRoutes_NamesWhatLeadsPastTheFence(t *testing.T) {
	t.Parallel()
	const (
		without  = "a reverse_proxy takes requests to "
		getsNone = "the fence gets no requests, because "
	)
	for site, wants := range map[string][]string{
		// The fence sees nothing.
		"route {\nreverse_proxy airflow:8080\ndagfence\n}":                               {"problem " + getsNone + "reverse_proxy", "problem " + without + "airflow:8080 "},
		"route {\nreverse_proxy airflow:8080\ndagfence\nreverse_proxy localhost:8080\n}": {"problem " + getsNone + "reverse_proxy", "problem " + without + "airflow:8080 "},
		"route {\nrespond hi\ndagfence\nreverse_proxy airflow:8080\n}":                   {"problem " + getsNone + "respond"},
		"route {\nerror 503\ndagfence\nreverse_proxy airflow:8080\n}":                    {"problem " + getsNone + "error"},
		// Some requests get around it.
		"route {\nreverse_proxy /execution/variables/* 127.0.0.1:8080\ndagfence\nreverse_proxy :8080\n}":                                            {"problem " + without + "localhost:8080 without"},
		"handle /execution/* {\ndagfence\nreverse_proxy airflow:8080\n}\nhandle {\nreverse_proxy airflow:8080\n}":                                   {"problem " + without},
		"handle /execution/* {\ndagfence\n}\nreverse_proxy airflow:8080":                                                                            {"problem " + without},
		"handle /ui/* {\nreverse_proxy airflow:8080\n}\nhandle {\ndagfence\nreverse_proxy airflow:8080\n}":                                          {"problem " + without},
		"dagfence\nreverse_proxy airflow:8080\nhandle_errors {\nreverse_proxy airflow:8080\n}":                                                      {"problem " + without},
		"dagfence\nreverse_proxy airflow:8080\n}\nhttp://ui.example.com:8081 {\nreverse_proxy airflow:8080":                                         {"problem " + without},
		"dagfence\nreverse_proxy airflow:8080\n}\n:9090 {\nreverse_proxy airflow:8080":                                                              {"warning a reverse_proxy of another server"},
		"dagfence\nreverse_proxy {\ndynamic a airflow 8080\n}\n}\n:9090 {\nreverse_proxy {\ndynamic a airflow 8080\n}":                              {"warning a reverse_proxy of another server"},
		"intercept {\n@bad status 404\nhandle_response @bad {\nreverse_proxy airflow:8080\n}\n}\nhandle {\ndagfence\nreverse_proxy airflow:8080\n}": {"problem " + without},
		"invoke past\n}\n:8082 {\ndagfence\nreverse_proxy airflow:8080":                                                                             {"warning a reverse_proxy of another server"},
		// It judges another request than upstream gets.
		"route {\nuri strip_prefix /execution\ndagfence\nreverse_proxy airflow:8080\n}":                   {"warning rewrite, uri or method before the fence changes"},
		"rewrite * /x{uri}\ndagfence\nreverse_proxy airflow:8080":                                         {"warning rewrite, uri or method before the fence changes"},
		"route {\ndagfence\nrewrite * /execution{uri}\nreverse_proxy airflow:8080\n}":                     {"problem rewrite, uri or method changes requests to airflow:8080 behind"},
		"dagfence\nhandle {\nuri replace x y\nreverse_proxy airflow:8080\n}":                              {"problem rewrite, uri or method changes"},
		"dagfence\nhandle {\nmethod PUT\nreverse_proxy airflow:8080\n}":                                   {"problem rewrite, uri or method changes"},
		"dagfence\nreverse_proxy airflow:8080 {\nrewrite /execution{uri}\n}":                              {"problem reverse_proxy itself changes"},
		"dagfence\nreverse_proxy airflow:8080 {\nheader_up authorization {query.t}\n}":                    {"problem reverse_proxy itself changes"},
		"dagfence\nreverse_proxy airflow:8080 {\nheader_up -Airflow*\n}":                                  {"problem reverse_proxy itself changes"},
		"route {\ndagfence\nrequest_header Airflow-API-Version 2025-04-11\nreverse_proxy airflow:8080\n}": {"problem request_header changes"},
	} {
		found := routesOf(t, "{\nadmin off\n}\n&(past) {\nreverse_proxy airflow:8080\n}\n:8081 {\n"+site+"\n}")
		for i, want := range wants {
			state, text, _ := strings.Cut(want, " ")
			if len(found) != len(wants) || found[i].State.String() != state || !strings.HasPrefix(found[i].Text, text) {
				t.Errorf("%v, want %q of\n%s", found, wants, site)
				break
			}
		}
	}
}

func TestRoutes_FileServerTakesAllButWhatItPasses(t *testing.T) {
	t.Parallel()
	for passThru, want := range map[bool]string{false: "problem      routes          the fence gets no requests, because file_server", true: "ok "} {
		found := check.Routes(map[string]any{"srv0": map[string]any{"routes": []any{map[string]any{"handle": []any{
			map[string]any{"handler": "file_server", "pass_thru": passThru}, map[string]any{"handler": "dagfence"},
		}}}}})
		if len(found) != 1 || !strings.HasPrefix(found[0].String(), want) {
			t.Errorf("pass_thru %v: %v, want %s", passThru, found, want)
		}
	}
}
