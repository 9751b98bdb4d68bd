package edge_test

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// fenceAlone is a Caddyfile with a fence and nothing else set.
func fenceAlone(t *testing.T, options string) string {
	t.Helper()
	return sidecar.Site(services.Address(t)) + "dagfence {\n" + options + "\n}\nrespond ok\n}\n"
}

func TestStart_ErrorsNameTheOption(t *testing.T) {
	for options, wants := range map[string][]string{
		"": {"token secret", "AIRFLOW__API_AUTH__JWT_SECRET", "database", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"},
		"token {\n secret s\n}\nmode loose\nlookup ftp://x\nbase_path x\ncache {\n ttl 1h\n}":                   {"mode", "lookup", "base_path", "cache ttl"},
		"token {\n secret s\n}\nownership_file /no/such/file":                                                   {"ownership_file", "/no/such/file"},
		"token {\n secret_file /no/such/file\n}\nlookup http://127.0.0.1:1":                                     {"token secret_file", "/no/such/file"},
		"token {\n public_key /no/such/file\n}\nlookup http://127.0.0.1:1":                                      {"token public_key"},
		"token {\n jwks /no/such/file\n}\nlookup http://127.0.0.1:1":                                            {"token jwks"},
		"token {\n secret {env.DAGFENCE_NOT_SET}\n}\nlookup http://127.0.0.1:1":                                 {"token secret"},
		"token {\n secret s\n}\nlookup http://127.0.0.1:1 {\n ca /no/such/file\n}":                              {"ca"},
		"token {\n secret s\n}\ndatabase oracle://x":                                                            {"database", "postgresql, mysql, mariadb or sqlite"},
		"token {\n secret s\n}\nlookup http://127.0.0.1:1\nredis memcached://x":                                 {"redis", "redis://"},
		"token {\n jwks https://127.0.0.1:1/jwks\n}\nlookup http://127.0.0.1:1\nredis redis://127.0.0.1:1":      {"cache key"},
		"token {\n secret hidden-secret\n algorithms none\n}\nlookup http://127.0.0.1:1":                        {"token algorithms", "none"},
		"token {\n secret s\n}\ndatabase sqlite:////no/such/airflow.db":                                         nil, // may come later
		"token {\n secret hidden-secret\n}\ndatabase postgresql://u:hidden-secret@127.0.0.1:1/x\nmode nonsense": {"mode"},
	} {
		err := tryLoad(t, fenceAlone(t, options))
		if wants == nil {
			continue
		}
		if err == nil {
			t.Errorf("it starts with\n%s", options)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("with\n%s\nthe error does not name %q: %v", options, want, err)
			}
		}
		if strings.Contains(err.Error(), "hidden-secret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestStart_AirflowsEnvironmentSuffices(t *testing.T) {
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", secret)
	t.Setenv("AIRFLOW__CORE__MULTI_TEAM", "False")
	t.Setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql+psycopg2://airflow:airflow@127.0.0.1:1/airflow")
	upstream := sidecar.NewRecorder(t)
	e := &edge{addr: services.Address(t), upstream: upstream}
	load(t, sidecar.Site(e.addr)+"dagfence\nreverse_proxy "+upstream.Addr+"\n}\n")
	// Team rules are off, so the database, which is down, is not needed.
	e.allowed(t, taskA, "GET /variables/var_b")
	e.refused(t, taskA, "POST /xcoms/dag_b/"+run+"/t1/k", http.StatusServiceUnavailable, "owner_unavailable")
}

// startWithStatus runs a fence with a status site beside it, which status asks.
func startWithStatus(t *testing.T, options string) (e *edge, status func(path string) (int, string)) {
	t.Helper()
	address := services.Address(t)
	e = startSite(t, "%s\nreverse_proxy UPSTREAM\n}\n"+sidecar.Site(address)+"dagfence_status", options)
	return e, func(path string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answered, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answered.Body.Close()
		body, _ := io.ReadAll(answered.Body)
		return answered.StatusCode, string(body)
	}
}

// names returns the first group of each match, sorted.
func names(matches [][]string) []string {
	var all []string
	for _, match := range matches {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return all
}

func TestStatus_Site(t *testing.T) {
	e, status := startWithStatus(t, "")
	for path, want := range map[string]int{"/live": 200, "/ready": 200, "/metrics": 200, "/": 404, "/config": 404} {
		if code, body := status(path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	e.denied(t, taskA, "GET /variables/var_b")
	e.allowed(t, taskA, "PUT /variables/var_a")
	_, metrics := status("/metrics")
	for _, want := range []string{
		`dagfence_decisions_total{action="read",kind="variable",mode="enforce",outcome="deny",reason="other_team"} 1`,
		`dagfence_decisions_total{action="write",kind="variable",mode="enforce",outcome="allow",reason="own"} 1`,
		`dagfence_invalidations_total{cause="write"} 1`,
		`dagfence_decision_duration_seconds_count 2`,
		`dagfence_cache_requests_total{result="miss",tier="memory"}`,
		`dagfence_lookup_duration_seconds_count{outcome="found",source="lookup"}`,
		"\ndagfence_ready 1\n", "\ndagfence_ownership_file_valid 1\n",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	served := regexp.MustCompile(`(?m)^# TYPE (dagfence_\w+)`).FindAllStringSubmatch(metrics, -1)
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "- **Metrics**")
	list, _, _ = strings.Cut(list, "\n- **")
	documented := regexp.MustCompile(`(dagfence_\w+)`).FindAllStringSubmatch(list, -1)
	if got, want := names(served), names(documented); !slices.Equal(got, want) {
		t.Errorf("the metrics are %q, docs/architecture.md has %q", got, want)
	}
	e.world.Refuse(resolver.KindVariable, "var_x", resolver.Denied)
	e.denied(t, taskA, "GET /variables/var_x")
	if code, body := status("/ready"); code != http.StatusServiceUnavailable {
		t.Errorf("/ready after the source denied: %d %s, want 503", code, body)
	}
	if _, metrics := status("/metrics"); !strings.Contains(metrics, "\ndagfence_ready 0\n") {
		t.Error("dagfence_ready is not 0 after the source denied")
	}
	if code, _ := status("/live"); code != http.StatusOK {
		t.Errorf("/live: %d", code)
	}
}
