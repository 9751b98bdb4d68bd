package airflow_test

import (
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// The Task SDK's own client talks TLS to the fence, by each way in which a worker
// is given CA certificates.
func TestTaskSDK_TakesTheFencesTLS(t *testing.T) {
	t.Parallel()
	airflow := install(t, latest)
	addr := services.Address(t)
	host, _, _ := strings.Cut(addr, ":")
	certificate := sidecar.NewCertificate(t, "fence", host)
	upstream := sidecar.NewRecorder(t)
	upstream.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"key":"var_a","value":"own"}`)
	})
	owners := filepath.Join(t.TempDir(), "owners.yaml")
	if err := os.WriteFile(owners, []byte("variables:\n  var_a: \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := sidecar.Command(t, "proxy", "--listen", addr, "--upstream", "http://"+upstream.Addr, "--ownership-file", owners,
		"--tls-cert", certificate.Cert, "--tls-key", certificate.Key)
	cmd.Env = append(cmd.Env, "AIRFLOW__CORE__MULTI_TEAM=False")
	sidecar.Start(t, cmd, addr, "").Process.WaitReady(t, services.Dial("tcp", addr))

	url := "https://" + addr + "/execution/"
	token := sidecar.Token(t, sidecar.Secret, "018f0000-0000-7000-8000-00000000000a", nil)
	for name, c := range map[string]struct {
		settings map[string]string
		want     string
		arrives  int
	}{
		"[api] ssl_cert": {map[string]string{"AIRFLOW__API__SSL_CERT": certificate.Cert}, "own", 1},
		"the system's":   {map[string]string{"SSL_CERT_FILE": certificate.Cert}, "own", 1},
		"not trusted":    {nil, "CERTIFICATE_VERIFY_FAILED", 0},
	} {
		settings := map[string]string{"AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "1"}
		maps.Copy(settings, c.settings)
		output, err := airflow.with(settings).command(t, "sqlite://", "python", "tls.py", url, token).CombinedOutput()
		_, outcome, _ := strings.Cut(string(output), "OUTCOME ")
		if arrived := len(upstream.Take()); err != nil || !strings.Contains(outcome, c.want) || arrived != c.arrives {
			t.Errorf("%s: %v, %d requests arrived, %s\nwant %s and %d", name, err, arrived, output, c.want, c.arrives)
		}
	}
}
