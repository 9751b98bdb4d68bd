// Package resolver answers who owns what a request touches: which team a task
// acts for, and which team a dag, variable, connection or asset belongs to.
//
// Every tier (memory, Redis, the lookup service, the embedded directory) is a
// [Resolver]; [New] joins them into the chain that the fence asks. Four
// outcomes are kept apart in every tier, because Airflow's own history shows
// what happens when they are not: a deny that is treated as a miss is bypassed
// (apache/airflow PR 66575).
package resolver

import (
	"context"
	"fmt"
	"time"
)

// Kind says what a question is about.
type Kind uint8

// The kinds of question. The zero Kind is no question at all.
const (
	_ Kind = iota
	// KindTask asks for a task instance by its id (a UUID in canonical form).
	// Its answer carries the task's identity and the team of its dag, so that
	// no second question depends on the first.
	KindTask
	// KindDag asks for a dag by dag_id.
	KindDag
	// KindVariable asks for an Airflow variable by key.
	KindVariable
	// KindConnection asks for an Airflow connection by conn_id.
	KindConnection
	// KindAsset asks for all that [KindAssetName], [KindAssetURI] and
	// [KindAssetAlias] would be asked for under one name. Fences whose release did
	// not tell them apart ask so.
	KindAsset
	// KindAssetName asks for the assets of a name, which may be several: only
	// name and URI together are unique. Airflow keeps no owner of an asset: only
	// the ownership file knows any.
	KindAssetName
	// KindAssetURI asks for the asset that is active under a URI.
	KindAssetURI
	// KindAssetAlias asks for an asset alias, and the assets that it leads to. A
	// task may tie an alias to any asset at any moment, so no answer is kept, and
	// none serves a question that came after it was asked for.
	KindAssetAlias
)

var kindNames = [...]string{"", "task", "dag", "variable", "connection", "asset", "asset_name", "asset_uri", "asset_alias"}

// String returns the kind's name on the wire and in metrics.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// IsAsset reports whether a question of this kind is about assets, which have no
// owner but by the ownership file.
func (k Kind) IsAsset() bool {
	switch k {
	case KindAsset, KindAssetName, KindAssetURI, KindAssetAlias:
		return true
	case KindTask, KindDag, KindVariable, KindConnection:
	}
	return false
}

// parseKind is the inverse of [Kind.String].
func parseKind(name string) (Kind, bool) {
	for k := KindTask; int(k) < len(kindNames); k++ {
		if kindNames[k] == name {
			return k, true
		}
	}
	return 0, false
}

// Key names one thing that may have an owner. It is comparable, so it serves
// as a map key as it is.
type Key struct {
	Kind Kind
	// Name is a task instance id, dag_id, variable key, conn_id, or the name or
	// URI of an asset or asset alias, as it is asked for.
	Name string
}

// Freshness says how old an answer may be. Ages count from the moment the
// authority was asked, and are inherited from tier to tier.
type Freshness uint8

const (
	// Fresh wants an answer that the authority is asked for after the question
	// came: from no cache, and not from a call that was under way already. The
	// zero value, because it is the strictest: by it is judged what must still be
	// true at the moment of the question.
	Fresh Freshness = iota
	// Recent wants an answer fetched at most [RecentAge] ago: writes, deletes,
	// triggers and clears are judged by it before their body is read.
	Recent
	// Confirm wants the same, but where the source is unavailable an answer
	// within its time to live is served; the source is asked at most once per key
	// and second. A deny from an older entry is confirmed so before it is returned.
	Confirm
	// Cached takes any answer within its time to live.
	Cached
)

// RecentAge is the oldest answer that a [Recent] question takes.
const RecentAge = time.Second

// Question asks about one thing.
type Question struct {
	Key
	Freshness Freshness
	// IdentityOnly, for a [KindTask] question, asks for the task's identity
	// alone. That never changes while the task lives, so it is cached longer
	// (task_ttl) than any team (ttl), and it stays known through a fault of
	// the source. The answer's Team must not be used.
	IdentityOnly bool
}

// bypasses reports whether no answer that is known, or on its way, will do. A
// freshness that is none counts as the strictest.
func (q *Question) bypasses() bool {
	return q.Freshness == Fresh || q.Freshness > Cached || q.Kind == KindAssetAlias
}

// Outcome is how a question ended.
type Outcome uint8

const (
	// Unavailable means that no source could answer (time-out, 5xx, garbage). It ends the
	// search, it is not taken for NotFound, and it is never cached. The zero value,
	// so that an answer which was not filled in lets nothing through.
	Unavailable Outcome = iota
	// Denied means that an authority refuses to say (401 or 403 from the lookup
	// service). It ends the search: no later source, no stale entry. Never
	// cached.
	Denied
	// NotFound means that the authority has no such thing. The next source is asked;
	// cached like an answer.
	NotFound
	// Found ends the search. Cached.
	Found
)

var outcomeNames = [...]string{"unavailable", "denied", "not_found", "found"}

// String returns the outcome's name on the wire and in metrics: "unavailable",
// "denied", "not_found" or "found".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Task identifies a task instance as Airflow's metadata database has it.
type Task struct {
	DagID  string
	RunID  string
	TaskID string
	// MapIndex is -1 for a task that is not mapped.
	MapIndex int
}

// Answer is what is known about one [Question]. The zero value is Unavailable.
type Answer struct {
	Outcome Outcome
	// Tier is where the answer was found.
	Tier Tier
	// Team owns the thing; for a task it is the team of the task's dag. Empty
	// means that it is unowned (global). Only set when Outcome is Found.
	Team string
	// Others are further owners, where an asset's name leads to the assets of
	// several teams, or a key to a row and to another team's environment variable. What is done needs to be allowed by each. Such an answer is
	// not kept.
	Others []string
	// Grants, where Team is set, are those of the dag or asset; for a task, those of
	// its dag. With Others, they are what is granted of all that was found, where an
	// owner counts as granted its own.
	Grants *Grants
	// Task is set for a [KindTask] question that was found.
	Task Task
	// Current, for a task, means that the id is that of the task's current
	// attempt, and StoredTeam is its team by the metadata database's own word,
	// whatever the ownership file says. No tier keeps them: only the answer to a
	// [Fresh] question has them.
	Current    bool
	StoredTeam string
	// AsOf is when the authority was asked (before it answered, so that an
	// answer is never taken for younger than it is). Zero when Outcome is
	// Unavailable or Denied.
	AsOf time.Time
	// Err says why, when Outcome is Unavailable or Denied. It wraps
	// [ErrUnavailable] or [ErrDenied] and carries no secret.
	Err error
}

// Resolver answers questions. It returns exactly one answer for each question,
// in the same order, within ctx's deadline; a question it could not settle is
// Unavailable, never left out and never NotFound. It keeps neither slice.
// Safe for concurrent use.
type Resolver interface {
	Resolve(ctx context.Context, questions []Question) []Answer
}

// Func is a [Resolver] made of a function.
type Func func(ctx context.Context, questions []Question) []Answer

// Resolve calls f.
func (f Func) Resolve(ctx context.Context, questions []Question) []Answer {
	return f(ctx, questions)
}
