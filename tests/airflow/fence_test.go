package airflow_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// A fence is dagfence in a deployment, and the processes that it runs as. The
// api-server's environment is all that configures it.
type fence struct {
	environ   []string
	processes []*sidecar.Dagfence
}

func newFence(t *testing.T, airflow *release) *fence {
	t.Helper()
	home := t.TempDir()
	return &fence{environ: append(airflow.environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)}
}

// command is dagfence with arguments.
func (f *fence) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := sidecar.Command(t, args...)
	cmd.Env = f.environ
	return cmd
}

// lookup starts a lookup service on the database and returns its URL.
func (f *fence) lookup(t *testing.T, databaseURL string, args ...string) string {
	t.Helper()
	address := services.Address(t)
	f.start(t, address, append([]string{"lookup", "--listen", address, "--database", databaseURL}, args...)...).WaitLive(t)
	return "http://" + address
}

// proxy starts a sidecar in front of the api-server and returns its URL.
func (f *fence) proxy(t *testing.T, upstream string, args ...string) string {
	t.Helper()
	address := services.Address(t)
	d := f.start(t, address, append([]string{"proxy", "--listen", address, "--upstream", upstream}, args...)...)
	d.Process.WaitReady(t, healthy("http://"+address+"/execution/health"))
	return "http://" + address
}

func (f *fence) start(t *testing.T, address string, args ...string) *sidecar.Dagfence {
	t.Helper()
	d := sidecar.Start(t, f.command(t, args...), address, address)
	f.processes = append(f.processes, d)
	return d
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

// wantValue checks one value of the deployment's database.
func (d *deployment) wantValue(t *testing.T, query string, want any) {
	t.Helper()
	if got := d.database.value(t, query); got != fmt.Sprint(want) {
		t.Errorf("%s: %s, want %v", query, got, want)
	}
}
