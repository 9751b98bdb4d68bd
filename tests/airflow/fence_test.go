package airflow_test

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// A fence is a dagfence binary in a deployment, and the processes that it runs
// as. The api-server's environment is all that configures it.
type fence struct {
	program   string
	environ   []string
	processes []*services.Process
}

func newFence(t *testing.T, program string, airflow *release) *fence {
	t.Helper()
	home := t.TempDir()
	return &fence{program: program, environ: append(airflow.environ(),
		"HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)}
}

// lookup starts a lookup service on the database and gives its URL.
func (f *fence) lookup(t *testing.T, databaseURL string, args ...string) string {
	t.Helper()
	address := loopback(t)
	process := f.start(t, append([]string{"lookup", "--listen", address, "--database", databaseURL}, args...)...)
	process.WaitReady(t, services.Dial("tcp", address))
	return "http://" + address
}

// proxy starts a sidecar in front of the api-server and gives its URL.
func (f *fence) proxy(t *testing.T, upstream string, args ...string) string {
	t.Helper()
	address := loopback(t)
	process := f.start(t, append([]string{"proxy", "--listen", address, "--upstream", upstream}, args...)...)
	process.WaitReady(t, healthy("http://"+address+"/execution/health"))
	return "http://" + address
}

func (f *fence) start(t *testing.T, args ...string) *services.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), f.program, args...)
	cmd.Env = f.environ
	process := services.Start(t, cmd)
	f.processes = append(f.processes, process)
	return process
}

// wantDiscreet checks that nothing which the processes printed holds a secret,
// a token or a variable's value.
func (f *fence) wantDiscreet(t *testing.T, w *world) {
	t.Helper()
	for _, process := range f.processes {
		output := process.Output()
		for _, secret := range []string{jwtSecret, "value of ", "of conn_"} {
			if strings.Contains(output, secret) {
				t.Errorf("the output holds %q", secret)
			}
		}
		for name, token := range w.Tokens {
			if signature := token[strings.LastIndex(token, ".")+1:]; strings.Contains(output, signature) {
				t.Errorf("the output holds the token %q", name)
			}
		}
	}
}

func loopback(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(services.FreePort(t))
}

// wantValue checks one value of the deployment's database.
func (d *deployment) wantValue(t *testing.T, query string, want any) {
	t.Helper()
	if got := d.database.value(t, query); got != fmt.Sprint(want) {
		t.Errorf("%s: %s, want %v", query, got, want)
	}
}
