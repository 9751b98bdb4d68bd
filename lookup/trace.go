package lookup

import (
	"context"
	"fmt"
	"strings"

	"github.com/dagfence/dagfence/resolver"
)

// Trace asks for a thing, and returns in words how its owner is found, a step each:
// the row, the dag's bundle, and what the database and the ownership file say of
// them. It is for people; [Directory.Resolve] decides.
func (d *Directory) Trace(ctx context.Context, key resolver.Key) []string {
	owners := d.owners()
	steps := d.fileSteps(key, owners)
	if d.metadata == nil || !storable(key.Name) || len(steps) > 0 && key.Kind != resolver.KindTask {
		return steps
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	found := d.metadata.ask(ctx, []resolver.Key{key})[0]
	switch {
	case found.err != nil:
		return append(steps, fmt.Sprintf("database: %v", found.err))
	case !found.found:
		return append(steps, fmt.Sprintf("database: no row of this %s", words(key.Kind)))
	case key.Kind == resolver.KindTask:
		return append(steps, d.taskSteps(found, owners)...)
	case key.Kind == resolver.KindDag:
		return append(steps, d.dagSteps(found, owners)...)
	case key.Kind.IsAsset():
		return append(steps, fmt.Sprintf("database: leads to %q; owners of assets are in the ownership file alone", found.names))
	}
	return append(steps, fmt.Sprintf("database: row %q of %s", found.stored, teamWords(found.team)))
}

// fileSteps says what the ownership file has of a thing itself.
func (d *Directory) fileSteps(key resolver.Key, owners *ownershipRules) (steps []string) {
	if team, named := owners.of(key); named {
		steps = append(steps, fmt.Sprintf("ownership file: %s %q belongs to %s", words(key.Kind), key.Name, teamWords(team)))
	} else if team, named, _ := owners.inEnvironment(key); named {
		steps = append(steps, fmt.Sprintf("ownership file: another spelling of %q belongs to %s", key.Name, teamWords(team)))
	}
	return steps
}

// taskSteps says what a task's row leads to: its dag, and the dag's team.
func (d *Directory) taskSteps(found record, owners *ownershipRules) []string {
	attempt := "an earlier attempt"
	if found.current {
		attempt = "the current attempt"
	}
	task := found.task
	step := fmt.Sprintf("database: %s of task %q (map index %d) in run %q of dag %q", attempt, task.TaskID, task.MapIndex, task.RunID, task.DagID)
	if steps := d.fileSteps(resolver.Key{Kind: resolver.KindDag, Name: task.DagID}, owners); len(steps) > 0 {
		return append([]string{step}, steps...)
	}
	return append([]string{step}, d.dagSteps(found, owners)...)
}

// dagSteps says which bundle a dag is from, and whose that is.
func (d *Directory) dagSteps(found record, owners *ownershipRules) []string {
	dag := found.task.DagID
	if !found.dagExists {
		return []string{fmt.Sprintf("database: no row of dag %q, so its team is not known", dag)}
	}
	step := fmt.Sprintf("database: dag %q is from bundle %q of %s", dag, found.bundle, teamWords(found.team))
	if found.bundle == "" {
		step = fmt.Sprintf("database: dag %q is from no bundle, so it is global", dag)
	}
	if team, named := owners.ofBundle(found.bundle); named {
		return []string{step, fmt.Sprintf("ownership file: bundle %q belongs to %s", found.bundle, teamWords(team))}
	}
	return []string{step}
}

// words is the name of a kind as a sentence has it.
func words(kind resolver.Kind) string {
	if kind == resolver.KindTask {
		return "task instance"
	}
	return strings.ReplaceAll(kind.String(), "_", " ")
}

func teamWords(team string) string {
	if team == "" {
		return "no team"
	}
	return fmt.Sprintf("team %q", team)
}
