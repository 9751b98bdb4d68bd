package decide

import (
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// Needs returns what must be known before [Judge] can decide, each question once. Nothing is needed for public and self endpoints, so that a
// heartbeat works with every source down.
func Needs(m *route.Match, task *identity.Task, p *Policy) []resolver.Question {
	var into []resolver.Question
	readings := m.Readings()
	for i := range readings {
		r := &readings[i]
		freshness := freshnessOf(r)
		switch p.requires(r) {
		case nothing, ruleOff, singleTeam:
		case identityOnly:
			into = needIdentity(into, task, p)
		case teams:
			into = needTeam(into, task, freshness)
			if r.Route.Action == route.List {
				into = add(into, resolver.Question{Key: resolver.Key{Kind: resolver.KindTask, Name: task.ID}, Freshness: freshness})
			}
			for _, key := range resources(r) {
				if key.Name != "" {
					into = add(into, resolver.Question{Key: key, Freshness: freshness})
				}
			}
		}
	}
	return into
}

// freshnessOf returns how old what is known about a reading may be. What a list
// and an alias lead to is upstream's to find: the facts that it finds them by must
// be true at the moment, and are asked again once it has answered.
func freshnessOf(r *route.Reading) resolver.Freshness {
	switch {
	case r.Route.Action == route.List, r.AssetAlias != "":
		return resolver.Fresh
	case r.Route.Action.Mutates():
		return resolver.Recent
	}
	return resolver.Cached
}

// AskAgain reports whether the questions of a request must be asked again once
// upstream has answered it, because what it answers depends on facts that may
// change meanwhile.
func AskAgain(m *route.Match) bool {
	readings := m.Readings()
	for i := range readings {
		if freshnessOf(&readings[i]) == resolver.Fresh {
			return true
		}
	}
	return false
}

// requirement is what must be known to judge a reading.
type requirement uint8

const (
	// nothing is needed, and nothing follows from it.
	nothing requirement = iota
	// ruleOff and singleTeam need nothing either, because a setting allows.
	ruleOff
	singleTeam
	// identityOnly needs the task's dag, run, task and map index.
	identityOnly
	// teams needs the task's team and that of what is touched.
	teams
)

// requires returns what the policy needs to know about a reading.
func (p *Policy) requires(r *route.Reading) requirement {
	switch r.Route.Kind {
	case route.Variable, route.Connection, route.XCom, route.Dag, route.Asset:
	case route.Public, route.Documentation, route.Self:
		return nothing
	default:
		return nothing
	}
	switch {
	case p.mode(r.Route.Kind) == Off:
		return ruleOff
	case r.Route.Kind == route.XCom && r.Route.Action.Mutates() && p.XComWrites != OwnTeam:
		return identityOnly
	case p.MultiTeamOff:
		return singleTeam
	}
	return teams
}

// mode is the mode of the rule group that a kind of endpoint belongs to.
func (p *Policy) mode(kind route.Kind) Mode {
	switch kind {
	case route.Variable:
		return p.Variables
	case route.Connection:
		return p.Connections
	case route.XCom:
		return p.XComs
	case route.Dag:
		return p.Dags
	case route.Asset:
		return p.Assets
	case route.Public, route.Documentation, route.Self:
	}
	return p.Mode
}

// resources are the things with an owner that a reading touches; an empty name
// is none.
func resources(r *route.Reading) [2]resolver.Key {
	switch r.Route.Kind {
	case route.Variable:
		if r.Route.Action != route.List {
			return [2]resolver.Key{{Kind: resolver.KindVariable, Name: r.Key}}
		}
	case route.Connection:
		return [2]resolver.Key{{Kind: resolver.KindConnection, Name: r.Key}}
	case route.XCom, route.Dag:
		return [2]resolver.Key{{Kind: resolver.KindDag, Name: r.DagID}}
	case route.Asset:
		if r.AssetAlias != "" {
			return [2]resolver.Key{{Kind: resolver.KindAssetAlias, Name: r.AssetAlias}}
		}
		return [2]resolver.Key{
			{Kind: resolver.KindAssetName, Name: r.AssetName},
			{Kind: resolver.KindAssetURI, Name: r.AssetURI},
		}
	case route.Public, route.Documentation, route.Self:
	}
	return [2]resolver.Key{}
}

// needTeam asks for the task's team: by its dag where the token signs that, else
// by its id.
func needTeam(into []resolver.Question, task *identity.Task, freshness resolver.Freshness) []resolver.Question {
	key := resolver.Key{Kind: resolver.KindTask, Name: task.ID}
	if task.Claims.DagID != "" {
		key = resolver.Key{Kind: resolver.KindDag, Name: task.Claims.DagID}
	}
	return add(into, resolver.Question{Key: key, Freshness: freshness})
}

// needIdentity asks who the task is, unless the token signs all that matters.
// A task's identity never changes, so a cached one does.
func needIdentity(into []resolver.Question, task *identity.Task, p *Policy) []resolver.Question {
	if claimed(task, p.XComWrites) {
		return into
	}
	return add(into, resolver.Question{
		Key:       resolver.Key{Kind: resolver.KindTask, Name: task.ID},
		Freshness: resolver.Cached, IdentityOnly: true,
	})
}

// claimed reports whether the token itself signs what an XCom write is compared with.
func claimed(task *identity.Task, writer XComWriter) bool {
	c := &task.Claims
	switch writer {
	case OwnDag:
		return c.DagID != ""
	case OwnTask:
		return c.DagID != "" && c.RunID != "" && c.TaskID != ""
	case OwnTaskInstance:
		return c.DagID != "" && c.RunID != "" && c.TaskID != "" && c.HasMapIndex
	case OwnTeam:
	}
	return false
}

// add appends a question unless the same thing is asked for already; then the
// stricter of the two counts.
func add(into []resolver.Question, q resolver.Question) []resolver.Question {
	for i := range into {
		if into[i].Key == q.Key {
			into[i].Freshness = min(into[i].Freshness, q.Freshness)
			into[i].IdentityOnly = into[i].IdentityOnly && q.IdentityOnly
			return into
		}
	}
	if into == nil {
		into = make([]resolver.Question, 0, 2) // most requests: the task, and what it touches
	}
	return append(into, q)
}
