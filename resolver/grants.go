package resolver

import "slices"

// EveryTask stands in a list of [Grants] for every task, also one of no team.
const EveryTask = "*"

// MaxGrantBytes bounds the names in the [Grants] of one thing, each with two bytes
// of length: what is larger would leave no room in a Redis entry for the rest.
const MaxGrantBytes = 1 << 10

// Grants are the teams, beside the owner's, whose tasks may use what is owned. They
// never change the owner, and nil grants nothing.
type Grants struct {
	// Read are the teams that may read a dag's runs and task instances, or an
	// asset and its events.
	Read []string
	// Trigger are those that may also trigger and clear the dag's runs.
	Trigger []string
}

// Reads reports whether a task of the team may read.
func (g *Grants) Reads(team string) bool {
	return g != nil && (includes(g.Read, team) || includes(g.Trigger, team))
}

// Triggers reports whether a task of the team may trigger and clear.
func (g *Grants) Triggers(team string) bool { return g != nil && includes(g.Trigger, team) }

// Equal reports whether both grant the same.
func (g *Grants) Equal(other *Grants) bool {
	if g == nil || other == nil {
		return g == other
	}
	return slices.Equal(g.Read, other.Read) && slices.Equal(g.Trigger, other.Trigger)
}

func includes(teams []string, team string) bool {
	return slices.Contains(teams, EveryTask) || team != "" && slices.Contains(teams, team)
}

// Size is how many of [MaxGrantBytes] the names take.
func (g *Grants) Size() int {
	size := 0
	for _, team := range slices.Concat(g.Read, g.Trigger) {
		size += 2 + len(team)
	}
	return size
}
