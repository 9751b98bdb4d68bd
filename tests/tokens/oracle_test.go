package tokens_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
)

// latest is the newest final release of Airflow that the fence knows.
const latest = "3.3.2"

// version is the release whose validator is asked: the latest, or the one that
// DAGFENCE_FUZZ_AIRFLOW names.
func version() string {
	if other, ok := os.LookupEnv("DAGFENCE_FUZZ_AIRFLOW"); ok {
		return other
	}
	return latest
}

// An oracle is a process that has Airflow's own validators. It answers in order.
type oracle struct {
	questions io.WriteCloser
	answers   *bufio.Reader
	log       bytes.Buffer
	cmd       *exec.Cmd
}

// airflow starts the oracle with the deployments' settings. Making Airflow's
// environment downloads hundreds of MB, so that happens only where servers are
// required; elsewhere the test is skipped.
func airflow(t *testing.T, settings map[string]environment) *oracle {
	t.Helper()
	script := must(filepath.Abs("../../scripts/airflow-env"))
	args := []string{"--cached", version()}
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		args = args[1:]
	}
	venv, err := exec.CommandContext(t.Context(), script, args...).Output()
	if err != nil {
		reason := "not made yet"
		if failed, ok := errors.AsType[*exec.ExitError](err); ok && len(failed.Stderr) > 0 {
			reason = string(failed.Stderr)
		}
		services.Missing(t, "the environment of Airflow "+version()+": "+reason)
	}
	home := t.TempDir()
	file := filepath.Join(home, "settings.json")
	if err := os.WriteFile(file, must(json.Marshal(settings)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := &oracle{cmd: exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(venv)), "bin", "python"), "oracle.py", file)}
	o.cmd.Env = append(withoutAirflow(), "AIRFLOW_HOME="+home)
	o.cmd.Stderr = &o.log
	o.questions = must(o.cmd.StdinPipe())
	o.answers = bufio.NewReader(must(o.cmd.StdoutPipe()))
	o.cmd.Cancel = func() error { // the test's context ends before its cleanups: end gently then too
		_ = o.questions.Close()
		return os.ErrProcessDone
	}
	o.cmd.WaitDelay = 10 * time.Second
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.questions.Close() // it may be closed already
		if err := o.cmd.Wait(); err != nil {
			t.Errorf("the oracle ended with %v:\n%s", err, &o.log)
		}
	})
	return o
}

// send asks a question; receive returns the answers, in order. Two goroutines may
// do the one and the other.
func (o *oracle) send(question any) error {
	line, err := json.Marshal(question)
	if err != nil {
		return err
	}
	_, err = o.questions.Write(append(line, '\n'))
	return err
}

func (o *oracle) receive(t *testing.T, into any) {
	t.Helper()
	line, err := o.answers.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, into)
	}
	if err != nil {
		t.Fatalf("reading the oracle's answer: %v", err)
	}
}
