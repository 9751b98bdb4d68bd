package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// checked runs dagfence check, and returns what it text.
func checked(t *testing.T, args ...string) (text string, err error) {
	t.Helper()
	return printed(t, append([]string{"check"}, args...)...)
}

// file writes a file for the test.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck_FindsTheFencesOfACaddyfile(t *testing.T) {
	t.Setenv("UPSTREAM", "10.0.0.1:8080")
	const fence = "dagfence {\nmode audit\ntoken {\nsecret a-secret\n}\n}\n"
	for name, tc := range map[string]struct {
		caddyfile string
		upstreams []string // "" where it is unknown
	}{
		"one":                        {":8081 {\n" + fence + "reverse_proxy 127.0.0.1:8080\n}", []string{"http://127.0.0.1:8080"}},
		"the proxy is written first": {":8081 {\nreverse_proxy 127.0.0.1:8080\n" + fence + "}", []string{"http://127.0.0.1:8080"}},
		"inside a handle":            {":8081 {\n" + fence + "handle /execution/* {\nreverse_proxy api:80\n}\n}", []string{"http://api:80"}},
		"from the environment":       {":8081 {\n" + fence + "reverse_proxy {env.UPSTREAM}\n}", []string{"http://10.0.0.1:8080"}},
		"a unix socket":              {":8081 {\n" + fence + "reverse_proxy unix//run/airflow.sock\n}", []string{"http://localhost by /run/airflow.sock"}},
		"TLS":                        {":8081 {\n" + fence + "reverse_proxy https://api:8443\n}", []string{"https://api:8443"}},
		"TLS of its own":             {":8081 {\n" + fence + "reverse_proxy https://api:8443 {\ntransport http {\ntls_server_name x\n}\n}\n}", []string{""}},
		"no proxy":                   {":8081 {\n" + fence + "}", []string{""}},
		"two": {
			":8081 {\n" + fence + "reverse_proxy 127.0.0.1:1\n}\n:8082 {\n" + fence + "reverse_proxy 127.0.0.1:2\n}",
			[]string{"http://127.0.0.1:1", "http://127.0.0.1:2"},
		},
	} {
		fences, err := main.ConfiguredFences(file(t, "fence.conf", tc.caddyfile))
		if err != nil || len(fences) != len(tc.upstreams) {
			t.Errorf("%s: %d fences, %v", name, len(fences), err)
			continue
		}
		for i, fence := range fences {
			upstream := ""
			if fence.Upstream != nil {
				upstream = fence.Upstream.String()
			}
			if fence.Socket != "" {
				upstream += " by " + fence.Socket
			}
			if upstream != tc.upstreams[i] || fence.Fence.Mode != "audit" || fence.Fence.Token.Secret != "a-secret" {
				t.Errorf("%s: fence %d before %q, settings %+v", name, i, upstream, fence.Fence)
			}
		}
	}
}

func TestCheck_NamesAReachableAdminEndpoint(t *testing.T) {
	t.Setenv("ADMIN", "10.0.0.1:2019")
	for admin, want := range map[string]string{
		"": "localhost:2019", "admin off": "", "admin unix//run/caddy.sock": "", "admin unix+h2c//run/caddy.sock": "", "admin unix/@caddy": "unix/@caddy",
		"admin :3019": ":3019", "admin 127.0.0.1:3019": "127.0.0.1:3019", "admin localhost:3019 {\norigins localhost\n}": "localhost:3019",
		"admin {env.ADMIN}": "10.0.0.1:2019",
	} {
		fences, err := main.ConfiguredFences(file(t, "fence.conf", "{\n"+admin+"\n}\n:8081 {\ndagfence\n}"))
		if err != nil || len(fences) != 1 || fences[0].Admin != want || !fences[0].Configured {
			t.Errorf("%q: %+v, %v, want %q", admin, fences, err, want)
		}
	}
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", strings.Repeat("s", 64))
	owners := file(t, "owners.yaml", "dags: {}")
	for admin, want := range map[string]string{"": "problem      admin endpoint  it listens on localhost:2019", "admin off": "ok           admin endpoint  "} {
		text, _ := checked(t, "--config", file(t, "fence.conf", "{\n"+admin+"\n}\n:8081 {\ndagfence {\nownership_file "+owners+"\n}\n}"))
		if !strings.Contains(text, want) {
			t.Errorf("%q: no %q in\n%s", admin, want, text)
		}
	}
}

func TestCheck_NamesInvalidFlags(t *testing.T) {
	for want, args := range map[string][]string{
		"--upstream is not the URL of a server":                       {"--upstream", "http://a/b"},
		"--fence is not the URL of a server":                          {"--fence", "fence:8081"},
		"--direct-url is not the URL of a server":                     {"--direct-url", "http://user:pass@api:8080"},
		"--redis and --config are mutually exclusive":                 {"--config", "Caddyfile", "--redis", "redis://x"},
		"--upstream and --direct-url are mutually exclusive":          {"--direct-url", "http://api:8080", "--upstream", "http://api:8080"},
		"--token-file: open /nowhere":                                 {"--token-file", "/nowhere"},
		"--token-file: the file is empty":                             {"--token-file", file(t, "token", "\n")},
		"--config: no fence is configured":                            {"--config", file(t, "Caddyfile", ":8081 {\nrespond 200\n}")},
		"--config: reading the fence's settings: json: unknown field": {"--config", file(t, "c.json", `{"apps":{"http":{"servers":{"a":{"routes":[{"handle":[{"handler":"dagfence","modes":"x"}]}]}}}}}`)},
	} {
		if text, err := checked(t, args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass") || text != "" {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}

func TestCheck_FailsOnlyWithAProblem(t *testing.T) {
	airflow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Airflow-API-Version") != "" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		_, _ = io.WriteString(w, `{"status":"healthy"}`)
	}))
	defer airflow.Close()
	text, err := checked(t, "--direct-url", airflow.URL)
	if err == nil || err.Error() != "1 of 1 checks found a problem" || !strings.Contains(text, "problem      bypass          Airflow answers at "+airflow.URL) {
		t.Errorf("bypass: %v\n%s", err, text)
	}
	text, err = checked(t, "--direct-url", "http://127.0.0.1:1")
	if err != nil || !strings.Contains(text, "\nok           bypass") || !strings.Contains(text, "not checked  tasks' URL") {
		t.Errorf("no bypass: %v\n%s", err, text)
	}
	t.Setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", airflow.URL+"/execution/")
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", strings.Repeat("s", 64))
	owners := file(t, "owners.yaml", "dags: {}")
	text, err = checked(t, "--ownership-file", owners)
	if err == nil || err.Error() != "2 of 4 checks found a problem" || !strings.Contains(text, "problem      ownership_file  it is the only source") || !strings.Contains(text, "problem      tasks' URL      Airflow itself answers at") {
		t.Errorf("the tasks' URL: %v\n%s", err, text)
	}
}

func TestCheck_PrintsJSON(t *testing.T) {
	text, err := checked(t, "--json", "--direct-url", "http://127.0.0.1:1")
	var found []struct{ Check, State, Text string }
	if err != nil || json.Unmarshal([]byte(text), &found) != nil || len(found) != 2 || found[0].State != "not checked" || found[1].Check != "bypass" || found[1].State != "ok" || found[0].Text == "" {
		t.Errorf("%v\n%s", err, text)
	}
	fence := ":8081 {\ndagfence\n}\n"
	text, err = checked(t, "--json", "--config", file(t, "fence.conf", fence+strings.Replace(fence, "8081", "8082", 1)))
	var numbered []struct{ Fence int }
	if err == nil || main.ExitCode(err) != 1 || !strings.Contains(err.Error(), "found a problem") || json.Unmarshal([]byte(text), &numbered) != nil ||
		numbered[0].Fence != 1 || numbered[len(numbered)-1].Fence != 2 {
		t.Errorf("two fences: %v\n%s", err, text)
	}
}
