package airflow_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestUpstreamFilters_AreNotReliedOn has the newest releases answer what they
// filter by facts that they may not share with the fence: straight they hand out
// what belongs to another team, through the fence they do not.
func TestUpstreamFilters_AreNotReliedOn(t *testing.T) {
	t.Parallel()
	for _, version := range []string{latest, upcoming} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			wantNoFilterReliedOn(t, install(t, version))
		})
	}
}

func wantNoFilterReliedOn(t *testing.T, airflow *release) {
	t.Helper()
	server, w := seed(t, airflow)
	url, owners := server.URL("airflow", "airflow"), server.URL("dagfence", "airflow")
	upstream, wait := airflow.serve(t, url)
	// The api-server has multi_team on. A fence with its environment knows so, and one
	// with less of it, and without its airflow.cfg, only assumes it.
	less := airflow.with(map[string]string{"AIRFLOW_HOME": t.TempDir()}).without("AIRFLOW__CORE__MULTI_TEAM")
	known, unknowing := newFence(t, airflow), newFence(t, less)
	wait()
	file := w.ownershipFile(t)
	straight := &deployment{url: upstream}
	fenced := &deployment{url: known.proxy(t, upstream, "--database", owners, "--ownership-file", file)}
	unset := &deployment{url: unknowing.proxy(t, upstream, "--database", owners, "--ownership-file", file)}
	byFile := &deployment{url: known.proxy(t, upstream, "--database", owners, "--ownership-file",
		write(t, "by-file.yaml", []byte("dags: {dag_g: team_b, dag_a: team_b}\nassets: {asset_b: team_b}\n")))}

	const list = "/variables/keys"
	wantKeys := func(d *deployment, who string, status int, says string) {
		t.Helper()
		got := d.send(t, w, who, get(list))
		if got.status != status || !strings.Contains(got.body, says) || status == http.StatusForbidden && strings.Contains(got.body, "var_b") {
			t.Errorf("the list for %s: %d %s, want %d and %q", who, got.status, got.body, status, says)
		}
	}
	wantKeys(straight, taskA, 200, `"var_a"`)
	wantKeys(fenced, taskA, 200, `"var_a"`)
	wantKeys(unset, taskA, 403, "multi_team")
	// The file says team_b: Airflow lists what is team_a's, and everything for a dag of no team.
	wantKeys(byFile, taskA, 403, "is the same in Airflow's database and the ownership file")
	wantKeys(straight, taskG, 200, `"var_b"`)
	wantKeys(byFile, taskG, 403, "is the same in Airflow's database and the ownership file")

	// A task that reports itself up for retry, and lists.
	const leaving = "dag_a.mapped[2]"
	wantKeys(fenced, leaving, 200, `"var_a"`)
	report := patch("/task-instances/{"+leaving+"}/state", `{"state":"up_for_retry","end_date":"2026-01-01T01:00:00Z"}`)
	if got := fenced.send(t, w, leaving, report); got.status != http.StatusNoContent {
		t.Fatalf("reporting: %d %s", got.status, got.body)
	}
	wantKeys(straight, leaving, 200, `"var_b"`)
	wantKeys(fenced, leaving, 403, "current attempt")

	// A task that ties an alias of its own to another team's asset, and reads by it.
	for _, d := range []*deployment{fenced, byFile} {
		if got := d.send(t, w, taskA, get("/assets/by-alias?alias_name=of_its_own")); got.status != http.StatusOK || got.body != "[]" {
			t.Fatalf("an alias that there is not: %d %s", got.status, got.body)
		}
	}
	success := patch("/task-instances/{dag_a.mapped[3]}/state", `{"state":"success","end_date":"2026-01-01T01:00:00Z",
		"task_outlets":[{"name":"of_its_own","type":"AssetAlias"}],
		"outlet_events":[{"source_alias_name":"of_its_own","dest_asset_key":{"name":"asset_b","uri":"s3://bucket/asset_b"},"dest_asset_extra":{},"extra":{}}]}`)
	if got := fenced.send(t, w, "dag_a.mapped[3]", success); got.status != http.StatusNoContent {
		t.Fatalf("reporting success: %d %s", got.status, got.body)
	}
	for _, request := range []string{"/assets/by-alias?alias_name=of_its_own", "/asset-events/by-asset-alias?name=of_its_own"} {
		if got := straight.send(t, w, taskA, get(request)); got.status != http.StatusOK || !strings.Contains(got.body, "asset_b") {
			t.Errorf("straight, %s: %d %s", request, got.status, got.body)
		}
		if got := fenced.send(t, w, taskA, get(request)); got.status != http.StatusForbidden || strings.Contains(got.body, "asset_b") {
			t.Errorf("fenced, %s: %d %s", request, got.status, got.body)
		}
		if got := fenced.send(t, w, taskB, get(request)); got.status != http.StatusOK || !strings.Contains(got.body, "asset_b") {
			t.Errorf("fenced, %s for the team itself: %d %s", request, got.status, got.body)
		}
	}
}
