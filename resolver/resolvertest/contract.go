package resolvertest

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

// Names in the world that the contract is run against.
const (
	taskID    = "01980000-0000-7000-8000-000000000001"
	sharedID  = "01980000-0000-7000-8000-000000000002"
	unknownID = "01980000-0000-7000-8000-0000000000ff"
)

var shared = resolver.Grants{Read: []string{"team_b", "team_c"}, Trigger: []string{"team_d"}}

var ran = resolver.Task{DagID: "dag_a", RunID: "run_1", TaskID: "extract", MapIndex: 3}

// Run tests a resolver against the contract of [resolver.Resolver]. build makes one
// in front of the world that it is given; it is called once for each test.
func Run(t *testing.T, build func(t *testing.T, world *World) resolver.Resolver) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *World, resolver.Resolver){
		"one answer to each question, in order": inOrder,
		"no question, no answer":                noQuestion,
		"four outcomes kept apart":              fourOutcomes,
		"a task has an identity and a team":     taskAnswered,
		"grants travel with the owner":          grantsAnswered,
		"a cancelled context is unavailable":    cancelled,
		"a deadline is kept":                    deadline,
		"neither slice is kept":                 slicesNotKept,
		"safe for concurrent use":               concurrent,
	} {
		t.Run(name, func(t *testing.T) {
			world := new(World)
			world.Own(resolver.KindDag, "dag_a", "team_a")
			world.Own(resolver.KindDag, "shared", "team_a")
			world.Grant(resolver.KindDag, "shared", &shared)
			world.Run(sharedID, resolver.Task{DagID: "shared", RunID: "run_1", TaskID: "extract", MapIndex: -1})
			world.Own(resolver.KindVariable, "theirs", "team_b")
			world.Own(resolver.KindVariable, "global", "")
			world.Own(resolver.KindConnection, "theirs", "team_c")
			world.Run(taskID, ran)
			world.Refuse(resolver.KindVariable, "refused", resolver.Denied)
			world.Refuse(resolver.KindVariable, "lost", resolver.Unavailable)
			test(t, world, build(t, world))
		})
	}
}

func ask(kind resolver.Kind, name string) resolver.Question {
	return resolver.Question{Key: resolver.Key{Kind: kind, Name: name}, Freshness: resolver.Cached}
}

// grantsAnswered asks for a dag with grants, before and after a task of it whose
// answer fills in the dag's owner.
func grantsAnswered(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	expect := func(kind resolver.Kind, name string, freshness resolver.Freshness, want *resolver.Grants) {
		t.Helper()
		question := ask(kind, name)
		question.Freshness = freshness
		answer := r.Resolve(t.Context(), []resolver.Question{question})[0]
		if answer.Outcome != resolver.Found || answer.Team != "team_a" || !reflect.DeepEqual(answer.Grants, want) {
			t.Errorf("%v %s: %v, team %q, grants %+v (%v): want found, team_a, %+v", kind, name, answer.Outcome, answer.Team, answer.Grants, answer.Err, want)
		}
	}
	for range 2 {
		expect(resolver.KindTask, sharedID, resolver.Cached, &shared)
		expect(resolver.KindDag, "shared", resolver.Cached, &shared)
		expect(resolver.KindDag, "dag_a", resolver.Cached, nil)
		expect(resolver.KindDag, "shared", resolver.Fresh, &shared)
		expect(resolver.KindTask, sharedID, resolver.Recent, &shared)
		expect(resolver.KindTask, taskID, resolver.Confirm, nil)
	}
}

func inOrder(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	// Twice, and then turned around, so that some are known and some are not.
	questions := []resolver.Question{
		ask(resolver.KindVariable, "theirs"), ask(resolver.KindConnection, "theirs"), ask(resolver.KindDag, "dag_a"),
	}
	for range 2 {
		expectTeams(t, r.Resolve(t.Context(), questions[:2]), "team_b", "team_c")
	}
	questions[0], questions[2] = questions[2], questions[0]
	expectTeams(t, r.Resolve(t.Context(), questions), "team_a", "team_c", "team_b")
	expectTeams(t, r.Resolve(t.Context(), []resolver.Question{questions[0], questions[0]}), "team_a", "team_a")
}

func expectTeams(t *testing.T, answers []resolver.Answer, teams ...string) {
	t.Helper()
	if len(answers) != len(teams) {
		t.Fatalf("%d answers to %d questions", len(answers), len(teams))
	}
	for i, team := range teams {
		if answers[i].Outcome != resolver.Found || answers[i].Team != team {
			t.Errorf("answer %d is %v, team %q (%v): want found, %q", i, answers[i].Outcome, answers[i].Team, answers[i].Err, team)
		}
	}
}

func noQuestion(t *testing.T, world *World, r resolver.Resolver) {
	t.Helper()
	for _, none := range [][]resolver.Question{nil, {}} {
		if answers := r.Resolve(t.Context(), none); len(answers) != 0 {
			t.Errorf("no question got the answers %v", answers)
		}
	}
	for _, asked := range world.Asked() {
		if len(asked) == 0 {
			t.Error("the next resolver was asked nothing at all")
		}
	}
}

func fourOutcomes(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	want := map[string]resolver.Outcome{
		"theirs": resolver.Found, "global": resolver.Found, "missing": resolver.NotFound,
		"refused": resolver.Denied, "lost": resolver.Unavailable,
	}
	started := time.Now().Add(-time.Minute)
	for _, freshness := range []resolver.Freshness{resolver.Cached, resolver.Confirm, resolver.Recent, resolver.Fresh, resolver.Cached} {
		for name, outcome := range want {
			question := ask(resolver.KindVariable, name)
			question.Freshness = freshness
			answer := r.Resolve(t.Context(), []resolver.Question{question})[0]
			if answer.Outcome != outcome {
				t.Fatalf("%q is %v (%v): want %v", name, answer.Outcome, answer.Err, outcome)
			}
			if asOf := answer.AsOf.After(started); asOf != (outcome >= resolver.NotFound) {
				t.Errorf("%q is %v as of %v", name, outcome, answer.AsOf)
			}
			if errors.Is(answer.Err, resolver.ErrDenied) != (outcome == resolver.Denied) ||
				errors.Is(answer.Err, resolver.ErrUnavailable) != (outcome == resolver.Unavailable) ||
				(answer.Err != nil) != (outcome <= resolver.Denied) {
				t.Errorf("%q is %v, with the error %v", name, outcome, answer.Err)
			}
			if outcome != resolver.Found && answer.Team != "" {
				t.Errorf("%q is %v, of team %q", name, outcome, answer.Team)
			}
		}
	}
}

func taskAnswered(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	whole, identity, unknown := ask(resolver.KindTask, taskID), ask(resolver.KindTask, taskID), ask(resolver.KindTask, unknownID)
	identity.IdentityOnly = true
	for range 2 {
		answers := r.Resolve(t.Context(), []resolver.Question{identity, whole, unknown})
		if answers[0].Outcome != resolver.Found || answers[0].Task != ran {
			t.Errorf("the task's identity is %+v: want %+v", answers[0], ran)
		}
		if answers[1].Outcome != resolver.Found || answers[1].Task != ran || answers[1].Team != "team_a" {
			t.Errorf("the task is %+v: want %+v of team_a", answers[1], ran)
		}
		if !reflect.DeepEqual(answers[2].Task, resolver.Task{}) || answers[2].Outcome != resolver.NotFound {
			t.Errorf("an unknown task is %+v: want not found", answers[2])
		}
	}
}

func cancelled(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, name := range []string{"theirs", "missing", "refused"} {
		answer := r.Resolve(ctx, []resolver.Question{ask(resolver.KindVariable, name)})[0]
		if answer.Outcome != resolver.Unavailable || !errors.Is(answer.Err, resolver.ErrUnavailable) {
			t.Errorf("%q is %v (%v) to a cancelled context: want unavailable", name, answer.Outcome, answer.Err)
		}
	}
	// And it is not remembered.
	expectTeams(t, r.Resolve(t.Context(), []resolver.Question{ask(resolver.KindVariable, "theirs")}), "team_b")
}

func deadline(t *testing.T, world *World, r resolver.Resolver) {
	t.Helper()
	world.Before = func(ctx context.Context, _ []resolver.Question) error {
		<-ctx.Done()
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	started := time.Now()
	answer := r.Resolve(ctx, []resolver.Question{ask(resolver.KindVariable, "theirs")})[0]
	if answer.Outcome != resolver.Unavailable {
		t.Errorf("a source that does not answer is %v: want unavailable", answer.Outcome)
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("a deadline of 50 ms took %v", took)
	}
}

func slicesNotKept(t *testing.T, _ *World, r resolver.Resolver) {
	t.Helper()
	questions := []resolver.Question{ask(resolver.KindVariable, "theirs"), ask(resolver.KindVariable, "missing")}
	for range 2 {
		answers := r.Resolve(t.Context(), questions)
		expectTeams(t, answers[:1], "team_b")
		if answers[1].Outcome != resolver.NotFound {
			t.Errorf("%q is %v: want not found", "missing", answers[1].Outcome)
		}
		questions[0], questions[1] = ask(resolver.KindDag, "changed"), ask(resolver.KindDag, "changed")
		for i := range answers {
			answers[i] = resolver.Answer{Outcome: resolver.Found, Team: "changed"}
		}
		questions = []resolver.Question{ask(resolver.KindVariable, "theirs"), ask(resolver.KindVariable, "missing")}
	}
}

func concurrent(t *testing.T, world *World, r resolver.Resolver) {
	t.Helper()
	const keys = 8
	for i := range keys {
		world.Own(resolver.KindVariable, strconv.Itoa(i), "team_"+strconv.Itoa(i))
	}
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			first, second := strconv.Itoa(i%keys), strconv.Itoa((i+1)%keys)
			question := ask(resolver.KindVariable, second)
			question.Freshness = resolver.Freshness(i % 4) //nolint:gosec // 0 to 3
			answers := r.Resolve(t.Context(), []resolver.Question{ask(resolver.KindVariable, first), question})
			expectTeams(t, answers, "team_"+first, "team_"+second)
		})
	}
	group.Wait()
}
