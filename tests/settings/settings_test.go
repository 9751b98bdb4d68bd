// Package settings_test compares what the fence takes from an api-server's
// environment and airflow.cfg with what Airflow itself takes from them.
package settings_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/tests/services"
)

var update = flag.Bool("update", false, "make the golden questions anew, with Airflow's answers")

const (
	// latest is the newest final release of Airflow that the fence knows.
	latest = "3.3.2"
	golden = "testdata/golden.jsonl"
	// inGolden and generated are how many questions there are of each kind.
	inGolden, generated = 120, 500
)

// A question is what an api-server has, and an option that is asked for.
type question struct {
	Option string            `json:"option"`
	Env    map[string]string `json:"env"`
	Cfg    string            `json:"cfg"`
}

// An answer is what is taken: Value, or nothing, or an error.
type answer struct {
	Value any    `json:"value,omitempty"`
	Unset bool   `json:"unset,omitempty"`
	Empty bool   `json:"empty,omitempty"`
	Error string `json:"error,omitempty"`
}

// known is a question with Airflow's answer.
type known struct {
	question
	Airflow answer `json:"airflow"`
}

// TestGolden_Settings compares with answers that Airflow gave before, without
// Airflow.
func TestGolden_Settings(t *testing.T) {
	t.Parallel()
	if *update {
		writeGolden(t)
	}
	values, all := 0, goldens(t)
	for _, k := range all {
		if k.Airflow.Value != nil {
			values++
		}
		compare(t, k)
	}
	if len(all) < 500 || values < len(all)/3 {
		t.Errorf("there are %d questions, %d of them with a value", len(all), values)
	}
}

// TestSettings_AreAirflows asks a real Airflow other questions, and the
// golden ones again.
func TestSettings_AreAirflows(t *testing.T) {
	t.Parallel()
	oracle := startOracle(t)
	for _, q := range questions(uint64(time.Now().UnixNano()), generated) {
		compare(t, known{q, oracle.ask(t, q)})
	}
	for _, k := range goldens(t) {
		if now := oracle.ask(t, k.question); !reflect.DeepEqual(now, k.Airflow) {
			t.Errorf("%q: the golden answer is %v, Airflow's is %v: run the test with -update", k.question, k.Airflow, now)
		}
	}
}

func goldens(t *testing.T) (all []known) {
	t.Helper()
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(content) {
		var k known
		if err := json.Unmarshal(line, &k); err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

func writeGolden(t *testing.T) {
	t.Helper()
	oracle := startOracle(t)
	var content bytes.Buffer
	for _, q := range questions(1, inGolden) {
		line, err := json.Marshal(known{q, oracle.ask(t, q)})
		if err != nil {
			t.Fatal(err)
		}
		content.Write(append(line, '\n'))
	}
	if err := os.WriteFile(golden, content.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compare fails where the fence takes something else than Airflow does, takes
// what Airflow refuses, or refuses what Airflow takes.
func compare(t *testing.T, k known) {
	t.Helper()
	fence, airflow := take(t, k.question), k.Airflow
	switch value := airflow.Value.(type) {
	case []any:
		airflow = withoutEmpty(value)
	case float64:
		if fence.Error != "" && value >= 1<<31 {
			return // more seconds than the fence could allow
		}
	}
	switch {
	case airflow.Empty: // decision 0017: an empty value is no value
		airflow = answer{Unset: true}
	case airflow.Error != "" && fence.Error != "":
		return
	case airflow.Error != "" && k.Option == "base_path" && strings.ContainsAny(k.Cfg+k.Env[variable("api", "base_url")], "[]"):
		return // a bad host, on which the path does not depend
	}
	if !reflect.DeepEqual(fence, airflow) && (airflow.Error == "" || fence.Error == "") {
		t.Errorf("%s\nof %q\nand %q\nAirflow takes %#v\nthe fence     %#v", k.Option, k.Env, k.Cfg, airflow, fence)
	}
}

// withoutEmpty is what the fence makes of names: an empty one is none, and GUESS
// is the default.
func withoutEmpty(names []any) answer {
	var kept []any
	for _, name := range names {
		if name != "" {
			kept = append(kept, name)
		}
	}
	switch {
	case kept == nil:
		return answer{Error: "no names"}
	case reflect.DeepEqual(kept, []any{"GUESS"}):
		return answer{Unset: true}
	}
	return answer{Value: kept}
}

// take is the fence's answer.
func take(t *testing.T, q question) answer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "airflow.cfg")
	if err := os.WriteFile(path, []byte(q.Cfg), 0o600); err != nil {
		t.Fatal(err)
	}
	airflow, err := config.ReadAirflow(func(name string) (string, bool) {
		if name == "AIRFLOW_CONFIG" {
			return path, true
		}
		value, ok := q.Env[name]
		return value, ok
	})
	if err != nil {
		return answer{Error: err.Error()}
	}
	var c config.Config
	if _, err := c.FillFrom(airflow); err != nil {
		return answer{Error: err.Error()}
	}
	// As JSON has it.
	text := func(value string) answer {
		if value == "" {
			return answer{Unset: true}
		}
		return answer{Value: value}
	}
	list := func(values []string) answer {
		if values == nil {
			return answer{Unset: true}
		}
		var names []any
		for _, value := range values {
			names = append(names, value)
		}
		return answer{Value: names}
	}
	switch q.Option {
	case "base_path":
		return text(c.BasePath)
	case "multi_team":
		if c.MultiTeam == "" {
			return answer{Unset: true}
		}
		return answer{Value: c.MultiTeam == config.On}
	case "token jwks":
		return text(c.Token.JWKS)
	case "token public_key":
		return text(c.Token.PublicKey)
	case "token secret":
		return text(c.Token.Secret)
	case "token algorithms":
		return list(c.Token.Algorithms)
	case "token audience":
		return list(c.Token.Audience)
	case "token issuer":
		if len(c.Token.Issuer) == 1 {
			return answer{Value: c.Token.Issuer[0]}
		}
		return list(c.Token.Issuer)
	case "token leeway":
		if c.Token.Leeway == nil {
			return answer{Unset: true}
		}
		return answer{Value: time.Duration(*c.Token.Leeway).Seconds()}
	case "database":
		return text(c.Database)
	}
	t.Fatalf("no option %q", q.Option)
	return answer{}
}

// An oracle is a process that has Airflow's own code. It answers in order.
type oracle struct {
	questions *json.Encoder
	answers   *json.Decoder
}

// startOracle skips the test where Airflow's environment is not made yet, unless
// services are required: making it downloads hundreds of MB.
func startOracle(t *testing.T) *oracle {
	t.Helper()
	args := []string{"--cached", latest}
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		args = args[1:]
	}
	venv, err := exec.CommandContext(t.Context(), "../../scripts/airflow-env", args...).Output()
	if err != nil {
		reason := "not made yet"
		if failed, ok := errors.AsType[*exec.ExitError](err); ok && len(failed.Stderr) > 0 {
			reason = string(failed.Stderr)
		}
		services.Missing(t, "the environment of Airflow "+latest+": "+reason)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(venv)), "bin", "python"), "oracle.py")
	cmd.Env = []string{"AIRFLOW_HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Cancel = in.Close // the test's context ends before its cleanups: end gently then too
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it may be closed already
		// The test's own end may have closed its input before.
		if err := cmd.Wait(); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, context.Canceled) {
			t.Errorf("the oracle ended with %v:\n%s", err, &log)
		}
	})
	return &oracle{json.NewEncoder(in), json.NewDecoder(out)}
}

func (o *oracle) ask(t *testing.T, q question) (a answer) {
	t.Helper()
	if err := errors.Join(o.questions.Encode(q), o.answers.Decode(&a)); err != nil {
		t.Fatalf("asking Airflow about %q: %v", q, err)
	}
	return a
}

// questions are count of each kind, the same for the same seed.
func questions(seed uint64, count int) []question {
	g := &generator{rand.New(rand.NewPCG(seed, 0))}
	all := fixed()
	for range count {
		all = append(all, g.inEnvironment(), g.inFile(), g.oddFile(), g.precedence())
	}
	return all
}
