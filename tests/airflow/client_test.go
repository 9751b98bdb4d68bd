package airflow_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sdkStraight is what the Task SDK of 3.3.2 reports to a task of team_a: "ok",
// the kind of error, or the exception. NOT_FOUND lets the secrets dispatcher go
// on to the next backend, PERMISSION_DENIED does not.
var sdkStraight = map[string]string{
	"own variable":                "ok",
	"other team's variable":       "VARIABLE_NOT_FOUND",
	"missing variable":            "VARIABLE_NOT_FOUND",
	"write other team's variable": "ok",
	"own connection":              "ok",
	"other team's connection":     "CONNECTION_NOT_FOUND",
	"missing connection":          "CONNECTION_NOT_FOUND",
	"other team's xcom":           "ServerResponseError 403",
	"count of other team's xcoms": "HTTPStatusError 403", // HEAD has no body to parse
	"write another task's xcom":   "ok",
	"write own xcom":              "ok",
	"trigger other team's dag":    "ok",
	"trigger unknown dag":         "ServerResponseError 404",
	"previous successful run":     "ok",
}

// sdkFenced is the same through the fence.
var sdkFenced = map[string]string{
	"own variable":                "ok",
	"other team's variable":       "PERMISSION_DENIED",
	"missing variable":            "VARIABLE_NOT_FOUND",
	"write other team's variable": "ServerResponseError 403",
	"own connection":              "ok",
	"other team's connection":     "PERMISSION_DENIED",
	"missing connection":          "CONNECTION_NOT_FOUND",
	"other team's xcom":           "ServerResponseError 403",
	"count of other team's xcoms": "HTTPStatusError 403",
	"write another task's xcom":   "ServerResponseError 403",
	"write own xcom":              "ok",
	"trigger other team's dag":    "ServerResponseError 403",
	"trigger unknown dag":         "ServerResponseError 404",
	"previous successful run":     "ok",
}

// viaSDK runs client.py as the task.
func viaSDK(t *testing.T, airflow *release, w *world, url string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "outcomes.json")
	airflow.run(t, "sqlite://", "python", "client.py", url, w.Tokens[taskA], w.IDs[taskA], file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes map[string]string
	if err := json.Unmarshal(content, &outcomes); err != nil {
		t.Fatalf("reading what client.py wrote: %v", err)
	}
	return outcomes
}

// diff names what got has otherwise than want, a line each.
func diff(got, want map[string]string) string {
	var lines strings.Builder
	for name := range want {
		if got[name] != want[name] {
			fmt.Fprintf(&lines, "%s: %q, want %q\n", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		fmt.Fprintf(&lines, "%d calls, want %d\n", len(got), len(want))
	}
	return lines.String()
}
