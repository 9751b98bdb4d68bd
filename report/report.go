// Package report sums up decision logs: which team would lose what of whose. It reads
// JSON lines and returns a [Summary], which is printed as a table, Markdown, JSON or
// one HTML file.
package report

import (
	"time"
)

// Summary is what decision logs come to. Its JSON is what dagfence report --json
// prints.
type Summary struct {
	// Decisions are all that were read, in any number of files.
	Decisions int64 `json:"decisions"`
	// Allowed were allowed; a log has a sample of them at most.
	Allowed int64 `json:"allowed"`
	// Denied were refused, or would have been: those in audit mode are Forwarded.
	Denied    int64 `json:"denied"`
	Forwarded int64 `json:"forwarded"`
	// Unavailable had no answer: nobody could say who owns what.
	Unavailable int64 `json:"unavailable"`
	// OtherLines are lines that are no decision, and were skipped.
	OtherLines int64 `json:"other_lines"`
	// First and Last are when the first and the last of Denied were logged; zero
	// where no line has a time.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
	// Groups are what was denied, most often first.
	Groups []Group `json:"groups"`
	// Cut is what was left out of Groups, so that any log fits into memory.
	Cut Cut `json:"cut"`
	// Timeline counts denials over time.
	Timeline Timeline `json:"timeline"`
	// Ownership is an ownership file that would allow Groups, and Unsolved says what no
	// ownership file allows.
	Ownership string   `json:"ownership"`
	Unsolved  []string `json:"unsolved"`
}

// Cut counts denials that no group has, and those whose dag or resource is not among
// the names of their group.
type Cut struct {
	Groups    int64 `json:"groups"`
	Dags      int64 `json:"dags"`
	Resources int64 `json:"resources"`
}

// Group is the denials of one kind between two teams.
type Group struct {
	// TaskTeam and OwnerTeam are nil where the decision did not need to know, and ""
	// where there is no team.
	TaskTeam  *string `json:"task_team"`
	OwnerTeam *string `json:"owner_team"`
	Kind      string  `json:"kind"`
	Action    string  `json:"action"`
	Reason    string  `json:"reason"`
	// Why is the reason as a sentence.
	Why       string    `json:"why"`
	Count     int64     `json:"count"`
	Forwarded int64     `json:"forwarded"`
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	// Dags are those whose tasks asked, and Resources what they asked for; the most
	// frequent first.
	Dags      []Name `json:"dags"`
	Resources []Name `json:"resources"`
}

// Name is a dag or a resource, and how often it was denied.
type Name struct {
	Name  string    `json:"name"`
	Count int64     `json:"count"`
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// Timeline counts denials in steps of the same width.
type Timeline struct {
	StepSeconds int64  `json:"step_seconds"`
	Steps       []Step `json:"steps"`
}

// Step is one step of a [Timeline], without those that have no denial.
type Step struct {
	Start     time.Time `json:"start"`
	Refused   int64     `json:"refused"`
	Forwarded int64     `json:"forwarded"`
}

// The names of what is no team.
const (
	noTeam   = "(no team)"
	global   = "(global)"
	notKnown = "(not known)"
)

// taskTeam returns the name to show.
func (g *Group) taskTeam() string { return shownTeam(g.TaskTeam, noTeam) }

// ownerTeam returns the name to show.
func (g *Group) ownerTeam() string { return shownTeam(g.OwnerTeam, global) }

func shownTeam(team *string, none string) string {
	switch {
	case team == nil:
		return notKnown
	case *team == "":
		return none
	}
	return *team
}

// what is the kind and the action to show.
func (g *Group) what() string {
	if g.Kind == "" {
		return "no known endpoint"
	}
	return g.Kind + " " + g.Action
}
