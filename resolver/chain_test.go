package resolver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

func TestObserve_ReportsTheWorstOutcome(t *testing.T) {
	t.Parallel()
	world, observer := owned(), new(counts)
	world.Refuse(resolver.KindDag, "refused", resolver.Denied)
	world.Refuse(resolver.KindDag, "lost", resolver.Unavailable)
	source := resolver.Observe(world, resolver.SourceDatabase, observer)
	var questions []resolver.Question
	source.Resolve(t.Context(), questions)
	for _, name := range []string{"dag_a", "missing", "refused", "lost"} {
		questions = append(questions, ask(resolver.KindDag, name))
		source.Resolve(t.Context(), questions)
	}
	resolver.Observe(resolver.Func(func(context.Context, []resolver.Question) []resolver.Answer { return nil }),
		resolver.SourceLookup, observer).Resolve(t.Context(), questions)
	want := []string{"database found", "database not_found", "database denied", "database unavailable", "lookup unavailable"}
	if !slices.Equal(observer.lookups, want) {
		t.Errorf("reported are %q: want %q", observer.lookups, want)
	}
	expect(t, resolve(t, resolver.Observe(world, resolver.SourceLookup, nil), ask(resolver.KindDag, "dag_a")), resolver.Found, "team_a")
}

func TestNew_NamesInvalidOption(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	for name, test := range map[string]struct {
		options  resolver.Options
		mentions []string
	}{
		"redis, no secret": {resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: "redis://cache"}}, []string{"cache key"}},
		"redis, no URL":    {resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: "u:" + hidden, Secret: secret}}, []string{"redis: "}},
	} {
		chain, err := resolver.New(test.options.WithDefaults())
		if err == nil || chain != nil {
			t.Errorf("%s: the options are taken", name)
			continue
		}
		for _, mention := range test.mentions {
			if !strings.Contains(err.Error(), mention) || strings.Contains(err.Error(), hidden) {
				t.Errorf("%s: the error is %q: want one that mentions %q", name, err, mention)
			}
		}
	}
	for name, unset := range map[string]func(*resolver.Options){
		"size":           func(o *resolver.Options) { o.Size = 0 },
		"owner lifetime": func(o *resolver.Options) { o.Lifetimes.Owner = 0 },
		"task lifetime":  func(o *resolver.Options) { o.Lifetimes.Task = 0 },
		"timeout":        func(o *resolver.Options) { o.Timeout = 0 },
	} {
		options := resolver.Options{Source: owned()}.WithDefaults()
		unset(&options)
		if _, err := resolver.New(options); err == nil {
			t.Errorf("a chain without %s is made", name)
		}
	}
	if _, err := resolver.NewBus(nil, resolver.RedisOptions{}); err == nil {
		t.Error("a bus without a secret is taken")
	}
}

func TestChain_AnswersWithinItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		slow(world, time.Hour)
		chain := newChain(t, resolver.Options{Source: world, Timeout: 300 * ms})
		started := time.Now()
		expect(t, resolve(t, chain, ask(resolver.KindDag, "dag_a")), resolver.Unavailable, "")
		if took := time.Since(started); took != 300*ms {
			t.Errorf("it took %v: want the chain's own 300 ms", took)
		}
	})
}

func TestChain_ServesWhatItKnowsWithoutItsSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := owned()
		chain := newChain(t, resolver.Options{Source: world})
		known := []resolver.Question{ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)}
		chain.Resolve(t.Context(), known)
		time.Sleep(2 * time.Second)
		world.Before = func(context.Context, []resolver.Question) error { return errors.New("the database is down") }
		answers := chain.Resolve(t.Context(), known)
		expect(t, answers[0], resolver.Found, "team_a")
		expect(t, answers[1], resolver.Found, "team_b")
		expect(t, resolve(t, chain, as(resolver.Recent, known[1])), resolver.Unavailable, "")
		expect(t, resolve(t, chain, as(resolver.Confirm, known[1])), resolver.Found, "team_b")
		time.Sleep(time.Minute)
		expect(t, resolve(t, chain, identityOf(task1)), resolver.Found, "")
		expect(t, resolve(t, chain, known[0]), resolver.Unavailable, "")
	})
}

func TestChain_IsReadyWhileItsSourceAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := new(resolvertest.World)
		var log bytes.Buffer
		chain := newChain(t, resolver.Options{Source: world, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ready := func(want error) {
			t.Helper()
			if err := chain.Ready(t.Context()); !errors.Is(err, want) {
				t.Errorf("ready is %v: want %v", err, want)
			}
		}
		question := as(resolver.Recent, ask(resolver.KindDag, "dag_a"))
		ready(nil)
		ready(nil)
		expectCalls(t, world, 1) // the first was a probe
		world.Refuse(question.Kind, question.Name, resolver.Denied)
		time.Sleep(2 * time.Second)
		resolve(t, chain, question)
		ready(resolver.ErrDenied)
		expectCalls(t, world, 1)
		time.Sleep(2 * time.Second)
		ready(nil) // nobody asks any more, and the probe is answered
		world.Before = func(context.Context, []resolver.Question) error { return errors.New("the database is down") }
		time.Sleep(2 * time.Second)
		ready(resolver.ErrUnavailable)
		resolve(t, chain, question)
		for _, line := range []string{
			`level=ERROR msg="ownership source denied`, `level=INFO msg="ownership source available again"`, `level=WARN msg="ownership source unavailable"`,
		} {
			if strings.Count(log.String(), line) != 1 {
				t.Errorf("the log is %s: want %s once", log.String(), line)
			}
		}
		world.Before = nil
		time.Sleep(2 * time.Second)
		world.Refuse(question.Kind, question.Name, resolver.Unavailable)
		resolve(t, chain, question) // one bad row
		ready(nil)
	})
}
