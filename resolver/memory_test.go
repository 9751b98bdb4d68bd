package resolver_test

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

const (
	task1 = "01980000-0000-7000-8000-000000000001"
	task2 = "01980000-0000-7000-8000-000000000002"
	ms    = time.Millisecond
)

var ran = resolver.Task{DagID: "dag_a", RunID: "run_1", TaskID: "extract", MapIndex: -1}

// remembering is a memory in front of a world in which team_a owns dag_a and
// its two tasks, and team_b the variable.
func remembering(t *testing.T) (*resolver.MemoryTier, *resolvertest.World, *clock) {
	t.Helper()
	now := newClock()
	world := worldAt(now)
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindVariable, variableKey, "team_b")
	world.Run(task1, ran)
	world.Run(task2, resolver.Task{DagID: "dag_a", RunID: "run_1", TaskID: "load", MapIndex: 7})
	return newMemory(t, world, resolver.Options{}.At(now.Now)), world, now
}

func TestMemory_KeepsAnAnswerForItsTTL(t *testing.T) {
	t.Parallel()
	variable, missing, task := ask(resolver.KindVariable, variableKey), ask(resolver.KindVariable, "missing"), ask(resolver.KindTask, task1)
	for name, test := range map[string]struct {
		question resolver.Question
		after    time.Duration
		calls    int
	}{
		"owner, at once":                        {variable, 0, 0},
		"owner, within ttl":                     {variable, 4400 * ms, 0},
		"owner, past ttl":                       {variable, 5001 * ms, 1},
		"recent owner, within a second":         {as(resolver.Recent, variable), 990 * ms, 0},
		"recent owner, past a second":           {as(resolver.Recent, variable), 1001 * ms, 1},
		"confirm, within a second":              {as(resolver.Confirm, variable), 990 * ms, 0},
		"confirm, past a second":                {as(resolver.Confirm, variable), 1001 * ms, 1},
		"fresh owner, at once":                  {as(resolver.Fresh, variable), 0, 1},
		"fresh not found, at once":              {as(resolver.Fresh, missing), 0, 1},
		"fresh task, at once":                   {as(resolver.Fresh, task), 0, 1},
		"fresh identity, at once":               {as(resolver.Fresh, identityOf(task1)), 0, 1},
		"no freshness is the strictest":         {resolver.Question{Key: variable.Key}, 0, 1},
		"not a freshness is the strictest":      {as(9, variable), 0, 1},
		"not found, within ttl":                 {missing, 4400 * ms, 0},
		"not found, past ttl":                   {missing, 5001 * ms, 1},
		"recent not found, past a second":       {as(resolver.Recent, missing), 1001 * ms, 1},
		"task, within ttl":                      {task, 4400 * ms, 0},
		"task, past ttl":                        {task, 5001 * ms, 1},
		"recent task, past a second":            {as(resolver.Recent, task), 1001 * ms, 1},
		"identity, past ttl":                    {identityOf(task1), 4 * time.Minute, 0},
		"identity, past task_ttl":               {identityOf(task1), 5*time.Minute + 1, 1},
		"recent identity: it never changes":     {as(resolver.Recent, identityOf(task1)), 4 * time.Minute, 0},
		"unknown task, past ttl":                {ask(resolver.KindTask, "none"), 5001 * ms, 1},
		"unknown task's identity, past ttl":     {identityOf("none"), 5001 * ms, 1},
		"the dag of a task that was asked for":  {ask(resolver.KindDag, "dag_a"), 4400 * ms, 0},
		"another task of the dag is not known":  {ask(resolver.KindTask, task2), 0, 1},
		"another kind of the same name":         {ask(resolver.KindConnection, variableKey), 0, 1},
		"a kind that is none is asked through":  {ask(0, variableKey), 0, 1},
		"a kind beyond all is asked through":    {ask(77, variableKey), 0, 1},
		"a long name is asked through":          {ask(resolver.KindVariable, strings.Repeat("x", resolver.MaxName+1)), 0, 1},
		"a name of just the length is not long": {ask(resolver.KindVariable, strings.Repeat("x", resolver.MaxName)), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory, world, now := remembering(t)
			known := []resolver.Question{
				variable, missing, task, ask(resolver.KindTask, "none"),
				ask(resolver.KindVariable, strings.Repeat("x", resolver.MaxName)), ask(resolver.KindVariable, strings.Repeat("x", resolver.MaxName+1)),
			}
			before := memory.Resolve(t.Context(), known)
			world.Forget()
			now.pass(test.after)
			answer := resolve(t, memory, test.question)
			expectCalls(t, world, test.calls)
			for i, question := range known {
				fetched := before[i]
				fetched.Tier = resolver.TierMemory
				if question == test.question && test.calls == 0 && !reflect.DeepEqual(answer, fetched) {
					t.Errorf("the answer is %+v: want the one that was fetched, %+v", answer, fetched)
				}
			}
		})
	}
}

func TestMemory_AsksOnceForAllThatIsMissing(t *testing.T) {
	t.Parallel()
	memory, world, _ := remembering(t)
	resolve(t, memory, ask(resolver.KindVariable, variableKey))
	world.Forget()
	answers := memory.Resolve(t.Context(), []resolver.Question{
		ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey), as(resolver.Recent, ask(resolver.KindConnection, "missing")),
	})
	expect(t, answers[0], resolver.Found, "team_a")
	expect(t, answers[1], resolver.Found, "team_b")
	expect(t, answers[2], resolver.NotFound, "")
	if asked := world.Asked(); len(asked) != 1 || len(asked[0]) != 2 ||
		asked[0][0] != ask(resolver.KindTask, task1) || asked[0][1] != as(resolver.Recent, ask(resolver.KindConnection, "missing")) {
		t.Errorf("next was asked %v: want the two that were missing, as they were asked", asked)
	}
}

func TestMemory_ComposesATaskOfIdentityAndDag(t *testing.T) {
	t.Parallel()
	memory, world, now := remembering(t)
	resolve(t, memory, ask(resolver.KindTask, task1))
	now.pass(time.Minute)
	world.Own(resolver.KindDag, "dag_a", "team_new")
	asOf := resolve(t, memory, ask(resolver.KindDag, "dag_a")).AsOf
	world.Forget()
	now.pass(900 * ms)
	answer := resolve(t, memory, as(resolver.Recent, ask(resolver.KindTask, task1)))
	expect(t, answer, resolver.Found, "team_new")
	if answer.Task != ran || !answer.AsOf.Equal(asOf) {
		t.Errorf("the answer is %+v: want %+v, as old as the dag's owner (%v)", answer, ran, asOf)
	}
	// An identity that is asked for again says nothing about the dag.
	now.pass(10 * time.Minute)
	resolve(t, memory, identityOf(task1))
	world.Forget()
	resolve(t, memory, ask(resolver.KindDag, "dag_a"))
	expectCalls(t, world, 1)
}

func TestMemory_TaskDoesNotProveItsDag(t *testing.T) {
	t.Parallel()
	memory, world, _ := remembering(t)
	world.Remove(resolver.KindDag, "dag_a")
	expect(t, resolve(t, memory, ask(resolver.KindTask, task1)), resolver.Found, "")
	expect(t, resolve(t, memory, ask(resolver.KindTask, task1)), resolver.Found, "")
	expectCalls(t, world, 1)
	expect(t, resolve(t, memory, ask(resolver.KindDag, "dag_a")), resolver.NotFound, "")
	expectCalls(t, world, 1)
	// In one call, too.
	world.Own(resolver.KindDag, "dag_a", "")
	memory.Invalidate(resolver.Key{Kind: resolver.KindDag, Name: "dag_a"})
	memory.Resolve(t.Context(), []resolver.Question{ask(resolver.KindDag, "dag_a"), ask(resolver.KindTask, task2)})
	expectCalls(t, world, 1)
	expect(t, resolve(t, memory, ask(resolver.KindDag, "dag_a")), resolver.Found, "")
	expect(t, resolve(t, memory, ask(resolver.KindTask, task2)), resolver.Found, "")
	expectCalls(t, world, 0)
}

func TestMemory_KeepsNeitherDeniedNorUnavailable(t *testing.T) {
	t.Parallel()
	for _, outcome := range []resolver.Outcome{resolver.Denied, resolver.Unavailable} {
		for _, question := range []resolver.Question{ask(resolver.KindVariable, variableKey), ask(resolver.KindTask, task1)} {
			memory, world, _ := remembering(t)
			world.Refuse(question.Kind, question.Name, outcome)
			expect(t, resolve(t, memory, question), outcome, "")
			expect(t, resolve(t, memory, question), outcome, "")
			expectCalls(t, world, 2)
			world.Refuse(question.Kind, question.Name, resolver.Found)
			if answer := resolve(t, memory, question); answer.Outcome != resolver.Found {
				t.Errorf("after %v the answer is %v: want found", outcome, answer.Outcome)
			}
		}
	}
}

func TestMemory_ServesNoStaleEntryAfterADenial(t *testing.T) {
	t.Parallel()
	for _, freshness := range []resolver.Freshness{resolver.Recent, resolver.Confirm} {
		for _, question := range []resolver.Question{ask(resolver.KindVariable, variableKey), ask(resolver.KindTask, task1)} {
			memory, world, now := remembering(t)
			resolve(t, memory, question)
			now.pass(2 * time.Second)
			world.Refuse(question.Kind, question.Name, resolver.Denied)
			expect(t, resolve(t, memory, as(freshness, question)), resolver.Denied, "")
			// And the entry is gone: what took it before asks now.
			expect(t, resolve(t, memory, question), resolver.Denied, "")
			world.Refuse(question.Kind, question.Name, resolver.Unavailable)
			expect(t, resolve(t, memory, as(resolver.Confirm, question)), resolver.Unavailable, "")
		}
	}
}

func TestMemory_ConfirmsOnceASecond(t *testing.T) {
	t.Parallel()
	for name, question := range map[string]resolver.Question{
		"variable": ask(resolver.KindVariable, variableKey), "task": ask(resolver.KindTask, task1), "not found": ask(resolver.KindVariable, "missing"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory, world, now := remembering(t)
			before := resolve(t, memory, question)
			before.Tier = resolver.TierMemory
			world.Refuse(question.Kind, question.Name, resolver.Unavailable)
			world.Forget()
			now.pass(1100 * ms)
			for range 3 { // one attempt at the source, then the entry stands
				if answer := resolve(t, memory, as(resolver.Confirm, question)); !reflect.DeepEqual(answer, before) {
					t.Fatalf("unconfirmed, the answer is %+v: want %+v", answer, before)
				}
			}
			expectCalls(t, world, 1)
			expect(t, resolve(t, memory, as(resolver.Recent, question)), resolver.Unavailable, "")
			expectCalls(t, world, 1)
			now.pass(1100 * ms)
			resolve(t, memory, as(resolver.Confirm, question))
			expectCalls(t, world, 1)
			now.pass(3 * time.Second) // past its ttl nothing stands
			expect(t, resolve(t, memory, as(resolver.Confirm, question)), resolver.Unavailable, "")
		})
	}
}

func TestMemory_ConfirmIsNotSpentByACallerWhoGaveUp(t *testing.T) {
	t.Parallel()
	memory, world, now := remembering(t)
	question := as(resolver.Confirm, ask(resolver.KindVariable, variableKey))
	resolve(t, memory, question)
	world.Forget()
	now.pass(2 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expect(t, memory.Resolve(ctx, []resolver.Question{question})[0], resolver.Found, "team_b")
	world.Own(question.Kind, question.Name, "team_new")
	expect(t, resolve(t, memory, question), resolver.Found, "team_new")
	expectCalls(t, world, 2)
}

func TestMemory_KeepsTheYoungerAnswer(t *testing.T) {
	t.Parallel()
	now := newClock()
	question := ask(resolver.KindVariable, variableKey)
	old, young := now.Now(), now.Now()
	found := func(team string, asOf time.Time) resolver.Answer {
		return resolver.Answer{Outcome: resolver.Found, Team: team, AsOf: asOf}
	}
	missing := func(asOf time.Time) resolver.Answer {
		return resolver.Answer{Outcome: resolver.NotFound, AsOf: asOf}
	}
	for name, test := range map[string]struct{ first, second, want resolver.Answer }{
		"older owner":        {found("a", young), found("b", old), found("a", young)},
		"younger owner":      {found("a", old), found("b", young), found("b", young)},
		"older absence":      {found("a", young), missing(old), found("a", young)},
		"younger absence":    {found("a", old), missing(young), missing(young)},
		"owner, then absent": {missing(young), found("a", old), missing(young)},
		"absent, then owner": {missing(old), found("a", young), found("a", young)},
	} {
		var answer resolver.Answer
		memory := newMemory(t, resolver.Func(func(context.Context, []resolver.Question) []resolver.Answer {
			return []resolver.Answer{answer}
		}), resolver.Options{}.At(now.Now))
		now.pass(2 * time.Second)
		for _, answer = range []resolver.Answer{test.first, test.second} {
			resolve(t, memory, as(resolver.Recent, question))
		}
		test.want.Tier = resolver.TierMemory
		if got := resolve(t, memory, question); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: the answer is %+v: want %+v", name, got, test.want)
		}
		now.pass(-2 * time.Second)
	}
}

func TestMemory_Invalidates(t *testing.T) {
	t.Parallel()
	variable, dag := resolver.Key{Kind: resolver.KindVariable, Name: variableKey}, resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}
	for name, test := range map[string]struct {
		invalidated []resolver.Key
		question    resolver.Question
		calls       int
	}{
		"the key":                            {[]resolver.Key{variable}, ask(resolver.KindVariable, variableKey), 1},
		"among others":                       {[]resolver.Key{dag, {}, {Kind: 99}, variable}, ask(resolver.KindVariable, variableKey), 1},
		"another kind":                       {[]resolver.Key{{Kind: resolver.KindConnection, Name: variableKey}}, ask(resolver.KindVariable, variableKey), 0},
		"not found":                          {[]resolver.Key{{Kind: resolver.KindVariable, Name: "missing"}}, ask(resolver.KindVariable, "missing"), 1},
		"another case":                       {[]resolver.Key{{Kind: resolver.KindVariable, Name: strings.ToUpper(variableKey)}}, ask(resolver.KindVariable, variableKey), 1},
		"blanks at the end":                  {[]resolver.Key{{Kind: resolver.KindVariable, Name: variableKey + "  "}}, ask(resolver.KindVariable, variableKey), 1},
		"accents, then none":                 {[]resolver.Key{{Kind: resolver.KindVariable, Name: "míssing"}}, ask(resolver.KindVariable, "missing"), 1},
		"none, then accents":                 {[]resolver.Key{{Kind: resolver.KindVariable, Name: "missing"}}, ask(resolver.KindVariable, "míssing"), 1},
		"accents of another kind":            {[]resolver.Key{{Kind: resolver.KindConnection, Name: "míssing"}}, ask(resolver.KindVariable, "míssing"), 0},
		"a dag takes its tasks' team along":  {[]resolver.Key{dag}, ask(resolver.KindTask, task1), 1},
		"a dag leaves its tasks' identities": {[]resolver.Key{dag}, identityOf(task1), 0},
		"a task":                             {[]resolver.Key{{Kind: resolver.KindTask, Name: task1}}, identityOf(task1), 1},
		"nothing":                            {nil, ask(resolver.KindTask, task1), 0},
	} {
		memory, world, _ := remembering(t)
		memory.Resolve(t.Context(), []resolver.Question{
			ask(resolver.KindVariable, variableKey), ask(resolver.KindVariable, "missing"), ask(resolver.KindVariable, "míssing"), ask(resolver.KindTask, task1),
		})
		world.Forget()
		memory.Invalidate(test.invalidated...)
		for range 2 {
			resolve(t, memory, test.question)
		}
		if got := world.Calls(); got != test.calls {
			t.Errorf("%s: next was asked %d times: want %d", name, got, test.calls)
		}
	}
}

// The spellings are those that some collation of MariaDB 10.11 for UTF-8, or for the
// Latin and Cyrillic alphabets, takes for the same.
func TestMemoryInvalidate_CoversWhatAnyCollationEquates(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		invalidated, asked string
		calls              int
	}{
		"y for i (lithuanian)":         {"kyi", "kiy", 1},
		"Y for i":                      {"KYI", "kii", 1},
		"ch for c (lithuanian)":        {"chan", "can", 1},
		"j for i (roman)":              {"jd", "id", 1},
		"v for u (roman)":              {"VAR", "uar", 1},
		"a backtick for nothing":       {"a`b", "ab", 1},
		"one before spaces at the end": {"ab ` ", "ab", 1},
		"other letters":                {"kb", "kd", 0},
	} {
		memory, world, _ := remembering(t)
		question := ask(resolver.KindVariable, test.asked)
		resolve(t, memory, question)
		world.Forget()
		memory.Invalidate(resolver.Key{Kind: resolver.KindVariable, Name: test.invalidated})
		resolve(t, memory, question)
		if got := world.Calls(); got != test.calls {
			t.Errorf("%s: next was asked %d times: want %d", name, got, test.calls)
		}
	}
}

func TestMemory_DropsAFillOlderThanAnInvalidation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		question    resolver.Question
		invalidated resolver.Key
	}{
		"variable":      {ask(resolver.KindVariable, variableKey), resolver.Key{Kind: resolver.KindVariable, Name: variableKey}},
		"missing":       {ask(resolver.KindVariable, "missing"), resolver.Key{Kind: resolver.KindVariable, Name: "missing"}},
		"a task's team": {ask(resolver.KindTask, task1), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memory, world, _ := remembering(t)
			world.Before = func(context.Context, []resolver.Question) error {
				memory.Invalidate(test.invalidated) // between the question and its answer
				return nil
			}
			resolve(t, memory, test.question)
			world.Before = nil
			for range 2 { // the first asks again, the second knows
				resolve(t, memory, test.question)
			}
			expectCalls(t, world, 2)
		})
	}
}

func TestMemory_KeepsTheHotSetUnderUnknownNames(t *testing.T) {
	t.Parallel()
	const size, hot = 800, 300
	world := new(resolvertest.World)
	memory := newMemory(t, world, resolver.Options{Size: size, Lifetimes: resolver.Lifetimes{Owner: time.Hour}})
	for i := range hot {
		world.Own(resolver.KindVariable, strconv.Itoa(i), "team_a")
	}
	for range 3 {
		for i := range hot {
			resolve(t, memory, ask(resolver.KindVariable, strconv.Itoa(i)))
		}
	}
	for i := range 20 * size {
		resolve(t, memory, ask(resolver.KindVariable, fmt.Sprintf("random %d", i)))
	}
	world.Forget()
	for i := range hot {
		resolve(t, memory, ask(resolver.KindVariable, strconv.Itoa(i)))
	}
	expectCalls(t, world, 0)
	if known := memory.EstimatedAbsent(); known > size/4 {
		t.Errorf("%d names are kept as not found: want at most %d", known, size/4)
	}
}

func TestMemory_EnforcesTheContractOfNext(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][]resolver.Answer{
		"none":               nil,
		"too many":           make([]resolver.Answer, 2),
		"no outcome":         {{Outcome: 77, Team: "team_a"}},
		"a task without dag": {{Outcome: resolver.Found, Team: "team_a"}},
	} {
		memory := newMemory(t, resolver.Func(func(context.Context, []resolver.Question) []resolver.Answer { return answers }), resolver.Options{})
		got := memory.Resolve(t.Context(), []resolver.Question{ask(resolver.KindTask, task1)})
		if len(got) != 1 || got[0].Outcome != resolver.Unavailable || got[0].Err == nil || got[0].Team != "" {
			t.Errorf("%s: the answers are %+v: want one, unavailable", name, got)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	world := new(resolvertest.World)
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindVariable, variableKey, "team_b")
	world.Run(task1, ran)
	memory := newMemory(b, world, resolver.Options{Lifetimes: resolver.Lifetimes{Owner: time.Hour}})
	task, variable := ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)
	never := newMemory(b, resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		return make([]resolver.Answer, len(questions))
	}), resolver.Options{})
	for _, bench := range []struct {
		name      string
		memory    *resolver.MemoryTier
		questions []resolver.Question
	}{
		{"hit of one", memory, []resolver.Question{variable}},
		{"hit of a task and a variable", memory, []resolver.Question{task, variable}},
		{"miss of one", never, []resolver.Question{variable}},
		{"miss of a task and a variable", never, []resolver.Question{task, variable}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			bench.memory.Resolve(b.Context(), bench.questions)
			b.ReportAllocs()
			for b.Loop() {
				bench.memory.Resolve(b.Context(), bench.questions)
			}
		})
	}
}
