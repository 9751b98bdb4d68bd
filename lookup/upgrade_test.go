package lookup_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/lookup"
)

// answer1 is what a fence with version 1 of the wire reads of an answer. Found
// without a team makes it take the whole response for garbage, so unavailable.
type answer1 struct {
	Outcome string  `json:"outcome"`
	Team    *string `json:"team"`
	Task    *struct {
		DagID    string `json:"dag_id"`
		RunID    string `json:"run_id"`
		TaskID   string `json:"task_id"`
		MapIndex *int   `json:"map_index"`
	} `json:"task"`
	AgeMS int64 `json:"age_ms"`
}

// TestOldFence_AsksANewLookupService sends, byte for byte, what fences with version
// 1 of the wire send. They call every name of an asset "asset".
func TestOldFence_AsksANewLookupService(t *testing.T) {
	t.Parallel()
	s := sqliteFiles()
	db, url := s.airflow(t, "3.3")
	putAssets(t, s, db, "3.3")
	h := lookup.NewHandlerOf(directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, assetOwners)}), bearer)
	for name, want := range map[string]string{ // the team, "none" where there is no owner, "garbage" where it must not pass
		"asset_b": "team_b", "s3://b/two": "team_b", "by_uri_alone": "team_b", "alias_events_b": "team_b", "free": "",
		"nowhere": "none", "shared": "garbage", "alias_ab": "garbage",
	} {
		w := post(t, h, `{"questions":[{"kind":"task","name":"`+taskA+`"},{"kind":"asset","name":"`+name+`"}]}`)
		var response struct{ Answers []answer1 }
		if err := json.Unmarshal(w.Body.Bytes(), &response); err != nil || w.Code != http.StatusOK || len(response.Answers) != 2 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		task, asset := response.Answers[0], response.Answers[1]
		if task.Outcome != "found" || *task.Team != "team_a" || task.Task.DagID != "dag_a" || *task.Task.MapIndex != -1 {
			t.Errorf("the task is %+v", task)
		}
		got := "garbage"
		switch {
		case asset.Outcome == "not_found":
			got = "none"
		case asset.Outcome == "found" && asset.Team != nil:
			got = *asset.Team
		}
		if got != want || asset.AgeMS < 0 || strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("asset %q is %q to an old fence, want %q: %s", name, got, want, w.Body)
		}
	}
}
