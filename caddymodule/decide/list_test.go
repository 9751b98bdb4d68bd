package decide_test

import (
	"testing"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/resolver"
)

const list = "GET /variables/keys"

func TestVariableKeys_AreListedByTasksOfATeam(t *testing.T) {
	t.Parallel()
	// An older upstream reads the variable named keys, which is team_b's.
	r := rules{T: t, version: newest, policy: decide.Policy{MultiTeamKnown: true}}
	r.allow(taskB, list, decide.OwnResource)
	r.deny(taskA, list, decide.OtherTeam)
	r.deny(teamless, list, decide.TeamlessTask)
	r.deny(unknown, list, decide.UnknownTask)
	r.policy.AllowTeamless = true
	r.allow(teamless, list, decide.TeamlessTask)
	r.deny(taskA, list, decide.OtherTeam)
	r.policy.MultiTeamOff = true
	r.allow(taskA, list, decide.SingleTeam)
}

func TestVariableKeys_AreListedByFactsThatUpstreamShares(t *testing.T) {
	t.Parallel()
	known := decide.Policy{MultiTeamKnown: true}
	signed := identity.TaskClaims{DagID: "dag_b"}
	for name, test := range map[string]struct {
		policy  decide.Policy
		claimed identity.TaskClaims
		change  func(row *resolver.Answer)
		outcome decide.Outcome
		reason  decide.Reason
	}{
		"all of them":                        {known, identity.TaskClaims{}, func(*resolver.Answer) {}, decide.Allow, decide.OwnResource},
		"all of them, and a signed dag":      {known, signed, func(*resolver.Answer) {}, decide.Allow, decide.OwnResource},
		"multi_team is assumed":              {decide.Policy{}, identity.TaskClaims{}, func(*resolver.Answer) {}, decide.Deny, decide.MultiTeamUnset},
		"an attempt of the past":             {known, identity.TaskClaims{}, func(row *resolver.Answer) { row.Current = false }, decide.Deny, decide.NotCurrentTask},
		"the past of a signed dag":           {known, signed, func(row *resolver.Answer) { row.Current = false }, decide.Deny, decide.NotCurrentTask},
		"no task, and a signed dag":          {known, signed, func(row *resolver.Answer) { *row = resolver.Answer{Outcome: resolver.NotFound} }, decide.Deny, decide.NotCurrentTask},
		"the task of another dag":            {known, signed, func(row *resolver.Answer) { row.Task.DagID = "dag_b2" }, decide.Deny, decide.ClaimsDiffer},
		"a team by the file alone":           {known, identity.TaskClaims{}, func(row *resolver.Answer) { row.StoredTeam = "" }, decide.Deny, decide.TeamNotStored},
		"another team by the file":           {known, identity.TaskClaims{}, func(row *resolver.Answer) { row.StoredTeam = "team_a" }, decide.Deny, decide.TeamNotStored},
		"a source that can't be reached":     {known, signed, func(row *resolver.Answer) { *row = resolver.Answer{} }, decide.Unavailable, decide.SourceDown},
		"a source of an older release":       {known, identity.TaskClaims{}, func(row *resolver.Answer) { row.Current, row.StoredTeam = false, "" }, decide.Deny, decide.NotCurrentTask},
		"audited, an attempt of the past":    {decide.Policy{MultiTeamKnown: true, Variables: decide.Audit}, identity.TaskClaims{}, func(row *resolver.Answer) { row.Current = false }, decide.Deny, decide.NotCurrentTask},
		"off, though nothing of it is known": {decide.Policy{Variables: decide.Off}, identity.TaskClaims{}, func(row *resolver.Answer) { *row = resolver.Answer{} }, decide.Allow, decide.RuleOff},
	} {
		match, who := find(t, list, newest), execution(taskB)
		who.Claims = test.claimed
		questions := decide.Needs(&match, who, &test.policy)
		answers := ask(questions)
		for i, question := range questions {
			if question.Kind != resolver.KindTask {
				continue
			}
			test.change(&answers[i])
			if question.Freshness != resolver.Fresh || question.IdentityOnly {
				t.Errorf("%s: the task is asked for as %+v", name, question)
			}
		}
		d := decide.Judge(&match, who, &test.policy, questions, answers)
		if d.Outcome != test.outcome || d.Reason != test.reason {
			t.Errorf("%s: %v (%s), want %v (%s)", name, d.Outcome, d.Reason, test.outcome, test.reason)
		}
	}
}

func TestAskAgain_IsForWhatUpstreamFindsByCurrentFacts(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]bool{
		list:                                true,
		"GET /assets/by-alias?alias_name=a": true,
		"GET /asset-events/by-asset-alias?name=a": true,
		"GET /assets/by-name?name=a":              false,
		"GET /asset-events/by-asset?name=a&uri=b": false,
		"GET /variables/k":                        false,
		"PUT /variables/keys":                     false,
		"GET /health":                             false,
	} {
		match := find(t, request, newest)
		if got := decide.AskAgain(&match); got != want {
			t.Errorf("%s: %v, want %v", request, got, want)
		}
	}
}

func TestAsset_OfSeveralOwnersNeedsEachToAllowIt(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, id := range []string{taskA, taskB} {
		for _, request := range []string{
			"GET /assets/by-name?name=asset_ab", "GET /assets/by-alias?alias_name=alias_ab", "GET /asset-events/by-asset-alias?name=alias_ab",
			"PUT /store/asset/by-name/value?name=asset_ab&key=k", "DELETE /store/asset/by-name/clear?name=asset_ab",
		} {
			r.deny(id, request, decide.OtherTeam)
		}
	}
	r.deny(teamless, "GET /assets/by-name?name=asset_ab", decide.TeamlessTask)
	r.policy.AllowTeamless = true
	r.allow(teamless, "GET /assets/by-name?name=asset_ab", decide.TeamlessTask)
	r.allow(taskA, "GET /assets/by-alias?alias_name=alias_a", decide.OwnResource)
	r.deny(taskA, "GET /asset-events/by-asset-alias?name=alias_b", decide.OtherTeam)
	r.allow(taskA, "GET /assets/by-alias?alias_name=asset_b", decide.IsGlobal)
}
