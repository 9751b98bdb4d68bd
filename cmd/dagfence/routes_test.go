package main_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dagfence "github.com/dagfence/dagfence/cmd/dagfence"
)

func TestCompareRoutes_FailsWithMissingEndpoints(t *testing.T) {
	t.Parallel()
	const known = "../../caddymodule/route/testdata/airflow-3.3.2.tsv"
	newer := filepath.Join(t.TempDir(), "newer.tsv")
	content, err := os.ReadFile(known)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(newer, append(content, "PUT\t/pools/{pool}\t2026-06-30\t\t\texecution\t\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	said := new(strings.Builder)
	if err := dagfence.CompareRoutes(said, known, false); err != nil || !strings.Contains(said.String(), "every endpoint") {
		t.Errorf("a release that is known: %v, %q", err, said)
	}
	said.Reset()
	if err := dagfence.CompareRoutes(said, newer, false); err == nil || !strings.Contains(said.String(), "PUT /pools/{pool}") || strings.Contains(said.String(), "every endpoint") {
		t.Errorf("a release with one endpoint more: %v, %q", err, said)
	}
	for path, want := range map[string]string{"nowhere.tsv": "--compare: ", "routes.go": "airflow-routes.py"} {
		if err := dagfence.CompareRoutes(io.Discard, path, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", path, err, want)
		}
	}
}

func TestRoutes_PrintJSON(t *testing.T) {
	text, err := printed(t, "routes", "--json")
	var rows []map[string]string
	if err != nil || json.Unmarshal([]byte(text), &rows) != nil || len(rows) < 40 || len(rows[0]) != 7 {
		t.Errorf("%v, %.300s", err, text)
	}
	if !slices.ContainsFunc(rows, func(row map[string]string) bool {
		return row["method"] == "GET" && row["path"] == "/variables/{variable_key:path}" && row["touches"] == "variable" && row["token"] == "execution"
	}) {
		t.Errorf("no variable in %.300s", text)
	}
	text, err = printed(t, "routes", "--json", "--compare", "../../caddymodule/route/testdata/airflow-3.3.2.tsv")
	var found struct{ Missing, Extra []string }
	if err != nil || json.Unmarshal([]byte(text), &found) != nil || found.Missing == nil || len(found.Extra) == 0 {
		t.Errorf("%v, %s", err, text)
	}
}
