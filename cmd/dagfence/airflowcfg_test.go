package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// What the commands take from Airflow themselves is in airflow.cfg as well.
func TestCommands_ReadAirflowCfg(t *testing.T) {
	home := t.TempDir()
	t.Setenv("AIRFLOW_HOME", home)
	t.Setenv("AIRFLOW_CONFIG", "$AIRFLOW_HOME/airflow.cfg")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(home, "airflow.cfg"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	owners := file(t, "owners.yaml", "dags: {}")

	write("[database]\nsql_alchemy_conn = sqlite:////a%%20b.db\nsql_alchemy_schema = air\n[api]\nbase_url = https://airflow.example/a/\n" +
		"[core]\nexecution_api_server_url = http://127.0.0.1:1/a/execution/\n[api_auth]\njwt_secret = " + strings.Repeat("s", 64) + "\n")
	if database, schema, err := main.DatabaseOf(""); err != nil || database != "sqlite:////a%20b.db" || schema != "air" {
		t.Errorf("lookup reads %q, schema %q, %v", database, schema, err)
	}
	if database, _, err := main.DatabaseOf("sqlite:////flag.db"); err != nil || database != "sqlite:////flag.db" {
		t.Errorf("lookup takes %q for the flag, %v", database, err)
	}
	printed, err := checked(t, "--ownership-file", owners)
	if err == nil || !strings.Contains(printed, "complete: base_path /a/execution, multi_team on") || !strings.Contains(printed, "problem      tasks' URL") {
		t.Errorf("check: %v\n%s", err, printed)
	}

	write("[core]\n[core]\n")
	if database, _, err := main.DatabaseOf(""); err == nil {
		t.Errorf("lookup reads %q from a file that is wrong", database)
	}
	printed, err = checked(t, "--ownership-file", owners)
	if err == nil || !strings.Contains(printed, "problem      configuration   "+home+"/airflow.cfg: line 2: duplicate section [core]: merge them") {
		t.Errorf("check of a file that is wrong: %v\n%s", err, printed)
	}
}
