package main_test

import (
	"io"
	"os"
	"path/filepath"
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
	if err := dagfence.CompareRoutes(said, known); err != nil || !strings.Contains(said.String(), "every endpoint") {
		t.Errorf("a release that is known: %v, %q", err, said)
	}
	said.Reset()
	if err := dagfence.CompareRoutes(said, newer); err == nil || !strings.Contains(said.String(), "PUT /pools/{pool}") || strings.Contains(said.String(), "every endpoint") {
		t.Errorf("a release with one endpoint more: %v, %q", err, said)
	}
	for path, want := range map[string]string{"nowhere.tsv": "--compare: ", "routes.go": "airflow-routes.py"} {
		if err := dagfence.CompareRoutes(io.Discard, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", path, err, want)
		}
	}
}
