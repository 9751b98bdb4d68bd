package resolver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

// slow makes the world take its time, or end with its context.
func slow(world *resolvertest.World, d time.Duration) {
	world.Before = func(ctx context.Context, _ []resolver.Question) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// owned is a world with one variable of team_b's, and one that is global.
func owned() *resolvertest.World {
	world := new(resolvertest.World)
	world.Own(resolver.KindVariable, variableKey, "team_b")
	world.Own(resolver.KindVariable, "global", "")
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Run(task1, ran)
	return world
}

func TestCoalescer_MakesOneCallOfAHerd(t *testing.T) {
	t.Parallel()
	for _, outcome := range []resolver.Outcome{resolver.Found, resolver.Denied, resolver.Unavailable} {
		synctest.Test(t, func(t *testing.T) {
			world := owned()
			world.Refuse(resolver.KindVariable, variableKey, outcome)
			slow(world, 50*ms)
			coalescer := newCoalescer(t, world, resolver.Options{})
			var group sync.WaitGroup
			for range 10_000 {
				group.Go(func() { expect(t, resolve(t, coalescer, ask(resolver.KindVariable, variableKey)), outcome, "team_b") })
			}
			group.Wait()
			expectCalls(t, world, 1)
			resolve(t, coalescer, ask(resolver.KindVariable, variableKey))
			expectCalls(t, world, 1) // nothing is kept after the call
		})
	}
}

func TestCoalescer_AsksTogetherWhatIsNotUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		slow(world, 50*ms)
		coalescer := newCoalescer(t, world, resolver.Options{})
		go resolve(t, coalescer, ask(resolver.KindVariable, "global"))
		synctest.Wait()
		answers := coalescer.Resolve(t.Context(), []resolver.Question{
			ask(resolver.KindDag, "dag_a"), ask(resolver.KindVariable, "global"), ask(resolver.KindVariable, variableKey), ask(resolver.KindDag, "dag_a"),
		})
		for i, team := range []string{"team_a", "", "team_b", "team_a"} {
			expect(t, answers[i], resolver.Found, team)
		}
		if asked := world.Asked(); len(asked) != 2 || len(asked[1]) != 2 {
			t.Errorf("next was asked %v: want the two that were not under way, in one call", asked)
		}
	})
}

func TestCoalescer_LetsNoQuestionBeWeakened(t *testing.T) {
	t.Parallel()
	task, variable := ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)
	pointless := variable
	pointless.IdentityOnly = true // means nothing for a variable
	for name, test := range map[string]struct {
		first, second resolver.Question
		after         time.Duration
		calls         int
	}{
		"the same":                                {variable, variable, 0, 1},
		"cached joins recent":                     {as(resolver.Recent, variable), variable, 0, 1},
		"recent does not join cached":             {variable, as(resolver.Recent, variable), 0, 2},
		"confirm does not join cached":            {variable, as(resolver.Confirm, variable), 0, 2},
		"recent joins confirm":                    {as(resolver.Confirm, variable), as(resolver.Recent, variable), 0, 1},
		"recent joins what began a second ago":    {as(resolver.Recent, variable), as(resolver.Recent, variable), time.Second, 1},
		"recent does not join what began earlier": {as(resolver.Recent, variable), as(resolver.Recent, variable), time.Second + 1, 2},
		"cached joins what began earlier":         {variable, variable, time.Second + 1, 1},
		"identity joins the whole task":           {task, identityOf(task1), 0, 1},
		"the whole task does not join identity":   {identityOf(task1), task, 0, 2},
		"cached identity joins recent task":       {as(resolver.Recent, task), identityOf(task1), 0, 1},
		"fresh does not join recent":              {as(resolver.Recent, variable), as(resolver.Fresh, variable), 0, 2},
		"fresh does not join fresh":               {as(resolver.Fresh, variable), as(resolver.Fresh, variable), 0, 2},
		"fresh identity does not join a task":     {as(resolver.Fresh, task), as(resolver.Fresh, identityOf(task1)), 0, 2},
		"recent joins fresh":                      {as(resolver.Fresh, variable), as(resolver.Recent, variable), time.Second, 1},
		"cached joins fresh":                      {as(resolver.Fresh, variable), variable, 0, 1},
		"not a freshness joins nothing":           {as(resolver.Recent, variable), as(9, variable), 0, 2},
		"no identity but a task's":                {pointless, variable, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := owned()
				slow(world, 1500*ms)
				coalescer := newCoalescer(t, world, resolver.Options{})
				go resolve(t, coalescer, test.first)
				time.Sleep(test.after)
				synctest.Wait()
				if answer := resolve(t, coalescer, test.second); answer.Outcome != resolver.Found {
					t.Errorf("the answer is %v (%v)", answer.Outcome, answer.Err)
				}
				expectCalls(t, world, test.calls)
				time.Sleep(2 * time.Second)
			})
		})
	}
}

func TestCoalescer_JoinsNoCallFromBeforeAnInvalidation(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		question    resolver.Question
		invalidated resolver.Key
		calls       int
	}{
		"of the key": {ask(resolver.KindVariable, variableKey), resolver.Key{Kind: resolver.KindVariable, Name: variableKey}, 2},
		// Two keys of one kind may share an invalidation.
		"of another kind":      {ask(resolver.KindVariable, variableKey), resolver.Key{Kind: resolver.KindConnection, Name: variableKey}, 1},
		"of any dag, a task's": {ask(resolver.KindTask, task1), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				world := owned()
				slow(world, 50*ms)
				chain := newChain(t, resolver.Options{Source: world})
				go resolve(t, chain, test.question)
				time.Sleep(ms)
				if err := chain.Invalidate(t.Context(), test.invalidated); err != nil {
					t.Error(err)
				}
				time.Sleep(ms)
				resolve(t, chain, test.question)
				expectCalls(t, world, test.calls)
			})
		})
	}
}

func TestCoalescer_LeaderThatGoesAwayTakesNobodyAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		slow(world, 500*ms)
		coalescer := newCoalescer(t, world, resolver.Options{})
		question := []resolver.Question{ask(resolver.KindVariable, variableKey)}
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { expect(t, coalescer.Resolve(ctx, question)[0], resolver.Unavailable, "") })
		synctest.Wait()
		group.Go(func() { expect(t, coalescer.Resolve(t.Context(), question)[0], resolver.Found, "team_b") })
		group.Go(func() { // a follower keeps its own deadline
			ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
			defer cancel()
			started := time.Now()
			expect(t, coalescer.Resolve(ctx, question)[0], resolver.Unavailable, "")
			if took := time.Since(started); took != 100*ms {
				t.Errorf("a deadline of 100 ms took %v", took)
			}
		})
		synctest.Wait()
		leave()
		group.Wait()
		expectCalls(t, world, 1)
	})
}

func TestCoalescer_EndsACallInItsTime(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]resolver.Resolver{
		"that ends with its context": resolver.Func(func(ctx context.Context, questions []resolver.Question) []resolver.Answer {
			<-ctx.Done()
			return make([]resolver.Answer, len(questions))
		}),
		"that does not": resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
			time.Sleep(time.Minute)
			return make([]resolver.Answer, len(questions))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				coalescer := newCoalescer(t, next, resolver.Options{})
				started := time.Now()
				expect(t, resolve(t, coalescer, ask(resolver.KindDag, "dag_a")), resolver.Unavailable, "")
				if took := time.Since(started); took != resolver.Timeout {
					t.Errorf("it took %v: want %v", took, resolver.Timeout)
				}
			})
		})
	}
}

func TestCoalescer_IsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		slow(world, 500*ms)
		coalescer := newCoalescer(t, world, resolver.Options{})
		var group sync.WaitGroup
		for i := range resolver.MaxCalls {
			group.Go(func() {
				expect(t, resolve(t, coalescer, ask(resolver.KindDag, strconv.Itoa(i))), resolver.NotFound, "")
			})
		}
		synctest.Wait()
		answers := coalescer.Resolve(t.Context(), []resolver.Question{ask(resolver.KindDag, "one more"), ask(resolver.KindDag, "1")})
		expect(t, answers[0], resolver.Unavailable, "")
		if err := answers[0].Err; !errors.Is(err, resolver.ErrUnavailable) || !strings.Contains(err.Error(), "overload") {
			t.Errorf("over the bound the error is %v: want an overload", err)
		}
		expect(t, answers[1], resolver.NotFound, "") // this one joined it
		group.Wait()
		expect(t, resolve(t, coalescer, ask(resolver.KindDag, "one more")), resolver.NotFound, "")
	})
}

func TestCoalescer_TurnsAPanicIntoUnavailable(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(){
		"panic": func() { panic("a secret") }, "nil panic": func() { panic(nil) }, "goexit": runtime.Goexit,
	} {
		var log bytes.Buffer
		coalescer := resolver.NewCoalescer(resolver.Func(func(context.Context, []resolver.Question) []resolver.Answer {
			fault()
			return nil
		}), resolver.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 2 {
			answer := resolve(t, coalescer, ask(resolver.KindDag, "dag_a"))
			if answer.Outcome != resolver.Unavailable || !errors.Is(answer.Err, resolver.ErrUnavailable) {
				t.Errorf("%s: the answer is %v (%v): want unavailable", name, answer.Outcome, answer.Err)
			}
		}
		coalescer.Close()
		if strings.Contains(log.String(), "secret") || strings.Contains(log.String(), "panic while resolving") == (name == "goexit") {
			t.Errorf("%s: the log is %q", name, log.String())
		}
	}
}

func BenchmarkCoalescer(b *testing.B) {
	next := resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		return make([]resolver.Answer, len(questions))
	})
	coalescer := newCoalescer(b, next, resolver.Options{})
	for _, bench := range []struct {
		name      string
		questions []resolver.Question
	}{
		{"one question", []resolver.Question{ask(resolver.KindVariable, variableKey)}},
		{"two questions", []resolver.Question{ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				coalescer.Resolve(b.Context(), bench.questions)
			}
		})
	}
}
