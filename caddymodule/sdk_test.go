package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/dagfence/dagfence/caddymodule"
)

func TestIgnoresDenials_ReportsFallingThroughSDKs(t *testing.T) {
	t.Parallel()
	const sdk, python = "apache-airflow-task-sdk/", " (Python/3.11.2)"
	for userAgent, want := range map[string]string{
		sdk + "1.1.1" + python:      "1.1.1",
		sdk + "1.1.8" + python:      "1.1.8",
		sdk + "1.1.7rc1" + python:   "1.1.7",
		sdk + "1.2.0b2" + python:    "1.2.0",
		sdk + "1.2.1" + python:      "1.2.1",
		sdk + "1.2.1.dev0" + python: "1.2.1",
		sdk + "1.1.9" + python:      "other",
		sdk + "1.1.9999" + python:   "other",

		// Asked the Execution API last, and took a denial for an error.
		sdk + "1.0.6" + python: "",
		sdk + "1.1.0" + python: "",
		// Stop at a denial.
		sdk + "1.2.2rc1" + python: "",
		sdk + "1.2.2" + python:    "",
		sdk + "1.3.0b1" + python:  "",
		sdk + "1.10.0" + python:   "",
		sdk + "2.0.0" + python:    "",
		// Nothing is known of these.
		"":                                      "",
		"curl/8.5.0":                            "",
		sdk:                                     "",
		sdk + "1.1":                             "",
		sdk + "x.1.8":                           "",
		"x " + sdk + "1.1.8":                    "",
		"apache-airflow-client-python/1.1.8":    "",
		sdk + strings.Repeat("9", 600) + ".1.1": "",
	} {
		label, falls := caddymodule.IgnoresDenials(userAgent)
		if label != want || falls != (want != "") {
			t.Errorf("%.60s: %q %v, want %q", userAgent, label, falls, want)
		}
	}
}

func TestIgnoredDenial_IsLoggedOncePerSDKVersion(t *testing.T) {
	t.Parallel()
	handler := provisioned(t)
	core, logged := observer.New(zapcore.WarnLevel)
	handler.LogTo(zap.New(core))
	deny := func(version string) {
		r := withReplacer(benchRequest(t, http.MethodGet, "/execution/variables/var_b"), caddy.NewReplacer())
		r.Header.Set("User-Agent", "apache-airflow-task-sdk/"+version+" (Python/3.11.2)")
		recorder := httptest.NewRecorder()
		if err := handler.ServeHTTP(recorder, r, nothing); err != nil || recorder.Code != http.StatusForbidden {
			t.Fatalf("%d %v", recorder.Code, err)
		}
	}
	for i := range 100 {
		deny("1.1.8")
		deny("1.2.1")
		deny("1.3.2")
		deny(fmt.Sprintf("1.1.%d", 100+i))
	}
	named := make(map[any]int)
	for _, entry := range logged.All() {
		named[entry.ContextMap()["sdk_version"]]++
		if !strings.Contains(entry.Message, "3.2.2") || entry.Level != zapcore.WarnLevel {
			t.Errorf("%v %s", entry.Level, entry.Message)
		}
	}
	if len(named) != 3 || named["1.1.8"] != 1 || named["1.2.1"] != 1 || named["other"] != 1 {
		t.Errorf("warned: %v, want once of each version that falls through", named)
	}
}
