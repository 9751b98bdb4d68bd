// Package resolvertest holds the contract that every resolver passes, and the
// fakes that the tests of others put behind one.
package resolvertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// World is an authority made of maps, which remembers what it was asked. The
// zero World knows nothing: every answer is NotFound. Safe for concurrent use.
type World struct {
	// Clock returns the time of an answer. Nil is [time.Now].
	Clock func() time.Time
	// Before, if set, is called before each answer: to wait, or to change the
	// world at that moment. Its error makes every answer Unavailable.
	Before func(ctx context.Context, questions []resolver.Question) error

	mu     sync.Mutex
	owners map[resolver.Key]string
	grants map[resolver.Key]*resolver.Grants
	tasks  map[string]resolver.Task
	past   map[string]bool
	refuse map[resolver.Key]resolver.Outcome
	asked  [][]resolver.Question
}

// Own makes the key exist, owned by a team or, for "", unowned.
func (w *World) Own(kind resolver.Kind, name, team string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owners == nil {
		w.owners = make(map[resolver.Key]string)
	}
	w.owners[resolver.Key{Kind: kind, Name: name}] = team
}

// Grant sets what the owner's team grants of a dag or an asset.
func (w *World) Grant(kind resolver.Kind, name string, grants *resolver.Grants) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.grants == nil {
		w.grants = make(map[resolver.Key]*resolver.Grants)
	}
	w.grants[resolver.Key{Kind: kind, Name: name}] = grants
}

// Run makes a task exist, as a current attempt. Its team is that of its dag,
// none if there is no such dag.
func (w *World) Run(id string, task resolver.Task) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tasks == nil {
		w.tasks = make(map[string]resolver.Task)
	}
	w.tasks[id] = task
}

// Retry makes a task an attempt of the past.
func (w *World) Retry(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.past == nil {
		w.past = make(map[string]bool)
	}
	w.past[id] = true
}

// Remove makes the key not exist.
func (w *World) Remove(kind resolver.Kind, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.owners, resolver.Key{Kind: kind, Name: name})
	if kind == resolver.KindTask {
		delete(w.tasks, name)
	}
}

// Refuse makes the answer for the key Denied or Unavailable; any other outcome
// takes that back.
func (w *World) Refuse(kind resolver.Kind, name string, outcome resolver.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse == nil {
		w.refuse = make(map[resolver.Key]resolver.Outcome)
	}
	w.refuse[resolver.Key{Kind: kind, Name: name}] = outcome
}

// Calls is how many times the world was asked.
func (w *World) Calls() int { return len(w.Asked()) }

// Asked returns the questions of each call.
func (w *World) Asked() [][]resolver.Question {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// Forget forgets what was asked.
func (w *World) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = nil
}

// Resolve implements [resolver.Resolver].
func (w *World) Resolve(ctx context.Context, questions []resolver.Question) []resolver.Answer {
	if len(questions) == 0 {
		return []resolver.Answer{}
	}
	asOf := w.now()
	w.mu.Lock()
	w.asked = append(w.asked, slices.Clone(questions))
	w.mu.Unlock()
	var fault error
	if w.Before != nil {
		fault = w.Before(ctx, questions)
	}
	fault = errors.Join(fault, ctx.Err())
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := make([]resolver.Answer, len(questions))
	for i, question := range questions {
		if fault != nil {
			answers[i].Err = fmt.Errorf("%w: %w", resolver.ErrUnavailable, fault)
			continue
		}
		answers[i] = w.answer(question, asOf)
	}
	return answers
}

func (w *World) now() time.Time {
	if w.Clock == nil {
		return time.Now()
	}
	return w.Clock()
}

func (w *World) answer(question resolver.Question, asOf time.Time) resolver.Answer {
	if outcome, ok := w.refuse[question.Key]; ok && outcome == resolver.Denied {
		return resolver.Answer{Outcome: outcome, Err: fmt.Errorf("%w: by the world", resolver.ErrDenied)}
	} else if ok && outcome == resolver.Unavailable {
		return resolver.Answer{Err: fmt.Errorf("%w: by the world", resolver.ErrUnavailable)}
	}
	if question.Kind != resolver.KindTask {
		for _, key := range []resolver.Key{question.Key, asset(question.Key)} {
			if team, ok := w.owners[key]; ok {
				return resolver.Answer{Outcome: resolver.Found, Team: team, Grants: w.grants[key], AsOf: asOf}
			}
		}
		return resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	}
	task, ok := w.tasks[question.Name]
	if !ok {
		return resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	}
	dag := resolver.Key{Kind: resolver.KindDag, Name: task.DagID}
	team := w.owners[dag]
	return resolver.Answer{
		Outcome: resolver.Found, Team: team, Grants: w.grants[dag], Task: task, AsOf: asOf,
		Current: !w.past[question.Name], StoredTeam: team,
	}
}

// asset is the key by which an asset is owned under each of its names; another
// key is its own.
func asset(key resolver.Key) resolver.Key {
	switch key.Kind {
	case resolver.KindAssetName, resolver.KindAssetURI, resolver.KindAssetAlias:
		return resolver.Key{Kind: resolver.KindAsset, Name: key.Name}
	case resolver.KindAsset, resolver.KindTask, resolver.KindDag, resolver.KindVariable, resolver.KindConnection:
	}
	return key
}

// Never is a resolver that fails the test if it is asked: it stands behind one
// that must end the search.
func Never(tb testing.TB) resolver.Resolver {
	tb.Helper()
	return resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		tb.Errorf("a resolver that must never be asked was asked %v", questions)
		return make([]resolver.Answer, len(questions))
	})
}
