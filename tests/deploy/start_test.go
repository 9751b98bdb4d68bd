package deploy_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	task = "018f0000-0000-7000-8000-000000000001"
	// owners are a task of team_a, and a variable of each team.
	owners = `
INSERT INTO team VALUES ('team_a'), ('team_b');
INSERT INTO dag_bundle VALUES ('bundle_a');
INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a');
INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_a', false, 'bundle_a');
INSERT INTO task_instance (id, task_id, dag_id, run_id) VALUES ('` + task + `', 't1', 'dag_a', 'r');
INSERT INTO variable (key, val, team_name) VALUES ('var_a', 'v', 'team_a'), ('var_b', 'v', 'team_b')`
)

// A node is what the containers of an installation are started on: this machine,
// with the files of their volumes below a folder, and other addresses.
type node struct {
	dir                   string
	upstream              *sidecar.Recorder
	certificate           *sidecar.Certificate
	fence, status, lookup string            // addresses
	here                  *strings.Replacer // from the manifests' files and addresses to those of this machine
	env                   map[string]string // by the key of the Secret
}

// newNode has the Secrets that docs/deployment.md says to make, with these URLs.
func newNode(t *testing.T, database, cache string) *node {
	t.Helper()
	n := &node{dir: t.TempDir(), upstream: sidecar.NewRecorder(t)}
	n.fence, n.status, n.lookup = services.Address(t), services.Address(t), services.Address(t)
	host := func(addr string) string { name, _, _ := strings.Cut(addr, ":"); return name }
	n.certificate = sidecar.NewCertificate(t, host(n.fence), host(n.lookup))
	for name, content := range map[string]string{
		"airflow-jwt/jwt-secret": sidecar.Secret, "dagfence-database/url": database,
		"dagfence/lookup-token": "a-token", "dagfence/redis-url": cache, "dagfence/cache-key": strings.Repeat("k", 32),
	} {
		write(t, n.dir, "run/secrets/"+name, []byte(content))
	}
	for name, file := range map[string]string{
		"dagfence-tls/tls.crt": n.certificate.Cert, "dagfence-tls/tls.key": n.certificate.Key, "dagfence/ca.crt": n.certificate.Cert,
		"dagfence-lookup-tls/tls.crt": n.certificate.Cert, "dagfence-lookup-tls/tls.key": n.certificate.Key,
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, n.dir, "run/secrets/"+name, content)
	}
	at := func(addr string) string {
		_, port, _ := strings.Cut(addr, ":")
		return ":" + port + " {\n\tbind " + host(addr)
	}
	n.here = strings.NewReplacer(
		"/run/secrets/", n.dir+"/run/secrets/", "/etc/dagfence/", n.dir+"/etc/dagfence/",
		"airflow-execution-api-server:8080", n.upstream.Addr, "127.0.0.1:8090", n.upstream.Addr, "dagfence-lookup:8082", n.lookup,
		":8080 {", at(n.fence), ":8081 {", at(n.fence), ":8083 {", at(n.status), ":8082", n.lookup)
	n.env = map[string]string{"jwt-secret": sidecar.Secret, "connection": database}
	return n
}

// start runs a container of dagfence with the manifest's arguments and
// environment, and nothing else. It waits until a fence is ready, which no fence is
// without its lookup service.
func (n *node) start(t *testing.T, c container, config map[string]string) *sidecar.Dagfence {
	t.Helper()
	var args []string
	for _, arg := range c.Args {
		args = append(args, n.here.Replace(arg))
	}
	for name, content := range config {
		write(t, n.dir, "etc/dagfence/"+name, []byte(n.here.Replace(content)))
	}
	cmd := sidecar.Command(t, args...)
	cmd.Env = cmd.Env[:1] // HOME
	for _, variable := range c.Env {
		cmd.Env = append(cmd.Env, variable.Name+"="+variable.Value+n.env[variable.ValueFrom.SecretKeyRef.Key])
	}
	started := sidecar.Start(t, cmd, n.fence, n.status)
	if c.Args[0] != "lookup" {
		started.WaitReady(t)
	}
	return started
}

// TestInstallations_GuardTheExecutionAPI starts what each installation starts: the
// real binary, with the arguments and the configuration of the manifests.
func TestInstallations_GuardTheExecutionAPI(t *testing.T) {
	t.Parallel()
	database := services.Postgres(t)
	url := database.URL("airflow", "airflow")
	session, err := pgx.Connect(t.Context(), "postgres://airflow@"+database.Addr+"/airflow")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Exec(t.Context(), services.AirflowTables(t)+owners); err != nil {
		t.Fatal(err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	cache := services.Redis(t).URL()
	for name, installed := range installations {
		if name == "check-from-worker" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, url, cache)
			found := installed.manifests(t)
			if name == "sidecar" {
				found = append(found, parse(t, chartPod(t))...)
			}
			fence, config := n.startAll(t, found)
			secure := strings.Contains(config["Caddyfile"], "https://")
			n.asks(t, secure)
			n.checks(t, secure)
			_, shares := config["redis.caddyfile"]
			if asked := fence.Metric(t, "dagfence_cache_requests_total", `tier="redis"`); shares != (asked > 0) {
				t.Errorf("Redis is in the configuration: %v, and was asked %v times", shares, asked)
			}
		})
	}
}

// startAll starts all containers of dagfence, the lookup service first, and
// returns the fence and its configuration.
func (n *node) startAll(t *testing.T, found []manifest) (fence *sidecar.Dagfence, config map[string]string) {
	t.Helper()
	for _, lookup := range []bool{true, false} {
		for _, m := range found {
			if m.pod == nil {
				continue
			}
			for _, c := range m.pod.all() {
				if c.isFence() && (c.Args[0] == "lookup") == lookup {
					config = configOf(m.pod, found)
					fence = n.start(t, c, config)
				}
			}
		}
	}
	return fence, config
}

// asks asks for variables of two teams, and for the user interface.
func (n *node) asks(t *testing.T, secure bool) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: n.certificate.Pool, MinVersion: tls.VersionTLS12}}
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	for path, want := range map[string]int{
		"/execution/variables/var_a": http.StatusOK, "/execution/variables/var_b": http.StatusForbidden, "/api/v2/monitor/health": http.StatusOK,
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url(secure)+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, sidecar.Secret, task, nil))
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
	for _, arrived := range n.upstream.Take() {
		if strings.HasSuffix(arrived.Target, "var_b") {
			t.Error("another team's variable was asked for upstream")
		}
	}
}

func (n *node) url(secure bool) string {
	if secure {
		return "https://" + n.fence
	}
	return "http://" + n.fence
}

// checks runs the check of check-from-worker.yaml, against an api-server that can't
// be reached, and one that can.
func (n *node) checks(t *testing.T, secure bool) {
	t.Helper()
	n.upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"status":"healthy"}`)
	})
	job := installations["check-from-worker"].manifests(t)[0].pod.Containers[0]
	for direct, want := range map[string]string{services.Address(t): "cannot be reached from here", n.upstream.Addr: "can bypass the fence"} {
		args := slices.Clone(job.Args)
		for i := range args {
			args[i] = strings.NewReplacer("http://airflow-execution-api-server:8080", "http://"+direct, "http://dagfence:8081", n.url(secure)).Replace(args[i])
		}
		cmd := sidecar.Command(t, args...)
		cmd.Env = []string{cmd.Env[0], "SSL_CERT_FILE=" + n.certificate.Cert}
		said, err := cmd.CombinedOutput()
		if bypassed := direct == n.upstream.Addr; (err != nil) != bypassed || !strings.Contains(string(said), want) {
			t.Errorf("%v\n%s\nwant %s", err, said, want)
		}
	}
}
