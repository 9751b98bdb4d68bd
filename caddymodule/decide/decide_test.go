package decide_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

const (
	taskA    = "018f0000-0000-7000-8000-00000000000a" // dag_a, t1
	mappedA  = "018f0000-0000-7000-8000-0000000000a3" // dag_a, t1, map index 3
	taskB    = "018f0000-0000-7000-8000-00000000000b" // dag_b, t1
	teamless = "018f0000-0000-7000-8000-00000000000c" // dag_g, t1
	unknown  = "018f0000-0000-7000-8000-0000000000ff"
	run      = "manual__1"
	newest   = "2026-10-30"
)

var asOf = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func found(team string, others ...string) resolver.Answer {
	return resolver.Answer{Outcome: resolver.Found, Team: team, Others: others, AsOf: asOf}
}

// granting is [found] with what others than the owners are granted.
func granting(read, trigger string, teams ...string) resolver.Answer {
	a := found(teams[0], teams[1:]...)
	a.Grants = &resolver.Grants{Read: strings.Fields(read), Trigger: strings.Fields(trigger)}
	return a
}

func task(dag, team string, mapIndex int) resolver.Answer {
	a := found(team)
	a.Task = resolver.Task{DagID: dag, RunID: run, TaskID: "t1", MapIndex: mapIndex}
	a.Current, a.StoredTeam = true, team
	return a
}

// world is who owns what; what is not in it is not found.
var world = map[resolver.Key]resolver.Answer{
	{Kind: resolver.KindTask, Name: taskA}:               task("dag_a", "team_a", -1),
	{Kind: resolver.KindTask, Name: mappedA}:             task("dag_a", "team_a", 3),
	{Kind: resolver.KindTask, Name: taskB}:               task("dag_b", "team_b", -1),
	{Kind: resolver.KindTask, Name: teamless}:            task("dag_g", "", -1),
	{Kind: resolver.KindDag, Name: "dag_a"}:              found("team_a"),
	{Kind: resolver.KindDag, Name: "dag_a2"}:             found("team_a"),
	{Kind: resolver.KindDag, Name: "dag_b"}:              found("team_b"),
	{Kind: resolver.KindDag, Name: "dag_g"}:              found(""),
	{Kind: resolver.KindDag, Name: "read_b"}:             granting("team_a", "", "team_b"),
	{Kind: resolver.KindDag, Name: "trigger_b"}:          granting("", "team_a", "team_b"),
	{Kind: resolver.KindDag, Name: "read_all"}:           granting("*", "", "team_b"),
	{Kind: resolver.KindDag, Name: "trigger_all"}:        granting("", "*", "team_b"),
	{Kind: resolver.KindDag, Name: "others_b"}:           granting("team_c", "team_d", "team_b"),
	{Kind: resolver.KindVariable, Name: "granted_b"}:     granting("*", "*", "team_b"),
	{Kind: resolver.KindConnection, Name: "granted_b"}:   granting("*", "*", "team_b"),
	{Kind: resolver.KindAssetName, Name: "read_b"}:       granting("team_a", "", "team_b"),
	{Kind: resolver.KindAssetURI, Name: "s3://read_b"}:   granting("*", "", "team_b"),
	{Kind: resolver.KindAssetName, Name: "read_bc"}:      granting("team_a", "", "team_b", "team_c"),
	{Kind: resolver.KindAssetAlias, Name: "alias_read"}:  granting("team_a", "", "team_b", "team_a"),
	{Kind: resolver.KindVariable, Name: "var_a"}:         found("team_a"),
	{Kind: resolver.KindVariable, Name: "var_b"}:         found("team_b"),
	{Kind: resolver.KindVariable, Name: "var_g"}:         found(""),
	{Kind: resolver.KindVariable, Name: "keys"}:          found("team_b"),
	{Kind: resolver.KindVariable, Name: "_TEAM_A___ROW"}: found("team_a"),
	{Kind: resolver.KindVariable, Name: "_TEAM_B___ROW"}: found(""),
	{Kind: resolver.KindConnection, Name: "conn_a"}:      found("team_a"),
	{Kind: resolver.KindConnection, Name: "conn_b"}:      found("team_b"),
	{Kind: resolver.KindConnection, Name: "conn_g"}:      found(""),
	{Kind: resolver.KindAssetName, Name: "asset_b"}:      found("team_b"),
	{Kind: resolver.KindAssetName, Name: "asset_a"}:      found("team_a"),
	{Kind: resolver.KindAssetName, Name: "asset_ab"}:     found("team_a", "team_b"),
	{Kind: resolver.KindAssetURI, Name: "s3://b"}:        found("team_b"),
	{Kind: resolver.KindAssetURI, Name: "s3://a"}:        found("team_a"),
	{Kind: resolver.KindAssetAlias, Name: "alias_a"}:     found("team_a"),
	{Kind: resolver.KindAssetAlias, Name: "alias_b"}:     found("team_b"),
	{Kind: resolver.KindAssetAlias, Name: "alias_ab"}:    found("team_a", "team_b"),
}

func ask(questions []resolver.Question) []resolver.Answer {
	answers := make([]resolver.Answer, len(questions))
	for i, q := range questions {
		answer, known := world[q.Key]
		if !known {
			answer = resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
		}
		answers[i] = answer
	}
	return answers
}

func find(t *testing.T, request, version string) route.Match {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	path, query, _ := strings.Cut(target, "?")
	match, err := route.Find(route.Request{Method: method, Path: path, RawQuery: query, APIVersion: version, HasAPIVersion: version != ""})
	if err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	return match
}

func execution(id string) *identity.Task {
	return &identity.Task{ID: id, Scope: identity.ScopeExecution}
}

// rules is a policy under test.
type rules struct {
	*testing.T
	policy  decide.Policy
	version string
}

func (r rules) decide(who *identity.Task, request string) decide.Decision {
	r.Helper()
	match := find(r.T, request, r.version)
	questions := decide.Needs(&match, who, &r.policy)
	// The task, its dag where the token names it, and what each of two readings touches.
	if len(questions) > 6 {
		r.Errorf("%s needs %d questions, more than 6", request, len(questions))
	}
	return decide.Judge(&match, who, &r.policy, questions, ask(questions))
}

func (r rules) allow(id, request string, why decide.Reason) {
	r.Helper()
	if d := r.decide(execution(id), request); d.Outcome != decide.Allow || d.Reason != why {
		r.Errorf("%s by %s: %v (%s), want allow (%s)", request, id, d.Outcome, d.Reason, why)
	}
}

func (r rules) deny(id, request string, why decide.Reason) {
	r.Helper()
	if d := r.decide(execution(id), request); d.Outcome != decide.Deny || d.Reason != why {
		r.Errorf("%s by %s: %v (%s), want deny (%s)", request, id, d.Outcome, d.Reason, why)
	}
}

func (r rules) notFound(id, request string) {
	r.Helper()
	if d := r.decide(execution(id), request); d.Outcome != decide.NotFound || d.Reason != decide.UnknownDag {
		r.Errorf("%s by %s: %v (%s), want not_found", request, id, d.Outcome, d.Reason)
	}
}

func TestSecrets_StayWithinTheTeam(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		r.allow(taskA, method+" /variables/var_a", decide.OwnResource)
		r.allow(taskA, method+" /variables/var_g", decide.IsGlobal)
		r.deny(taskA, method+" /variables/var_b", decide.OtherTeam)
		r.deny(teamless, method+" /variables/var_b", decide.TeamlessTask)
		r.allow(teamless, method+" /variables/var_g", decide.OwnResource)
		r.deny(unknown, method+" /variables/var_g", decide.UnknownTask)
		r.deny(unknown, method+" /variables/nowhere", decide.UnknownTask)
		r.allow(taskA, method+" /variables/nowhere", decide.NotStored)
		r.allow(taskA, method+" /variables/_x", decide.NotStored)
		r.deny(taskA, method+" /variables/_TEAM_B___SECRET", decide.TeamEnvironment)
		r.allow(taskA, method+" /variables/_TEAM_A___ROW", decide.OwnResource)
		r.deny(taskB, method+" /variables/_TEAM_A___ROW", decide.OtherTeam)
		r.deny(taskA, method+" /variables/_TEAM_B___ROW", decide.TeamEnvironment)
	}
	r.allow(taskA, "GET /connections/conn_a", decide.OwnResource)
	r.allow(taskA, "GET /connections/conn_g", decide.IsGlobal)
	r.allow(taskA, "GET /connections/nowhere", decide.NotStored)
	r.deny(taskA, "GET /connections/conn_b", decide.OtherTeam)
	r.deny(taskA, "GET /connections/_TEAM_B___DB", decide.TeamEnvironment)
	r.deny(teamless, "GET /connections/conn_a", decide.TeamlessTask)
}

func TestXComs_AreReadWithinTheTeam(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, request := range []string{"GET %/k", "HEAD %/k", "GET %/k/item/0", "GET %/k/slice"} {
		at := func(dag string) string { return strings.ReplaceAll(request, "%", "/xcoms/"+dag+"/"+run+"/t1") }
		r.allow(taskA, at("dag_a"), decide.OwnResource)
		r.allow(taskA, at("dag_a2"), decide.OwnResource)
		r.allow(taskA, at("dag_g"), decide.IsGlobal)
		r.deny(taskA, at("dag_b"), decide.OtherTeam)
		r.deny(teamless, at("dag_b"), decide.TeamlessTask)
		r.deny(unknown, at("dag_g"), decide.UnknownTask)
		r.notFound(taskA, at("dag_nowhere"))
	}
}

func TestXComs_AreWrittenByTheTaskItself(t *testing.T) {
	t.Parallel()
	own, other := "/xcoms/dag_a/"+run+"/t1/k", "/xcoms/dag_a/"+run+"/t2/k"
	for _, method := range []string{"POST", "DELETE"} {
		r := rules{T: t, version: newest}
		r.allow(taskA, method+" "+own, decide.OwnResource)
		r.allow(taskA, method+" "+own+"?map_index=-1", decide.OwnResource)
		r.allow(mappedA, method+" "+own+"?map_index=3", decide.OwnResource)
		r.deny(taskA, method+" "+own+"?map_index=3", decide.NotOwnTask)
		r.deny(mappedA, method+" "+own, decide.NotOwnTask)
		r.deny(taskA, method+" "+other, decide.NotOwnTask)
		r.deny(taskA, method+" /xcoms/dag_a/another_run/t1/k", decide.NotOwnTask)
		r.deny(taskA, method+" /xcoms/dag_a2/"+run+"/t1/k", decide.NotOwnTask)
		r.deny(taskA, method+" /xcoms/dag_b/"+run+"/t1/k", decide.NotOwnTask)
		r.deny(unknown, method+" "+own, decide.UnknownTask)

		r.policy.XComWrites = decide.OwnTask
		r.allow(taskA, method+" "+own+"?map_index=3", decide.OwnResource)
		r.deny(taskA, method+" "+other, decide.NotOwnTask)
		r.deny(taskA, method+" /xcoms/dag_a/another_run/t1/k", decide.NotOwnTask)

		r.policy.XComWrites = decide.OwnDag
		r.allow(taskA, method+" "+other, decide.OwnResource)
		r.allow(taskA, method+" /xcoms/dag_a/another_run/t2/k", decide.OwnResource)
		r.deny(taskA, method+" /xcoms/dag_a2/"+run+"/t1/k", decide.NotOwnTask)

		r.policy.XComWrites = decide.OwnTeam
		r.allow(taskA, method+" /xcoms/dag_a2/"+run+"/t1/k", decide.OwnResource)
		r.deny(taskA, method+" /xcoms/dag_b/"+run+"/t1/k", decide.OtherTeam)
		r.deny(taskA, method+" /xcoms/dag_g/"+run+"/t1/k", decide.GlobalWrite)
		r.allow(teamless, method+" /xcoms/dag_g/"+run+"/t2/k", decide.OwnResource)
		r.policy.AllowTeamless = true
		r.deny(teamless, method+" /xcoms/dag_a/"+run+"/t1/k", decide.TeamlessTask)
		r.policy.MultiTeamOff = true
		r.allow(taskA, method+" /xcoms/dag_b/"+run+"/t1/k", decide.SingleTeam)

		r.policy.XComWrites = decide.OwnTaskInstance
		r.allow(taskA, method+" "+own, decide.OwnResource)
		r.deny(taskA, method+" "+other, decide.NotOwnTask)
	}
}

func TestXComDelete_WithoutMapIndexIsAirflow30sAlone(t *testing.T) {
	t.Parallel()
	request := " /xcoms/dag_a/" + run + "/t1/k"
	for _, version := range []string{"2025-04-11", "2025-08-10", "2025-09-22"} {
		r := rules{T: t, version: version}
		r.allow(mappedA, "DELETE"+request, decide.OwnResource)
		r.deny(mappedA, "DELETE"+request+"?map_index=2", decide.NotOwnTask)
		r.deny(mappedA, "POST"+request, decide.NotOwnTask)
		r.deny(mappedA, "DELETE /xcoms/dag_a/"+run+"/t2/k", decide.NotOwnTask)
	}
	for _, version := range []string{"", "2025-09-23", newest} {
		r := rules{T: t, version: version}
		r.deny(mappedA, "DELETE"+request, decide.NotOwnTask)
	}
}

func TestDags_StayWithinTheTeam(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	requests := []string{
		"GET /dag-runs/%/r", "GET /dag-runs/%/r/state", "GET /dag-runs/previous?dag_id=%", "GET /dags/%",
		"GET /task-instances/previous/%/t1", "GET /task-instances/breadcrumbs?dag_id=%&run_id=r",
		"POST /dag-runs/%/r", "POST /dag-runs/%/r/clear",
	}
	counts := []string{"GET /dag-runs/count?dag_id=%", "GET /task-instances/count?dag_id=%", "GET /task-instances/states?dag_id=%"}
	for _, request := range append(requests, counts...) {
		at := func(dag string) string { return strings.ReplaceAll(request, "%", dag) }
		r.allow(taskA, at("dag_a"), decide.OwnResource)
		r.allow(taskA, at("dag_a2"), decide.OwnResource)
		r.allow(taskA, at("dag_g"), decide.IsGlobal)
		r.deny(taskA, at("dag_b"), decide.OtherTeam)
		r.deny(teamless, at("dag_a"), decide.TeamlessTask)
		r.allow(teamless, at("dag_g"), decide.OwnResource)
		r.deny(unknown, at("dag_g"), decide.UnknownTask)
	}
	for _, request := range requests {
		r.notFound(taskA, strings.ReplaceAll(request, "%", "dag_nowhere"))
	}
	for _, request := range counts {
		r.allow(taskA, strings.ReplaceAll(request, "%", "dag_nowhere"), decide.NotStored)
	}
}

func TestAssets_AreGlobalWithoutOwnershipFile(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	r.allow(taskA, "GET /assets/by-name?name=asset_free", decide.IsGlobal)
	r.allow(taskA, "GET /assets/by-name?name=asset_a", decide.OwnResource)
	r.deny(taskA, "GET /assets/by-name?name=asset_b", decide.OtherTeam)
	r.deny(taskA, "GET /assets/by-uri?uri=s3://b", decide.OtherTeam)
	r.allow(taskA, "GET /assets/by-uri?uri=asset_b", decide.IsGlobal)
	r.deny(taskA, "GET /asset-events/by-asset?name=asset_a&uri=s3://b", decide.OtherTeam)
	r.deny(taskA, "GET /asset-events/by-asset?name=asset_b&uri=s3://a", decide.OtherTeam)
	r.allow(taskA, "GET /asset-events/by-asset?name=asset_a&uri=s3://a", decide.OwnResource)
	r.deny(taskA, "PUT /store/asset/by-name/value?name=asset_b&key=k", decide.OtherTeam)
	r.allow(taskA, "PUT /store/asset/by-name/value?name=asset_free&key=k", decide.IsGlobal)
	r.policy.DenyGlobalWrites = true
	r.deny(taskA, "PUT /store/asset/by-name/value?name=asset_free&key=k", decide.GlobalWrite)
	r.allow(taskA, "GET /store/asset/by-name/value?name=asset_free&key=k", decide.IsGlobal)
}

func TestGrants_LetOthersUseDags(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	reads := []string{
		"GET /dag-runs/%/r", "GET /dag-runs/%/r/state", "GET /dag-runs/previous?dag_id=%", "GET /dags/%",
		"GET /task-instances/previous/%/t1", "GET /task-instances/breadcrumbs?dag_id=%&run_id=r",
		"GET /dag-runs/count?dag_id=%", "GET /task-instances/count?dag_id=%", "GET /task-instances/states?dag_id=%",
	}
	triggers := []string{"POST /dag-runs/%/r", "POST /dag-runs/%/r/clear"}
	xcoms := []string{"GET /xcoms/%/r/t1/k", "HEAD /xcoms/%/r/t1/k", "GET /xcoms/%/r/t1/k/item/0", "GET /xcoms/%/r/t1/k/slice"}
	for _, c := range []struct {
		dag             string
		reads, triggers bool // by team_a
		all             bool // by a task of no team too
	}{
		{"read_b", true, false, false},
		{"trigger_b", true, true, false},
		{"read_all", true, false, true},
		{"trigger_all", true, true, true},
		{"others_b", false, false, false},
	} {
		expect := func(who string, allowed bool, request string, denied decide.Reason) {
			t.Helper()
			request = strings.ReplaceAll(request, "%", c.dag)
			if allowed {
				r.allow(who, request, decide.Granted)
			} else {
				r.deny(who, request, denied)
			}
			r.allow(taskB, request, decide.OwnResource)
			r.deny(unknown, request, decide.UnknownTask)
		}
		for _, request := range reads {
			expect(taskA, c.reads, request, decide.OtherTeam)
			expect(teamless, c.reads && c.all, request, decide.TeamlessTask)
		}
		for _, request := range triggers {
			expect(taskA, c.triggers, request, decide.OtherTeam)
			expect(teamless, c.triggers && c.all, request, decide.TeamlessTask)
		}
		for _, request := range xcoms {
			expect(taskA, false, request, decide.OtherTeam)
		}
		r.deny(taskA, "POST /xcoms/"+c.dag+"/"+run+"/t1/k", decide.NotOwnTask)
	}
	r.deny(taskA, "GET /variables/granted_b", decide.OtherTeam)
	r.deny(taskA, "PUT /variables/granted_b", decide.OtherTeam)
	r.deny(taskA, "GET /connections/granted_b", decide.OtherTeam)
	own := rules{T: t, version: newest, policy: decide.Policy{XComWrites: decide.OwnTeam}}
	own.deny(taskA, "POST /xcoms/trigger_all/r/t1/k", decide.OtherTeam)
}

func TestGrants_LetOthersReadAssets(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, request := range []string{
		"GET /assets/by-name?name=read_b", "GET /assets/by-uri?uri=s3://read_b", "GET /asset-events/by-asset?name=read_b&uri=s3://read_b",
		"GET /store/asset/by-name/value?name=read_b&key=k", "GET /assets/by-name?name=read_bc",
		"GET /assets/by-alias?alias_name=alias_read", "GET /asset-events/by-asset-alias?name=alias_read",
	} {
		r.allow(taskA, request, decide.Granted)
	}
	r.allow(teamless, "GET /assets/by-uri?uri=s3://read_b", decide.Granted)
	r.deny(teamless, "GET /assets/by-name?name=read_b", decide.TeamlessTask)
	r.deny(taskA, "GET /asset-events/by-asset?name=read_b&uri=s3://b", decide.OtherTeam)
	r.deny(taskA, "GET /asset-events/by-asset?name=asset_b&uri=s3://read_b", decide.OtherTeam)
	for _, request := range []string{
		"PUT /store/asset/by-name/value?name=read_b&key=k", "DELETE /store/asset/by-name/value?name=read_b&key=k",
		"DELETE /store/asset/by-name/clear?name=read_b", "PUT /store/asset/by-uri/value?uri=s3://read_b&key=k", "DELETE /store/asset/by-uri/clear?uri=s3://read_b",
	} {
		r.deny(taskA, request, decide.OtherTeam)
	}
}

func TestGlobalWrites_CanBeDenied(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest, policy: decide.Policy{DenyGlobalWrites: true}}
	for _, request := range []string{"PUT /variables/var_g", "DELETE /variables/var_g", "POST /dag-runs/dag_g/r", "POST /dag-runs/dag_g/r/clear"} {
		r.deny(taskA, request, decide.GlobalWrite)
		r.allow(teamless, request, decide.OwnResource)
	}
	r.allow(taskA, "GET /variables/var_g", decide.IsGlobal)
	r.allow(taskA, "PUT /variables/var_a", decide.OwnResource)
	r.allow(taskA, "PUT /variables/new", decide.NotStored)
	r.allow(taskA, "GET /dag-runs/dag_g/r", decide.IsGlobal)
}

func TestTeamlessTasks_CanBeAllowed(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest, policy: decide.Policy{AllowTeamless: true}}
	r.allow(teamless, "GET /variables/var_b", decide.TeamlessTask)
	r.allow(teamless, "POST /dag-runs/dag_b/r", decide.TeamlessTask)
	r.deny(teamless, "POST /xcoms/dag_b/"+run+"/t1/k", decide.NotOwnTask)
	r.deny(taskA, "GET /variables/var_b", decide.OtherTeam)
	r.deny(unknown, "GET /variables/var_b", decide.UnknownTask)
}

func TestMultiTeamOff_SkipsTheTeamRulesAndAsksNothing(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest, policy: decide.Policy{MultiTeamOff: true}}
	for _, request := range []string{
		"GET /variables/var_b", "PUT /variables/var_b", "GET /variables/_TEAM_B___SECRET", "GET /connections/conn_b",
		"GET /xcoms/dag_b/r/t/k", "POST /dag-runs/dag_b/r", "GET /dags/nowhere", "GET /assets/by-name?name=asset_b",
	} {
		match := find(t, request, newest)
		if questions := decide.Needs(&match, execution(taskA), &r.policy); len(questions) != 0 {
			t.Errorf("%s asks %v", request, questions)
		}
		r.allow(taskA, request, decide.SingleTeam)
		r.allow(unknown, request, decide.SingleTeam)
	}
}

func TestRuleGroup_OffAsksNothingAndPasses(t *testing.T) {
	t.Parallel()
	for group, request := range map[*decide.Policy]string{
		{Variables: decide.Off}:   "PUT /variables/var_b",
		{Connections: decide.Off}: "GET /connections/conn_b",
		{XComs: decide.Off}:       "POST /xcoms/dag_b/r/t/k",
		{Dags: decide.Off}:        "POST /dag-runs/dag_b/r",
		{Assets: decide.Off}:      "GET /assets/by-name?name=asset_b",
	} {
		match := find(t, request, newest)
		if questions := decide.Needs(&match, execution(taskA), group); len(questions) != 0 {
			t.Errorf("%s asks %v", request, questions)
		}
		rules{T: t, version: newest, policy: *group}.allow(taskA, request, decide.RuleOff)
		strict := rules{T: t, version: newest}
		if d := strict.decide(execution(taskA), request); d.Outcome != decide.Deny {
			t.Errorf("%s passes with every rule on", request)
		}
	}
}

func TestDecision_HasTheModeOfItsRuleGroup(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest, policy: decide.Policy{Variables: decide.Audit}}
	if d := r.decide(execution(taskA), "GET /variables/var_b"); d.Mode != decide.Audit || d.Outcome != decide.Deny {
		t.Errorf("variable: %v in mode %v, want a denial in audit", d.Outcome, d.Mode)
	}
	if d := r.decide(execution(taskA), "GET /connections/conn_b"); d.Mode != decide.Enforce {
		t.Errorf("connection: mode %v, want enforce", d.Mode)
	}
	workload := &identity.Task{ID: taskA, Scope: identity.ScopeWorkload}
	if d := r.decide(workload, "GET /variables/var_a"); d.Mode != decide.Enforce || d.Reason != decide.WrongScope {
		t.Errorf("workload token: %s in mode %v, want it enforced whatever the group", d.Reason, d.Mode)
	}
}

func TestSelfEndpoints_AskNothing(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, request := range []string{
		"PUT /task-instances/%/heartbeat", "PATCH /task-instances/%/state", "PUT /task-instances/%/rtif",
		"GET /task-reschedules/%/start_date", "GET /hitlDetails/%", "PUT /store/ti/%/k", "DELETE /store/ti/%",
	} {
		own := strings.ReplaceAll(request, "%", unknown)
		match := find(t, own, newest)
		if questions := decide.Needs(&match, execution(unknown), &r.policy); len(questions) != 0 {
			t.Errorf("%s asks %v", own, questions)
		}
		r.allow(unknown, own, decide.IsSelf)
		r.deny(taskB, own, decide.OtherInstance)
		r.deny(unknown, strings.ReplaceAll(request, "%", strings.ToUpper(unknown)), decide.OtherInstance)
	}
}

func TestScopes_AreAcceptedWhereAirflowAcceptsThem(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, c := range []struct {
		scope   identity.Scope
		request string
		want    decide.Reason
	}{
		{identity.ScopeWorkload, "PATCH /task-instances/" + taskA + "/run", decide.IsSelf},
		{identity.ScopeExecution, "PATCH /task-instances/" + taskA + "/run", decide.IsSelf},
		{identity.ScopeWorkload, "PATCH /task-instances/" + taskB + "/run", decide.OtherInstance},
		{identity.ScopeWorkload, "PUT /task-instances/" + taskA + "/heartbeat", decide.WrongScope},
		{identity.ScopeWorkload, "GET /variables/var_g", decide.WrongScope},
		{identity.ScopeWorkload, "GET /connection-tests/" + taskA + "/connection", decide.IsSelf},
		{identity.ScopeExecution, "GET /connection-tests/" + taskA + "/connection", decide.WrongScope},
		{identity.ScopeCallback, "PATCH /callbacks/" + taskA + "/run", decide.IsSelf},
		{identity.ScopeCallback, "PATCH /callbacks/" + taskB + "/run", decide.OtherInstance},
		{identity.ScopeCallback, "PATCH /task-instances/" + taskA + "/run", decide.WrongScope},
		{identity.ScopeCallback, "GET /variables/var_g", decide.WrongScope},
		{identity.ScopeExecution, "PATCH /callbacks/" + taskA + "/run", decide.WrongScope},
		{identity.ScopeWorkload, "PATCH /callbacks/" + taskA + "/run", decide.WrongScope},
		{0, "PATCH /task-instances/" + taskA + "/run", decide.WrongScope},
		{0, "GET /health", decide.IsPublic},
		{0, "GET /docs", decide.IsDocumentation},
	} {
		d := r.decide(&identity.Task{ID: taskA, Scope: c.scope}, c.request)
		if d.Reason != c.want {
			t.Errorf("%s with scope %v: %s, want %s", c.request, c.scope, d.Reason, c.want)
		}
	}
}

func TestSignedClaims_NeedNoLookup(t *testing.T) {
	t.Parallel()
	signed := func(c identity.TaskClaims) *identity.Task {
		return &identity.Task{ID: unknown, Scope: identity.ScopeExecution, Claims: c}
	}
	whole := identity.TaskClaims{DagID: "dag_a", RunID: run, TaskID: "t1", MapIndex: -1, HasMapIndex: true}
	r := rules{T: t, version: newest}
	xcom := "POST /xcoms/dag_a/" + run + "/t1/k"

	match := find(t, xcom, newest)
	if questions := decide.Needs(&match, signed(whole), &r.policy); len(questions) != 0 {
		t.Errorf("an XCom write asks %v, though the token signs all that matters", questions)
	}
	for _, c := range []struct {
		who     *identity.Task
		request string
		outcome decide.Outcome
		want    decide.Reason
	}{
		{signed(whole), xcom, decide.Allow, decide.OwnResource},
		{signed(whole), xcom + "?map_index=1", decide.Deny, decide.NotOwnTask},
		{signed(whole), "GET /variables/var_a", decide.Allow, decide.OwnResource},
		{signed(whole), "GET /variables/var_b", decide.Deny, decide.OtherTeam},
		{signed(whole), "GET /dags/dag_a", decide.Allow, decide.OwnResource},
		{signed(identity.TaskClaims{DagID: "dag_nowhere"}), "GET /variables/var_g", decide.Deny, decide.UnknownTask},
		{signed(identity.TaskClaims{DagID: "dag_a"}), xcom, decide.Deny, decide.UnknownTask},
		{
			&identity.Task{ID: taskA, Scope: identity.ScopeExecution, Claims: identity.TaskClaims{DagID: "dag_b"}},
			xcom, decide.Deny, decide.ClaimsDiffer,
		},
		{
			&identity.Task{ID: taskA, Scope: identity.ScopeExecution, Claims: identity.TaskClaims{DagID: "dag_a"}},
			xcom, decide.Allow, decide.OwnResource,
		},
	} {
		d := r.decide(c.who, c.request)
		if d.Outcome != c.outcome || d.Reason != c.want {
			t.Errorf("%s with claims %+v: %v (%s), want %v (%s)", c.request, c.who.Claims, d.Outcome, d.Reason, c.outcome, c.want)
		}
	}
	for writer, claims := range map[decide.XComWriter]identity.TaskClaims{
		decide.OwnTask: {DagID: "dag_a", RunID: run, TaskID: "t1"},
		decide.OwnDag:  {DagID: "dag_a"},
	} {
		r.policy.XComWrites = writer
		if d := r.decide(signed(claims), xcom); d.Outcome != decide.Allow {
			t.Errorf("xcom_writes %d: %v (%s)", writer, d.Outcome, d.Reason)
		}
	}
}

func TestQuestions_AreAskedOnceAndAsFreshAsTheStrictest(t *testing.T) {
	t.Parallel()
	policy := decide.Policy{}
	for request, want := range map[string]struct {
		questions int
		freshness resolver.Freshness
	}{
		"GET /variables/var_a":                    {2, resolver.Cached},
		"PUT /variables/var_a":                    {2, resolver.Recent},
		"DELETE /variables/var_a":                 {2, resolver.Recent},
		"POST /dag-runs/dag_a/r":                  {2, resolver.Recent},
		"POST /dag-runs/dag_a/r/clear":            {2, resolver.Recent},
		"GET /assets/by-alias?alias_name=a":       {2, resolver.Fresh},
		"GET /asset-events/by-asset-alias?name=a": {2, resolver.Fresh},
		"GET /dag-runs/dag_a/previous":            {2, resolver.Cached},
		"GET /asset-events/by-asset?name=a&uri=b": {3, resolver.Cached},
		"POST /xcoms/dag_a/r/t/k":                 {1, resolver.Cached},
		"GET /health":                             {0, 0},
	} {
		match := find(t, request, newest)
		questions := decide.Needs(&match, execution(taskA), &policy)
		if len(questions) != want.questions {
			t.Errorf("%s: %d questions, want %d: %v", request, len(questions), want.questions, questions)
		}
		for _, q := range questions {
			if q.Freshness != want.freshness {
				t.Errorf("%s: %v is asked with freshness %d, want %d", request, q.Key, q.Freshness, want.freshness)
			}
		}
	}
}

func TestSourceFault_IsNotNotFound(t *testing.T) {
	t.Parallel()
	policy := decide.Policy{}
	down := resolver.Answer{Outcome: resolver.Unavailable, Err: errors.New("time-out")}
	denied := resolver.Answer{Outcome: resolver.Denied, Err: errors.New("401")}
	for _, request := range []string{
		"GET /variables/nowhere", "PUT /variables/var_g", "GET /connections/x", "GET /xcoms/dag_g/r/t/k",
		"POST /xcoms/dag_a/" + run + "/t1/k", "GET /dag-runs/count?dag_id=x", "GET /assets/by-name?name=free", "GET /variables/keys",
	} {
		match := find(t, request, newest)
		questions := decide.Needs(&match, execution(taskA), &policy)
		for broken := range questions {
			answers := ask(questions)
			answers[broken] = down
			if d := decide.Judge(&match, execution(taskA), &policy, questions, answers); d.Outcome == decide.Allow {
				t.Errorf("%s passes though %v is unavailable", request, questions[broken].Key)
			}
			answers[broken] = denied
			d := decide.Judge(&match, execution(taskA), &policy, questions, answers)
			if d.Outcome != decide.Deny {
				t.Errorf("%s: %v though the source denies %v", request, d.Outcome, questions[broken].Key)
			}
			answers[broken] = resolver.Answer{Outcome: 77}
			if d := decide.Judge(&match, execution(taskA), &policy, questions, answers); d.Outcome == decide.Allow {
				t.Errorf("%s passes on an outcome that does not exist", request)
			}
		}
		if d := decide.Judge(&match, execution(taskA), &policy, nil, nil); d.Outcome == decide.Allow {
			t.Errorf("%s passes though nothing was asked", request)
		}
		if d := decide.Judge(&match, execution(taskA), &policy, questions, nil); d.Outcome == decide.Allow {
			t.Errorf("%s passes though nothing was answered", request)
		}
	}
}

func TestSourceFaults_HaveReasonsOfTheirOwn(t *testing.T) {
	t.Parallel()
	match := find(t, "GET /variables/var_a", newest)
	questions := decide.Needs(&match, execution(taskA), &decide.Policy{})
	cause := errors.New("why")
	for outcome, want := range map[resolver.Outcome]decide.Decision{
		resolver.Unavailable: {Outcome: decide.Unavailable, Reason: decide.SourceDown},
		resolver.Denied:      {Outcome: decide.Deny, Reason: decide.SourceDenied},
	} {
		answers := ask(questions)
		answers[1] = resolver.Answer{Outcome: outcome, Err: cause}
		d := decide.Judge(&match, execution(taskA), &decide.Policy{}, questions, answers)
		if d.Outcome != want.Outcome || d.Reason != want.Reason || !errors.Is(d.Err, cause) {
			t.Errorf("%v: %v (%s), error %v", outcome, d.Outcome, d.Reason, d.Err)
		}
	}
}

func TestDecision_IsAsOldAsItsOldestAnswer(t *testing.T) {
	t.Parallel()
	match := find(t, "GET /variables/var_b", newest)
	questions := decide.Needs(&match, execution(taskA), &decide.Policy{})
	answers := ask(questions)
	answers[0].AsOf = asOf.Add(-3 * time.Second)
	d := decide.Judge(&match, execution(taskA), &decide.Policy{}, questions, answers)
	if !d.AsOf.Equal(asOf.Add(-3 * time.Second)) {
		t.Errorf("as of %v, want the older answer's time", d.AsOf)
	}
}

func TestZeroValues_Deny(t *testing.T) {
	t.Parallel()
	if (decide.Decision{}).Outcome != decide.Deny {
		t.Error("the zero Decision does not deny")
	}
	var none route.Match
	if d := decide.Judge(&none, execution(taskA), &decide.Policy{}, nil, nil); d.Outcome != decide.Deny {
		t.Errorf("a match without readings: %v", d.Outcome)
	}
	var policy decide.Policy
	if policy.Mode != decide.Enforce || policy.XComWrites != decide.OwnTaskInstance {
		t.Error("the zero Policy does not enforce")
	}
}

func TestMessages_NameWhatWasAskedForAndNoOwner(t *testing.T) {
	t.Parallel()
	r := rules{T: t, version: newest}
	for _, c := range []struct{ who, request, want string }{
		{taskA, "GET /variables/var_b", `Task does not have access to variable "var_b"`},
		{teamless, "GET /variables/keys", `Task does not have access to the list of variable keys`},
		{taskA, "GET /connections/conn_b", `Task does not have access to connection "conn_b"`},
		{taskA, "GET /xcoms/dag_b/r/t1/k", `Task does not have access to XCom "k" of task "t1" in dag "dag_b"`},
		{taskA, "POST /xcoms/dag_a/r/t2/k", `Task may only write or delete XComs of its own, not XCom "k" of task "t2" in dag "dag_a"`},
		{taskA, "GET /dags/dag_b", `Task does not have access to dag "dag_b"`},
		{taskA, "GET /dags/nowhere", `Dag "nowhere" was not found`},
		{taskA, "GET /assets/by-name?name=asset_b", `Task does not have access to asset "asset_b"`},
		{taskA, "GET /assets/by-uri?uri=s3://b", `Task does not have access to asset "s3://b"`},
		{taskA, "GET /assets/by-alias?alias_name=alias_b", `Task does not have access to asset alias "alias_b"`},
		{taskA, "GET /hitlDetails/x", `Token subject does not match the id in the path`},
		{taskA, "GET /connection-tests/" + taskA + "/connection", `The token's scope does not allow this endpoint`},
		{unknown, "GET /variables/var_g", `The token's task instance is not known`},
	} {
		d := r.decide(execution(c.who), c.request)
		if got := d.Message(); got != c.want {
			t.Errorf("%s: message %q, want %q", c.request, got, c.want)
		}
		if strings.Contains(d.Message(), "team") {
			t.Errorf("%s: message %q names a team", c.request, d.Message())
		}
	}
	down := decide.Decision{Outcome: decide.Unavailable}
	for _, want := range []decide.Outcome{decide.Unavailable, decide.Deny} {
		if got := down.Message(); down.Outcome != want || got != "The owner of this resource is currently unavailable; try again" {
			t.Errorf("%v: message %q", down.Outcome, got)
		}
		down.DenyUnavailable()
	}
	denied := decide.Decision{Reason: decide.OtherTeam}
	if denied.DenyUnavailable(); denied.Message() != "Task does not have access to this resource" {
		t.Errorf("message %q", denied.Message())
	}
	long := r.decide(execution(taskA), "GET /variables/var_b"+strings.Repeat("x", 5000))
	if len(long.Message()) > 400 {
		t.Errorf("a message of %d bytes", len(long.Message()))
	}
}

func TestOutcomeNames_AreAClosedSet(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[decide.Outcome]string{
		decide.Deny: "deny", decide.Unavailable: "unavailable", decide.NotFound: "not_found", decide.Allow: "allow", 9: "outcome(9)",
	} {
		if outcome.String() != want {
			t.Errorf("%v, want %s", outcome, want)
		}
	}
}
