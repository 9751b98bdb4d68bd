package resolver_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
)

// steppable is a clock whose wall reading can be set, as NTP and the resume of a
// virtual machine do, while its monotonic reading goes on.
type steppable struct {
	base         time.Time
	passed, step atomic.Int64 // nanoseconds; whole seconds
}

func (c *steppable) now() time.Time {
	t := c.base.Add(time.Duration(c.passed.Add(1)))
	// A time.Time begins with a word that has the wall's seconds from bit 30 on.
	*(*uint64)(unsafe.Pointer(&t)) += uint64(c.step.Load()) << 30
	return t
}

func TestRedisAnswer_IsNotOfTheFutureAfterAClockStep(t *testing.T) {
	t.Parallel()
	server, clock := services.Redis(t), &steppable{base: time.Now()}
	var team atomic.Value
	team.Store("team_old")
	source := resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		answers := make([]resolver.Answer, len(questions))
		for i := range answers {
			answers[i] = resolver.Answer{Outcome: resolver.Found, Team: team.Load().(string), AsOf: clock.now()}
		}
		return answers
	})
	chain := func() *resolver.Chain {
		return newChain(t, resolver.Options{Source: source, Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}}.At(clock.now).Patient())
	}
	reader := chain()
	clock.step.Store(3600)
	writer := chain()
	question := resolver.Question{Key: resolver.Key{Kind: resolver.KindVariable, Name: variableKey}, Freshness: resolver.Cached}
	resolve(t, writer, question)
	waitKey(t, server.Client(t), question)
	clock.passed.Add(int64(2 * time.Second))
	expect(t, resolve(t, reader, question), resolver.Found, "team_old")

	team.Store("team_new")
	recent := question
	recent.Freshness = resolver.Recent
	expect(t, resolve(t, reader, recent), resolver.Found, "team_new")
	server.Client(t).FlushAll(t.Context())
	clock.passed.Add(int64(10 * time.Second))
	expect(t, resolve(t, reader, question), resolver.Found, "team_new")
}
