package decide

import (
	"cmp"
	"fmt"
	"time"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// Outcome is what a request gets.
type Outcome uint8

// The outcomes. The zero Outcome denies.
const (
	// Deny answers that access is denied.
	Deny Outcome = iota
	// Unavailable answers that the owner is not known now.
	Unavailable
	// NotFound answers that the dag does not exist.
	NotFound
	// Allow forwards the request.
	Allow
)

var outcomeNames = [...]string{"deny", "unavailable", "not_found", "allow"}

// String returns the outcome's name in metrics and logs.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Reason is why a request got its outcome; a closed set, for metrics.
type Reason string

// Why a request passes.
const (
	IsPublic     Reason = "public"
	IsSelf       Reason = "self"
	OwnResource  Reason = "own"
	IsGlobal     Reason = "global"
	Granted      Reason = "granted"
	NotStored    Reason = "not_stored"
	TeamlessTask Reason = "teamless_task"
	RuleOff      Reason = "rule_off"
	SingleTeam   Reason = "multi_team_off"
)

// Why a request does not pass. TeamlessTask is a reason on both sides.
const (
	NotJudged       Reason = "not_judged"
	IsDocumentation Reason = "documentation"
	OtherTeam       Reason = "other_team"
	GlobalWrite     Reason = "global_write"
	TeamEnvironment Reason = "team_environment"
	NotOwnTask      Reason = "not_own_task"
	OtherInstance   Reason = "other_task_instance"
	WrongScope      Reason = "token_scope"
	UnknownTask     Reason = "unknown_task"
	ClaimsDiffer    Reason = "claims_differ"
	UnknownDag      Reason = "unknown_dag"
	NotCurrentTask  Reason = "not_current_task"
	TeamNotStored   Reason = "team_not_stored"
	MultiTeamUnset  Reason = "multi_team_unset"
	SourceDenied    Reason = "source_denied"
	SourceDown      Reason = "source_unavailable"
)

// Decision is what a request gets, and why. The zero Decision denies.
type Decision struct {
	Outcome Outcome
	Reason  Reason
	// Mode is the mode of the rule group that decided.
	Mode Mode
	// Reading is the reading that decided. Its strings point into the request.
	Reading *route.Reading
	// TaskTeam is the task's team, where the decision needed it: TaskTeamKnown.
	TaskTeam      string
	TaskTeamKnown bool
	// Task is who the task is, as far as the decision needed to know.
	Task resolver.Task
	// Resource is what the request touches that was compared last, and Owner its
	// team, "" where it is global. The zero Resource is none. For the operator alone:
	// no answer names an owner.
	Resource resolver.Key
	Owner    string
	// Err says why a source denied or could not answer.
	Err error
	// AsOf is when the oldest answer behind the decision was fetched; zero
	// where none was needed.
	AsOf time.Time
	// Tier is where that answer was found.
	Tier resolver.Tier

	apiVersion string
	// unavailable means that the decision was Unavailable before [Decision.DenyUnavailable].
	unavailable bool
}

// DenyUnavailable makes an unavailable decision a denial, whose message still says
// so.
func (d *Decision) DenyUnavailable() {
	if d.Outcome == Unavailable {
		d.Outcome, d.unavailable = Deny, true
	}
}

// Message returns a sentence that says what was asked for and why it was refused.
// It never names an owner.
func (d *Decision) Message() string {
	if d.Outcome == Unavailable || d.unavailable {
		return "The owner of " + d.what() + " is currently unavailable; try again"
	}
	if message, own := messages[d.Reason]; own {
		return message
	}
	switch {
	case d.Outcome == NotFound && d.Reading != nil:
		return "Dag " + quote(d.Reading.DagID) + " was not found"
	case d.Reason == NotOwnTask:
		return "Task may only write or delete XComs of its own, not " + d.what()
	}
	return "Task does not have access to " + d.what()
}

// messages are those of the reasons that have nothing to do with an owner.
var messages = map[Reason]string{
	IsDocumentation: "The documentation of the API is not served to tasks",
	WrongScope:      "The token's scope does not allow this endpoint",
	OtherInstance:   "Token subject does not match the id in the path",
	UnknownTask:     "The token's task instance is not known",
	ClaimsDiffer:    "The token's claims do not match its task instance",
	NotCurrentTask:  "Variable keys can be listed only by the current attempt of a task instance",
	TeamNotStored:   "Variable keys can be listed only by tasks whose team is the same in Airflow's database and the ownership file",
	MultiTeamUnset:  "Variable keys cannot be listed while [core] multi_team is not known to be on: set multi_team",
}

// what names what the request touches, as far as the request itself does.
func (d *Decision) what() string {
	if d.Reading == nil || d.Reading.Route == nil {
		return "this resource"
	}
	r := d.Reading
	switch r.Route.Kind {
	case route.Variable:
		if r.Route.Action == route.List {
			return "the list of variable keys"
		}
		return "variable " + quote(r.Key)
	case route.Connection:
		return "connection " + quote(r.Key)
	case route.XCom:
		return "XCom " + quote(r.Key) + " of task " + quote(r.TaskID) + " in dag " + quote(r.DagID)
	case route.Dag:
		return "dag " + quote(r.DagID)
	case route.Asset:
		if r.AssetAlias != "" {
			return "asset alias " + quote(r.AssetAlias)
		}
		return "asset " + quote(cmp.Or(r.AssetName, r.AssetURI))
	case route.Public, route.Documentation, route.Self:
	}
	return "this endpoint"
}

// quote keeps a message short, whatever the request names.
func quote(name string) string { return fmt.Sprintf("%.250q", name) }

// noAnswer decides, and reports that it did, where the source has no answer: an
// unavailable source is not "not found", and its own denial is final.
func (d *Decision) noAnswer(a resolver.Answer) (decided bool) {
	switch a.Outcome {
	case resolver.Found, resolver.NotFound:
		if d.AsOf.IsZero() || a.AsOf.Before(d.AsOf) {
			d.AsOf, d.Tier = a.AsOf, a.Tier
		}
		return false
	case resolver.Denied:
		d.Outcome, d.Reason, d.Err = Deny, SourceDenied, a.Err
	case resolver.Unavailable:
		d.Outcome, d.Reason, d.Err = Unavailable, SourceDown, a.Err
	default:
		d.Outcome, d.Reason, d.Err = Deny, NotJudged, a.Err
	}
	return true
}
