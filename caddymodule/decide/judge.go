package decide

import (
	"strings"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// Judge decides a request once the questions of [Needs] are answered: answers[i]
// answers questions[i]. A request passes only if every reading of it does; a
// question that was not asked counts as unavailable.
func Judge(m *route.Match, task *identity.Task, p *Policy, questions []resolver.Question, answers []resolver.Answer) Decision {
	known := facts{questions, answers}
	worst := Decision{Reason: NotJudged, Mode: p.Mode}
	readings := m.Readings()
	for i := range readings {
		r := &readings[i]
		d := Decision{Reason: NotJudged, Mode: p.mode(r.Route.Kind), Reading: r, apiVersion: m.APIVersion}
		d.judge(task, p, known)
		if i == 0 || d.Outcome < worst.Outcome {
			worst = d
		}
	}
	return worst
}

// The methods of Decision below fill it in. Those that may leave it open return
// true when they have decided; the rest always decide.

// facts are the answers to the questions that were asked.
type facts struct {
	questions []resolver.Question
	answers   []resolver.Answer
}

// about returns the answer about a thing, Unavailable where it was not asked for.
func (f facts) about(key resolver.Key) resolver.Answer {
	for i := range f.questions {
		if f.questions[i].Key == key && i < len(f.answers) {
			return f.answers[i]
		}
	}
	return resolver.Answer{}
}

func (d *Decision) allow(why Reason)               { d.Outcome, d.Reason = Allow, why }
func (d *Decision) refuse(how Outcome, why Reason) { d.Outcome, d.Reason = how, why }

// judge decides one reading.
func (d *Decision) judge(task *identity.Task, p *Policy, known facts) {
	r := d.Reading
	if r.Route.Kind == route.Public {
		d.allow(IsPublic)
		return
	}
	if r.Route.Kind == route.Documentation {
		if p.AllowDocumentation {
			d.allow(IsPublic)
			return
		}
		d.refuse(Deny, IsDocumentation)
		return
	}
	if !r.Route.TakesScope(task.Scope.String()) {
		d.Mode = p.Mode
		d.refuse(Deny, WrongScope)
		return
	}
	if r.Route.Kind == route.Self {
		if r.ID != task.ID {
			d.refuse(Deny, OtherInstance)
			return
		}
		d.allow(IsSelf)
		return
	}
	switch p.requires(r) {
	case ruleOff:
		d.allow(RuleOff)
	case singleTeam:
		d.allow(SingleTeam)
	case identityOnly:
		d.judgeOwnXCom(task, p, known)
	case teams:
		d.judgeTeams(task, p, known)
	case nothing:
	}
}

// judgeOwnXCom compares an XCom that is written or deleted with the task's identity.
func (d *Decision) judgeOwnXCom(task *identity.Task, p *Policy, known facts) {
	c := &task.Claims
	own := resolver.Task{DagID: c.DagID, RunID: c.RunID, TaskID: c.TaskID, MapIndex: c.MapIndex}
	if !claimed(task, p.XComWrites) {
		answer := known.about(resolver.Key{Kind: resolver.KindTask, Name: task.ID})
		if d.unknownTask(answer) {
			return
		}
		own = answer.Task
		d.Task = own
		if differ(c, own) {
			d.refuse(Deny, ClaimsDiffer)
			return
		}
	}
	if !d.isOwn(own, p.XComWrites) {
		d.refuse(Deny, NotOwnTask)
		return
	}
	d.allow(OwnResource)
}

// isOwn reports whether the XCom is the task's own, by what the setting compares.
func (d *Decision) isOwn(own resolver.Task, writer XComWriter) bool {
	r := d.Reading
	switch writer {
	case OwnDag:
		return own.DagID == r.DagID
	case OwnTask:
		return own.DagID == r.DagID && own.RunID == r.RunID && own.TaskID == r.TaskID
	case OwnTaskInstance:
		return own.DagID == r.DagID && own.RunID == r.RunID && own.TaskID == r.TaskID &&
			(own.MapIndex == d.mapIndex() || d.isLegacyDelete())
	case OwnTeam:
	}
	return false
}

// mapIndex is the one that upstream takes the request to be about.
func (d *Decision) mapIndex() int {
	if d.Reading.HasMapIndex {
		return d.Reading.MapIndex
	}
	return -1
}

// afterAirflow30 is the first API version that no Airflow 3.0 has.
const afterAirflow30 = "2025-09-23"

// isLegacyDelete reports whether this is the one request that names no map index
// though the task has one: the Task SDK of Airflow 3.0 deletes its own XComs so.
func (d *Decision) isLegacyDelete() bool {
	return d.Reading.Route.Action == route.Delete && !d.Reading.HasMapIndex &&
		d.apiVersion != "" && d.apiVersion < afterAirflow30
}

// differ reports whether the token's claims contradict what is known of its task.
func differ(c *identity.TaskClaims, known resolver.Task) bool {
	return c.DagID != "" && c.DagID != known.DagID ||
		c.RunID != "" && c.RunID != known.RunID ||
		c.TaskID != "" && c.TaskID != known.TaskID ||
		c.HasMapIndex && c.MapIndex != known.MapIndex
}

// judgeTeams compares the owners of what a request touches with the task's team.
func (d *Decision) judgeTeams(task *identity.Task, p *Policy, known facts) {
	key := resolver.Key{Kind: resolver.KindTask, Name: task.ID}
	if task.Claims.DagID != "" {
		key = resolver.Key{Kind: resolver.KindDag, Name: task.Claims.DagID}
	}
	row := known.about(key)
	if d.unknownTask(row) {
		return
	}
	d.TaskTeam, d.TaskTeamKnown, d.Task = row.Team, true, row.Task
	r := d.Reading
	if r.Route.Action == route.List {
		d.judgeList(task, known.about(resolver.Key{Kind: resolver.KindTask, Name: task.ID}), p)
		return
	}
	for _, key := range resources(r) {
		if key.Name == "" {
			continue
		}
		answer := known.about(key)
		if d.noAnswer(answer) || answer.Outcome == resolver.NotFound && d.notStored(key) {
			return
		}
		d.Resource = key
		d.judgeOwner(answer.Team, p)
		for i := 0; i < len(answer.Others) && d.Outcome == Allow; i++ {
			d.judgeOwner(answer.Others[i], p)
		}
		switch {
		case d.Outcome == Allow:
		case d.isGranted(answer.Grants):
			d.allow(Granted)
		default:
			return
		}
	}
}

// unknownTask decides unless the answer says whose the task, or its dag, is.
func (d *Decision) unknownTask(a resolver.Answer) (decided bool) {
	if d.noAnswer(a) {
		return true
	}
	if a.Outcome != resolver.Found {
		d.refuse(Deny, UnknownTask)
		return true
	}
	return false
}

// judgeList decides about the list of all variable keys. Upstream filters it by
// the team that its database names for the task's current attempt, and only with
// multi_team on; else it lists every key, as it does for a task of no team.
func (d *Decision) judgeList(task *identity.Task, row resolver.Answer, p *Policy) {
	switch {
	case d.TaskTeam == "" && p.AllowTeamless:
		d.allow(TeamlessTask)
	case d.TaskTeam == "":
		d.refuse(Deny, TeamlessTask)
	case !p.MultiTeamKnown:
		d.refuse(Deny, MultiTeamUnset)
	case d.noAnswer(row):
	case !row.Current:
		d.refuse(Deny, NotCurrentTask)
	case differ(&task.Claims, row.Task):
		d.refuse(Deny, ClaimsDiffer)
	case row.StoredTeam != d.TaskTeam:
		d.refuse(Deny, TeamNotStored)
	default:
		d.allow(OwnResource)
	}
}

// notStored decides about a thing that is not stored, except for an asset: that
// is judged as one without an owner.
func (d *Decision) notStored(key resolver.Key) (decided bool) {
	switch key.Kind {
	case resolver.KindAsset, resolver.KindAssetName, resolver.KindAssetURI, resolver.KindAssetAlias:
		return false
	case resolver.KindDag:
		if d.Reading.Route.Action == route.Count && d.Reading.Route.Kind == route.Dag {
			d.allow(NotStored)
		} else {
			d.refuse(NotFound, UnknownDag)
		}
	case resolver.KindVariable, resolver.KindConnection:
		if namesTeamEnvironment(d.Reading) {
			d.refuse(Deny, TeamEnvironment)
		} else {
			d.allow(NotStored) // it may live in another secrets backend: upstream decides
		}
	case resolver.KindTask:
		d.refuse(Deny, UnknownTask)
	default:
		d.refuse(Deny, NotJudged)
	}
	return true
}

// namesTeamEnvironment reports whether Airflow may read a team's own environment
// variable by the key that is asked for: AIRFLOW_VAR_ and the key _TEAM___NAME
// make up AIRFLOW_VAR__TEAM___NAME (seen in 3.2.2). The environment comes before
// the database, so a row without an owner is no reason to allow it.
func namesTeamEnvironment(r *route.Reading) bool {
	return (r.Route.Kind == route.Variable || r.Route.Kind == route.Connection) &&
		strings.HasPrefix(r.Key, "_") && strings.Contains(r.Key, "___")
}

// isGranted reports whether the owner's team grants what is done. XComs of a granted
// dag are not, as Airflow hides those of another team by itself, and an asset's stored
// values are only read.
func (d *Decision) isGranted(g *resolver.Grants) bool {
	mutates := d.Reading.Route.Action.Mutates()
	switch {
	case d.Reading.Route.Kind == route.Dag && mutates:
		return g.Triggers(d.TaskTeam)
	case d.Reading.Route.Kind == route.Dag, d.Reading.Route.Kind == route.Asset && !mutates:
		return g.Reads(d.TaskTeam)
	}
	return false
}

// judgeOwner compares the owner's team with the task's.
func (d *Decision) judgeOwner(owner string, p *Policy) {
	d.Owner = owner
	mutates := d.Reading.Route.Action.Mutates()
	// XComs are written within the team alone, as in Airflow 3.3: neither by a
	// team's task in a global dag nor the other way about.
	writesXCom := mutates && d.Reading.Route.Kind == route.XCom
	switch {
	case owner == "" && namesTeamEnvironment(d.Reading):
		d.refuse(Deny, TeamEnvironment)
	case owner == d.TaskTeam:
		d.allow(OwnResource)
	case owner == "" && mutates && (p.DenyGlobalWrites || writesXCom):
		d.refuse(Deny, GlobalWrite)
	case owner == "":
		d.allow(IsGlobal)
	case d.TaskTeam == "" && p.AllowTeamless && !writesXCom:
		d.allow(TeamlessTask)
	case d.TaskTeam == "":
		d.refuse(Deny, TeamlessTask)
	default:
		d.refuse(Deny, OtherTeam)
	}
}
