package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// check calls the command as a shell does, and returns what it printed.
func checked(t *testing.T, args ...string) (printed string, err error) {
	t.Helper()
	before := os.Stdout
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = file
	defer func() { os.Stdout = before }()
	cmd := &cobra.Command{Use: "check", SilenceUsage: true, SilenceErrors: true}
	caddycmd.Commands()["check"].CobraFunc(cmd)
	cmd.SetArgs(args)
	err = cmd.Execute()
	content, readErr := os.ReadFile(file.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(content), err
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
		printed, _ := checked(t, "--config", file(t, "fence.conf", "{\n"+admin+"\n}\n:8081 {\ndagfence {\nownership_file "+owners+"\n}\n}"))
		if !strings.Contains(printed, want) {
			t.Errorf("%q: no %q in\n%s", admin, want, printed)
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
		if printed, err := checked(t, args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pass") || printed != "" {
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
	printed, err := checked(t, "--direct-url", airflow.URL)
	if err == nil || err.Error() != "1 of 1 checks found a problem" || !strings.Contains(printed, "problem      bypass          Airflow answers at "+airflow.URL) {
		t.Errorf("bypass: %v\n%s", err, printed)
	}
	printed, err = checked(t, "--direct-url", "http://127.0.0.1:1")
	if err != nil || !strings.Contains(printed, "\nok           bypass") || !strings.Contains(printed, "not checked  tasks' URL") {
		t.Errorf("no bypass: %v\n%s", err, printed)
	}
	t.Setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", airflow.URL+"/execution/")
	t.Setenv("AIRFLOW__API_AUTH__JWT_SECRET", strings.Repeat("s", 64))
	owners := file(t, "owners.yaml", "dags: {}")
	printed, err = checked(t, "--ownership-file", owners)
	if err == nil || err.Error() != "2 of 4 checks found a problem" || !strings.Contains(printed, "problem      ownership_file  it is the only source") || !strings.Contains(printed, "problem      tasks' URL      Airflow itself answers at") {
		t.Errorf("the tasks' URL: %v\n%s", err, printed)
	}
}
