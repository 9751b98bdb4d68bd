package edge_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/resolver"
)

// ignoredDenials returns the counters of denials that are not 0, by their label.
func ignoredDenials(metrics string) string {
	var counters []string
	for line := range strings.Lines(metrics) {
		if counter, ok := strings.CutPrefix(line, `dagfence_denials_not_honoured_total{sdk_version="`); ok && !strings.HasSuffix(counter, " 0\n") {
			counters = append(counters, strings.TrimSpace(strings.Replace(counter, `"}`, "", 1)))
		}
	}
	return strings.Join(counters, ", ")
}

func userAgent(version string) string {
	return "User-Agent: apache-airflow-task-sdk/" + version + " (Python/3.11.2)"
}

func TestIgnoredDenials_AreCounted(t *testing.T) {
	e, status := startWithStatus(t, "")
	e.world.Refuse(resolver.KindVariable, "var_down", resolver.Unavailable)
	const denied, reason = http.StatusForbidden, "access_denied"
	old := userAgent("1.1.8")
	for _, request := range []string{
		"GET /variables/var_b", "GET /connections/conn_b", // these two are counted
		"PUT /variables/var_b", "DELETE /variables/var_b", "GET /dags/dag_b", "GET /xcoms/dag_b/" + run + "/t1/return_value",
	} {
		e.refused(t, taskA, request, denied, reason, old)
	}
	e.refused(t, taskA, "GET /variables/var_down", http.StatusServiceUnavailable, "owner_unavailable", old)
	e.allowed(t, taskA, "GET /variables/var_a", old)
	e.isRefusal(t, "a bad token", e.send(t, "GET /variables/var_b", old, "Authorization: Bearer a.b.c"), denied, "invalid_token")

	for _, client := range []string{userAgent("1.2.1"), userAgent("1.1.77"), userAgent("1.2.2"), userAgent("1.0.6"), "User-Agent: curl/8.5.0"} {
		e.refused(t, taskA, "GET /variables/var_b", denied, reason, client)
	}
	_, metrics := status("/metrics")
	if got, want := ignoredDenials(metrics), "1.1.8 2, 1.2.1 1, other 1"; got != want {
		t.Errorf("counted: %s\nwant: %s", got, want)
	}
	if !strings.Contains(metrics, `dagfence_denials_not_honoured_total{sdk_version="1.2.0"} 0`) {
		t.Error("a release that was not seen does not start from 0")
	}
}

// No other backend is asked for a list.
func TestIgnoredDenials_ExcludeLists(t *testing.T) {
	e, status := startWithStatus(t, "")
	e.refused(t, teamless, "GET /variables/keys", http.StatusForbidden, "access_denied", userAgent("1.1.8"), "Airflow-API-Version: 2026-06-30")
	if _, metrics := status("/metrics"); ignoredDenials(metrics) != "" {
		t.Errorf("counted: %s", ignoredDenials(metrics))
	}
}

func TestIgnoredDenials_ExcludeAudit(t *testing.T) {
	e, status := startWithStatus(t, "mode audit")
	e.allowed(t, taskA, "GET /variables/var_b", userAgent("1.1.8"))
	if _, metrics := status("/metrics"); ignoredDenials(metrics) != "" {
		t.Errorf("counted: %s", ignoredDenials(metrics))
	}
}
