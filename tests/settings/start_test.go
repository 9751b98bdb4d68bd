package settings_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// An airflow.cfg that Airflow made switches the rules about teams off: who starts
// the fence with it is told, and with which file.
func TestProxy_NamesTheFileThatDisablesTeams(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for path, content := range map[string]string{
		"airflow.cfg": "[core]\nmulti_team = False\n[api_auth]\njwt_secret = s3cret\n", "owners.yaml": "dags: {}",
	} {
		if err := os.WriteFile(filepath.Join(home, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		more []string
		told bool
	}{
		"airflow.cfg":          {nil, true},
		"the environment wins": {[]string{"AIRFLOW__CORE__MULTI_TEAM=True"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			stderr, err := os.Create(log)
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			cmd := exec.CommandContext(t.Context(), sidecar.Build(t), "proxy", "--listen", "127.0.0.1:0",
				"--upstream", "http://127.0.0.1:1", "--ownership-file", filepath.Join(home, "owners.yaml"))
			cmd.Env = append([]string{"AIRFLOW_HOME=" + home, "HOME=" + t.TempDir()}, tc.more...)
			cmd.Stderr = stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said := started(t, log)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			told := strings.Contains(said, "multi_team is off") && strings.Contains(said, `"from":"`+home+`/airflow.cfg: [core] multi_team"`)
			if told != tc.told || strings.Contains(said, "s3cret") {
				t.Errorf("it says\n%s", said)
			}
		})
	}
}

// started waits until the log says that the fence serves, and returns it.
func started(t *testing.T, log string) string {
	t.Helper()
	var content []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if content, err = os.ReadFile(log); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), "server running") {
			return string(content)
		}
	}
	t.Fatalf("it does not start:\n%s", content)
	return ""
}
