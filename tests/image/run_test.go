package image_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	owners = "dags: {dag_a: team_a}\nvariables: {var_a: team_a, var_b: team_b}\n"
	taskA  = "018f0000-0000-7000-8000-00000000000a"
	secret = "AIRFLOW__API_AUTH__JWT_SECRET=" + sidecar.Secret
)

var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request with a bearer token, if any, and returns status and body.
func ask(t *testing.T, method, url, token, body string) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// answers asks until something answers at all, and compares status and words.
func answers(t *testing.T, method, url, token, body string, want int, words string) {
	t.Helper()
	sidecar.Eventually(t, time.Minute, func() error {
		status, text, err := ask(t, method, url, token, body)
		if err == nil && (status != want || !strings.Contains(text, words)) {
			t.Errorf("%s %s: %d %s, want %d %s", method, url, status, text, want, words)
		}
		return err
	})
}

// token is one of the dag of team_a, which says so itself: there is no database.
func token(t *testing.T) string {
	t.Helper()
	return sidecar.Token(t, sidecar.Secret, taskA, func(claims jwt.MapClaims) { claims["dag_id"] = "dag_a" })
}

// upstream runs what stands for the api-server in a container, and returns its address.
func (e *engine) upstream(t *testing.T, name string) string {
	t.Helper()
	return e.run(t, name, nil, airflow, "api-server") + ":8080"
}

// judges compares what the fence at an address passes to the upstream in a container.
func (e *engine) judges(t *testing.T, address, upstream string) {
	t.Helper()
	base := "http://" + address + "/execution/variables/"
	answers(t, http.MethodGet, base+"var_a", token(t), "", http.StatusOK, `{"from":"upstream"}`)
	answers(t, http.MethodGet, base+"var_b", token(t), "", http.StatusForbidden, `"reason":"access_denied"`)
	answers(t, http.MethodGet, base+"var_a", "", "", http.StatusUnauthorized, `"reason":"missing_token"`)
	if arrived := e.logs(t, upstream); arrived != "GET /execution/variables/var_a\n" {
		t.Errorf("upstream got %q, want what is allowed alone", arrived)
	}
}

// stops compares how a container ends.
func (e *engine) stops(t *testing.T, name string) {
	t.Helper()
	began := time.Now()
	e.must(t, "stop", "--time", "30", name)
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("%s took %v to end, and would have been killed after 30 s", name, took)
	}
	if code := e.must(t, "wait", name); code != "0" {
		t.Errorf("%s has exited with %s, want 0", name, code)
	}
}

// published is an option that has a container's port at a free one of loopback.
func published(t *testing.T, port string) (option, address string) {
	t.Helper()
	address = "127.0.0.1:" + services.Port(t)
	return "--publish=" + address + ":" + port, address
}

func runsProxy(t *testing.T, e *engine) {
	t.Helper()
	upstream := e.upstream(t, "proxy-upstream")
	publish, address := published(t, "8081")
	e.run(t, "proxy", []string{publish, "--env", secret, "--volume", e.write(t, "owners.yaml", owners) + ":/etc/dagfence/owners.yaml:ro"}, fence,
		"proxy", "--upstream", "http://"+upstream, "--ownership-file", "/etc/dagfence/owners.yaml", "--status", ":8083")
	e.judges(t, address, "proxy-upstream")
	isHardened(t, e.must(t, "inspect", "--format", "{{.State.Pid}}", "proxy"))
	if output, err := e.podman(t, "healthcheck", "run", "proxy"); err != nil {
		t.Errorf("the container is not healthy: %s %v", output, err)
	}
	if output, err := e.podman(t, "exec", "proxy", "sh", "-c", "true"); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("there is a shell in the container: %s %v", output, err)
	}
	e.stops(t, "proxy")
}

// isHardened looks at a process of this machine's kernel.
func isHardened(t *testing.T, pid string) {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`Uid:\t65532\t65532`, `CapEff:\t0+\n`, `CapBnd:\t0+\n`, `NoNewPrivs:\t1\n`} {
		if !regexp.MustCompile(line).Match(status) {
			t.Errorf("the process has no line %q:\n%s", line, status)
		}
	}
	mounts, err := os.ReadFile(filepath.Join("/proc", pid, "mounts"))
	if err != nil || !regexp.MustCompile(`(?m)^\S+ / \S+ ro,`).Match(mounts) {
		t.Errorf("the container may write its root: %v\n%s", err, mounts)
	}
}

func runsCaddyfile(t *testing.T, e *engine) {
	t.Helper()
	upstream := e.upstream(t, "run-upstream")
	publish, address := published(t, "8081")
	caddyfile, err := filepath.Abs(filepath.Join(root, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, "run", []string{
		publish, "--env", secret, "--env", "AIRFLOW_API_SERVER=" + upstream,
		"--env", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://dagfence@127.0.0.1:9/airflow", "--volume", caddyfile + ":/etc/dagfence/Caddyfile:ro",
	}, fence,
		"run", "--config", "/etc/dagfence/Caddyfile")
	base := "http://" + address + "/execution/"
	answers(t, http.MethodPut, base+"task-instances/"+taskA+"/heartbeat", token(t), "{}", http.StatusOK, `{"from":"upstream"}`)
	answers(t, http.MethodGet, base+"variables/var_a", token(t), "", http.StatusServiceUnavailable, "")
	// There is no database, so it is not ready, and says so.
	if output, err := e.podman(t, "healthcheck", "run", "run"); err == nil {
		t.Errorf("the container is healthy without a database: %s", output)
	}
	for line := range strings.Lines(e.logs(t, "run")) {
		if strings.Contains(line, `"level":"error"`) && !strings.Contains(line, `"msg":"metadata database unavailable"`) {
			t.Errorf("it logs an error that nobody has made: %s", line)
		}
	}
	e.stops(t, "run")
}

func runsLookup(t *testing.T, e *engine) {
	t.Helper()
	publish, address := published(t, "8082")
	e.run(t, "lookup", []string{
		publish, "--health-cmd", `["/dagfence", "health", "--status", "127.0.0.1:8082"]`,
		"--volume", e.write(t, "lookup-owners.yaml", owners) + ":/etc/dagfence/owners.yaml:ro",
		"--volume", e.write(t, "lookup-token", "a-token-of-the-lookup-service-0123") + ":/etc/dagfence/token:ro",
	}, fence, "lookup", "--listen", ":8082", "--ownership-file", "/etc/dagfence/owners.yaml", "--token-file", "/etc/dagfence/token")
	const question = `{"questions":[{"kind":"variable","name":"var_b"}]}`
	url := "http://" + address + "/v1/owners"
	answers(t, http.MethodPost, url, "a-token-of-the-lookup-service-0123", question, http.StatusOK, `"team":"team_b"`)
	answers(t, http.MethodPost, url, "another", question, http.StatusUnauthorized, "")
	if output, err := e.podman(t, "healthcheck", "run", "lookup"); err != nil {
		t.Errorf("the container is not healthy: %s %v", output, err)
	}
	e.stops(t, "lookup")
}

func saysWhatIsWrong(t *testing.T, e *engine) {
	t.Helper()
	for name, wrong := range map[string]struct {
		args []string
		code string // 2 is about the command line itself
		want string
	}{
		"nosecret":    {[]string{"proxy", "--upstream", "http://127.0.0.1:9", "--database", "postgresql://u@127.0.0.1:9/a"}, "1", "no token key configured: set token secret"},
		"noupstream":  {[]string{"proxy"}, "2", "--upstream is missing"},
		"nocaddyfile": {[]string{"run", "--config", "/etc/dagfence/Caddyfile"}, "1", "stat /etc/dagfence/Caddyfile"},
		"nosource":    {[]string{"lookup"}, "1", "no ownership source configured"},
	} {
		e.run(t, name, nil, fence, wrong.args...)
		if code := e.must(t, "wait", name); code != wrong.code {
			t.Errorf("%v: exit code %s, want %s", wrong.args, code, wrong.code)
		}
		lines := strings.Split(strings.TrimSpace(e.logs(t, name)), "\n")
		if last := lines[len(lines)-1]; !strings.HasPrefix(last, "Error: ") || !strings.Contains(last, wrong.want) || strings.Count(strings.Join(lines, "\n"), "Error: ") != 1 {
			t.Errorf("%v: the log does not end with one error about %s:\n%s", wrong.args, wrong.want, strings.Join(lines, "\n"))
		}
	}
}

// runsPod plays the shipped pod, with the ports at others of this machine, as they may
// be in use.
func runsPod(t *testing.T, e *engine) {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(root, "deploy/kubernetes/sidecar-pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	fencePort, statusPort := services.Port(t), services.Port(t)
	played := string(manifest)
	for inside, outside := range map[string]string{"8080": fencePort, "8083": statusPort} {
		at := "containerPort: " + inside + "}"
		if !strings.Contains(played, at) {
			t.Fatalf("the pod has no %s", at)
		}
		played = strings.Replace(played, at, "containerPort: "+inside+", hostIP: 127.0.0.1, hostPort: "+outside+"}", 1)
	}
	encode := func(value string) string { return base64.StdEncoding.EncodeToString([]byte(value)) }
	secrets, err := json.Marshal(map[string]string{"jwt-secret": encode(sidecar.Secret), "connection": encode("postgresql://dagfence@127.0.0.1:9/airflow")})
	if err != nil {
		t.Fatal(err)
	}
	e.must(t, "secret", "create", "airflow", e.write(t, "secret.json", string(secrets)))
	e.must(t, "kube", "play", "--network", e.network, e.write(t, "pod.yaml", played))
	answers(t, http.MethodGet, "http://127.0.0.1:"+statusPort+"/live", "", "", http.StatusOK, "live")
	base := "http://127.0.0.1:" + fencePort + "/execution/"
	answers(t, http.MethodPut, base+"task-instances/"+taskA+"/heartbeat", token(t), "{}", http.StatusOK, `{"from":"upstream"}`)
	answers(t, http.MethodPut, base+"task-instances/018f0000-0000-7000-8000-00000000000b/heartbeat", token(t), "{}", http.StatusForbidden, "")
	if arrived := e.logs(t, "airflow-api-server-api-server"); arrived != "PUT /execution/task-instances/"+taskA+"/heartbeat\n" {
		t.Errorf("the api-server got %q, want what is allowed alone", arrived)
	}
	e.noOneGetsPast(t)
	e.stops(t, "airflow-api-server-dagfence")
}

// noOneGetsPast asks for the api-server from another container of the same network.
func (e *engine) noOneGetsPast(t *testing.T) {
	t.Helper()
	infra := e.must(t, "pod", "inspect", "--format", "{{.InfraContainerID}}", "airflow-api-server")
	address := e.address(t, infra)
	for port, want := range map[string]string{"8083": "not ready", "8090": "connection refused"} {
		name := "stranger-" + port
		e.run(t, name, nil, fence, "health", "--status", fmt.Sprintf("http://%s:%s", address, port))
		e.must(t, "wait", name)
		if said := e.logs(t, name); !strings.Contains(said, want) {
			t.Errorf("port %s, from another container: %s, want %s", port, said, want)
		}
	}
	if _, _, err := ask(t, http.MethodGet, "http://"+address+":8090/execution/health", "", ""); err == nil {
		t.Error("the api-server answers from outside its pod")
	} else if timeout := interface{ Timeout() bool }(nil); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("nothing refuses a connection to the api-server: %v", err)
	}
}
