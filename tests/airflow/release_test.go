package airflow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

const (
	// latest is the newest final release of Airflow that the fence knows.
	latest = "3.3.2"
	// upcoming is the newest of all: a pre-release.
	upcoming = "3.4.0b2"
)

// releases are the Airflow releases that the fence is compared with, oldest
// first: one of each minor release.
var releases = []string{"3.0.6", "3.1.8", "3.2.2", latest, upcoming}

// newestVersion is the newest API version that a release has
// (airflow/api_fastapi/execution_api/versions).
var newestVersion = map[string]string{"3.0.6": "2025-08-10", "3.1.8": "2025-11-05", "3.2.2": "2026-04-06", latest: "2026-06-30", upcoming: "2026-10-30"}

// A release is an installed Airflow with the settings of one deployment.
type release struct {
	version  string
	venv     string
	settings map[string]string
}

// install finds the release's environment. Making it downloads hundreds of MB,
// so that happens only where servers are required; elsewhere the test is skipped.
func install(t *testing.T, version string) *release {
	t.Helper()
	script, err := filepath.Abs("../../scripts/airflow-env")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--cached", version}
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		args = args[1:]
	}
	output, err := exec.CommandContext(t.Context(), script, args...).Output()
	if err != nil {
		reason := "not made yet"
		if failed := new(exec.ExitError); errors.As(err, &failed) && len(failed.Stderr) > 0 {
			reason = string(failed.Stderr)
		}
		services.Missing(t, "the environment of Airflow "+version+": "+reason)
	}
	airflow := &release{version: version, venv: strings.TrimSpace(string(output)), settings: map[string]string{
		"AIRFLOW_HOME":                                t.TempDir(),
		"AIRFLOW__API_AUTH__JWT_SECRET":               jwtSecret,
		"AIRFLOW__CORE__FERNET_KEY":                   "", // values are compared as they are stored
		"AIRFLOW__CORE__LOAD_EXAMPLES":                "False",
		"AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "3600", // tokens outlive a slow machine
		"AIRFLOW__LOGGING__LOGGING_LEVEL":             "WARNING",
		// A secrets backend beside the database: variables without a row.
		"AIRFLOW_VAR_FROM_ENVIRONMENT":    "for everybody",
		"AIRFLOW_VAR__TEAM_B___IN_SECRET": "for team_b",
	}}
	if version >= "3.2" { // before, it is no option, and the fence takes it for on
		airflow.settings["AIRFLOW__CORE__MULTI_TEAM"] = "True"
	}
	return airflow
}

// with is the release with other settings besides.
func (airflow *release) with(settings map[string]string) *release {
	merged := maps.Clone(airflow.settings)
	maps.Copy(merged, settings)
	return &release{version: airflow.version, venv: airflow.venv, settings: merged}
}

// without is the release without one of its settings.
func (airflow *release) without(setting string) *release {
	less := airflow.with(nil)
	delete(less.settings, setting)
	return less
}

// environ is the deployment's environment: what the fence's sidecar is given too.
func (airflow *release) environ() []string {
	environ := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "AIRFLOW_")
	})
	for name, value := range airflow.settings {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// command is a program of the environment, such as airflow or python.
func (airflow *release) command(t *testing.T, databaseURL, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(airflow.venv, "bin", program), args...)
	cmd.Env = append(airflow.environ(), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="+databaseURL)
	return cmd
}

// run runs a program of the environment to its end.
func (airflow *release) run(t *testing.T, databaseURL, program string, args ...string) {
	t.Helper()
	if output, err := airflow.command(t, databaseURL, program, args...).CombinedOutput(); err != nil {
		t.Fatalf("running %s: %v\n%s", program, err, output)
	}
}

// serve starts an api-server on the database, which serves the Execution API
// alone, and returns its URL and what waits until it answers.
func (airflow *release) serve(t *testing.T, databaseURL string) (url string, wait func()) {
	t.Helper()
	address := services.Address(t)
	host, port, _ := strings.Cut(address, ":")
	url = "http://" + address
	server := services.Start(t, airflow.command(t, databaseURL, "airflow",
		"api-server", "--apps", "execution", "--host", host, "--port", port, "--workers", "1"))
	return url, func() {
		t.Helper()
		server.WaitReady(t, healthy(url+"/execution/health"))
	}
}

// healthy is a readiness probe: the URL answers 200.
func healthy(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}
