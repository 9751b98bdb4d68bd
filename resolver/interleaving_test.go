package resolver_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
)

// interleavings is how many random orders of fills and invalidations are tried.
const interleavings = 1000

// slowSource reads the owner at some moment of a call, and answers at a later
// one. The team is the number of times that the owner has changed.
type slowSource struct {
	random  func(limit time.Duration) time.Duration
	changes [interleavings]atomic.Int64 // by the name
}

func (s *slowSource) change(name int) { s.changes[name].Add(1) }

func (s *slowSource) Resolve(_ context.Context, questions []resolver.Question) []resolver.Answer {
	answers, asOf := make([]resolver.Answer, len(questions)), time.Now()
	time.Sleep(s.random(20 * ms))
	for i := range questions {
		name, _ := strconv.Atoi(questions[i].Name)
		answers[i] = resolver.Answer{Outcome: resolver.Found, Team: strconv.FormatInt(s.changes[name].Load(), 10), AsOf: asOf}
		if questions[i].Kind == resolver.KindTask {
			answers[i].Task = resolver.Task{DagID: "0", RunID: "run_1", TaskID: "t", MapIndex: -1}
		}
	}
	time.Sleep(s.random(20 * ms))
	return answers
}

// TestInterleaving_LeavesNoStaleOwner changes an owner while many ask, and
// whoever asks after the change was invalidated must see it.
func TestInterleaving_LeavesNoStaleOwner(t *testing.T) {
	t.Parallel()
	for seed := range uint64(interleavings) {
		synctest.Test(t, func(t *testing.T) {
			interleave(t, seed)
		})
	}
}

func interleave(t *testing.T, seed uint64) {
	t.Helper()
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	source := &slowSource{random: func(limit time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return time.Duration(random.Int64N(int64(limit)))
	}}
	chain := newChain(t, resolver.Options{Source: source, Lifetimes: resolver.Lifetimes{Owner: time.Hour, Task: time.Hour}})
	var (
		group       sync.WaitGroup
		invalidated atomic.Int64
		dag         = resolver.Key{Kind: resolver.KindDag, Name: "0"}
		questions   = []resolver.Question{
			ask(resolver.KindDag, "0"), ask(resolver.KindTask, "0"), as(resolver.Recent, ask(resolver.KindDag, "0")),
			as(resolver.Confirm, ask(resolver.KindTask, "0")),
		}
	)
	check := func(question resolver.Question) {
		least := invalidated.Load()
		answer := resolve(t, chain, question)
		if team, err := strconv.ParseInt(answer.Team, 10, 64); err != nil || team < least {
			t.Errorf("seed %d: %v is of team %q (%v) after change %d was invalidated", seed, question, answer.Team, answer.Err, least)
		}
	}
	for range 12 {
		question, wait := questions[source.random(4)], source.random(100*ms)
		group.Go(func() {
			time.Sleep(wait)
			check(question)
			time.Sleep(wait / 2)
			check(question)
		})
	}
	for range 3 {
		time.Sleep(source.random(40 * ms))
		source.change(0)
		time.Sleep(source.random(5 * ms))
		if err := chain.Invalidate(t.Context(), dag); err != nil {
			t.Error(err)
		}
		invalidated.Add(1)
	}
	group.Wait()
	for _, question := range questions {
		check(question)
	}
}

// TestInterleaving_LeavesNoStaleOwnerOnAnotherProcess does so with two chains on
// one Redis, a key for each order; once the messages have arrived, both are right.
func TestInterleaving_LeavesNoStaleOwnerOnAnotherProcess(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	source := &slowSource{random: func(limit time.Duration) time.Duration { return rand.N(limit) }}
	open := func(observer resolver.Observer) *resolver.Chain {
		return newChain(t, resolver.Options{
			Source: source, Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}.On(server.Client(t)),
			Lifetimes: resolver.Lifetimes{Owner: time.Hour}, Timeout: time.Minute, Observer: observer,
		}.Patient())
	}
	told := [2]*counts{new(counts), new(counts)}
	chains := [2]*resolver.Chain{open(told[0]), open(told[1])}
	eventually(t, "both listen", func() bool {
		for _, chain := range chains {
			if err := chain.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindAsset, Name: "probe"}); err != nil {
				t.Error(err)
			}
		}
		return told[0].told() > 0 && told[1].told() > 0
	})
	var group sync.WaitGroup
	for name := range interleavings {
		if name%50 == 0 { // a pool of connections is no herd's
			group.Wait()
		}
		question := ask(resolver.KindVariable, strconv.Itoa(name))
		for range 4 {
			chain, wait := chains[rand.N(2)], source.random(100*ms)
			group.Go(func() {
				time.Sleep(wait)
				resolve(t, chain, question)
			})
		}
		chain, wait := chains[rand.N(2)], source.random(100*ms)
		group.Go(func() {
			time.Sleep(wait)
			source.change(name)
			if err := chain.Invalidate(t.Context(), question.Key); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	last := [2]int{told[0].told(), told[1].told()}
	for i, chain := range chains { // messages arrive in order
		if err := chain.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindAsset, Name: "last"}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the last message arrives", func() bool { return told[1-i].told() > last[1-i] })
	}
	questions := make([]resolver.Question, interleavings)
	for name := range questions {
		questions[name] = ask(resolver.KindVariable, strconv.Itoa(name))
	}
	// The third knows no more than what Redis was left with.
	for i, chain := range []*resolver.Chain{chains[0], chains[1], open(new(counts))} {
		for name, answer := range chain.Resolve(t.Context(), questions) {
			if answer.Team != "1" {
				t.Errorf("chain %d takes variable %d for team %q's (%v)", i, name, answer.Team, answer.Err)
			}
		}
	}
}
