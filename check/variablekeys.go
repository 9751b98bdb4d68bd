package check

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
)

// keysSince is the API version that lists variable keys (Airflow 3.3).
const keysSince = "2026-06-30"

// checkVariableKeys checks that upstream filters the list of variable keys by the
// task's team, which the fence relies on. It reports how many keys there are, and
// none of them.
func (r *run) checkVariableKeys(ctx context.Context) {
	const check = "variable keys"
	switch {
	case r.configured && r.settings.MultiTeam == config.Off:
		r.skip(check, "multi_team is off")
		return
	case r.task == nil || r.owners == nil:
		r.skip(check, "needs an accepted task's token (--token-file), upstream and the owners")
		return
	case r.apiVersion < keysSince:
		r.skip(check, "upstream's API version does not list them")
		return
	}
	team, err := r.teamOf(ctx, resolver.KindTask, r.task.ID)
	switch {
	case err != nil:
		r.skip(check, "the task's team is not known: %v", err)
		return
	case team == "":
		r.skip(check, "the task has no team: use the token of one with a team")
		return
	}
	answer, err := r.upstream.get(ctx, "/variables/keys?limit=1000", "Authorization", "Bearer "+r.Token, "Airflow-API-Version", keysSince)
	var listed struct{ Keys []string }
	if err != nil || answer.status != http.StatusOK || json.Unmarshal(answer.body, &listed) != nil {
		r.problem(check, "upstream answers %d, and no list: see its log (%v)", answer.status, err)
		return
	}
	foreign, err := r.foreign(ctx, listed.Keys, team)
	switch {
	case err != nil:
		r.skip(check, "their owners are not known: %v", err)
	case foreign > 0:
		r.problem(check, "upstream lists %d keys of other teams among %d: set AIRFLOW__CORE__MULTI_TEAM=True at the api-server", foreign, len(listed.Keys))
	default:
		r.ok(check, "none of the %d that upstream lists is another team's", len(listed.Keys))
	}
}

func (r *run) teamOf(ctx context.Context, kind resolver.Kind, name string) (string, error) {
	answer := r.owners.Resolve(ctx, []resolver.Question{{Key: resolver.Key{Kind: kind, Name: name}}})[0]
	return answer.Team, answer.Err
}

// foreign returns how many of the keys other teams own.
func (r *run) foreign(ctx context.Context, keys []string, team string) (int, error) {
	count := 0
	for some := range slices.Chunk(keys, resolver.MaxQuestions) {
		questions := make([]resolver.Question, len(some))
		for i, key := range some {
			questions[i].Key = resolver.Key{Kind: resolver.KindVariable, Name: key}
		}
		for _, answer := range r.owners.Resolve(ctx, questions) {
			if answer.Err != nil {
				return 0, answer.Err
			}
			if answer.Team != "" && answer.Team != team {
				count++
			}
		}
	}
	return count, nil
}
