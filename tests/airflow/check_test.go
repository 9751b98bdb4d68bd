package airflow_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// TestCheck lets `dagfence check` find out what is wrong between a fence and a
// real api-server, from the outside.
func TestCheck(t *testing.T) {
	t.Parallel()
	airflow := install(t, latest)
	server, w := seed(t, airflow)
	redis := services.Redis(t)
	upstream, wait := airflow.serve(t, server.URL("airflow", "airflow"))
	dagfence := newFence(t, airflow)
	wait()
	database := server.URL("dagfence", "airflow")
	proxy := dagfence.proxy(t, upstream, "--redis", redis.URL(), "--database", database)
	token := write(t, "token", []byte(w.Tokens[taskA]))
	settings := []string{"--upstream", upstream, "--database", database, "--redis", redis.URL()}
	rows := connect(t, server, "airflow")
	rows.remember(t)

	for name, tc := range map[string]struct {
		environ []string
		args    []string
		want    []string // the lines that are neither ok nor not checked
	}{
		"all is as it should be": {nil, append(settings, "--token-file", token, "--fence", proxy+"/execution/"), nil},
		"another secret": {[]string{"AIRFLOW__API_AUTH__JWT_SECRET=" + strings.Repeat("another secret, ", 4)}, append(settings, "--token-file", token), []string{
			`problem      token settings  upstream refuses tokens signed with the fence's secret ("Invalid auth token"): set token secret`,
			"problem      task's token    the fence refuses it, and upstream accepts it: token signature does not match",
		}},
		"another audience": {[]string{"AIRFLOW__EXECUTION_API__JWT_AUDIENCE=tasks"}, settings, []string{
			`problem      token settings  upstream signs with the same secret, but the fence refuses its tokens: token is for another audience: it is for "urn:airflow.apache.org:task"`,
		}},
		"an issuer that upstream has not": {[]string{"AIRFLOW__API_AUTH__JWT_ISSUER=somebody"}, settings, []string{
			"problem      token settings  upstream signs with the same secret, but the fence refuses its tokens: token is missing a required claim: iss: upstream names no issuer",
		}},
		"another algorithm": {[]string{"AIRFLOW__API_AUTH__JWT_ALGORITHM=HS256"}, settings, []string{
			`problem      token settings  upstream signs with the same secret, but the fence refuses its tokens: token algorithm is not allowed: it is signed by "HS512"`,
		}},
		"another mount": {[]string{"AIRFLOW__API__BASE_URL=http://localhost/airflow"}, settings, []string{
			"problem      upstream        there is no Execution API below /airflow/execution, but one below /execution: set base_path /execution",
		}},
		"Airflow's own role": {nil, []string{"--upstream", upstream, "--database", server.URL("airflow", "airflow")}, []string{
			"warning      grants          the role may read variable.val, read connection.password, write variable, write connection, write dag,",
		}},
		"tasks bypass the fence": {nil, append(settings, "--fence", upstream+"/execution/"), []string{
			"problem      tasks' URL      Airflow itself answers at " + upstream + "/execution",
		}},
		"reachable directly": {nil, []string{"--direct-url", upstream, "--fence", proxy + "/execution/"}, []string{
			"problem      bypass          Airflow answers at " + upstream + "/execution",
		}},
		"not reachable directly": {nil, []string{"--direct-url", "http://" + services.Address(t)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := dagfence.command(t, append([]string{"check"}, tc.args...)...)
			cmd.Env = append(cmd.Env, tc.environ...)
			output, err := cmd.Output()
			var bad []string
			for line := range strings.Lines(string(output)) {
				if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "not checked ") {
					bad = append(bad, line)
				}
			}
			for i, want := range tc.want {
				if len(bad) != len(tc.want) || !strings.HasPrefix(bad[i], want) {
					t.Fatalf("found\n%s\nwant %q", output, tc.want)
				}
			}
			if problem := strings.Contains(string(output), "problem  "); len(bad) != len(tc.want) || (err != nil) != problem {
				t.Errorf("%v, found\n%s", err, output)
			}
			for _, secret := range []string{jwtSecret, "another secret", w.Tokens[taskA]} {
				if strings.Contains(string(output), secret) {
					t.Errorf("a secret is shown:\n%s", output)
				}
			}
		})
	}
	if changes := rows.change(t); changes != "" {
		t.Errorf("the checks changed\n%s", changes)
	}
}
