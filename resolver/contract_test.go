package resolver_test

import (
	"testing"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
)

var secret = []byte("a secret that seals the cache, of some length")

func TestResolvers_KeepTheContract(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(t *testing.T, world *resolvertest.World) resolver.Resolver{
		"world": func(_ *testing.T, world *resolvertest.World) resolver.Resolver { return world },
		"observed": func(_ *testing.T, world *resolvertest.World) resolver.Resolver {
			return resolver.Observe(world, resolver.SourceLookup, new(counts))
		},
		"memory": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newMemory(t, world, resolver.Options{})
		},
		"coalescer": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newCoalescer(t, world, resolver.Options{})
		},
		"redis": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newRedis(t, services.Redis(t).URL(), world, resolver.Options{})
		},
		"redis that is down": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newRedis(t, "redis://127.0.0.1:1", world, resolver.Options{})
		},
		"lookup": newLookup,
		"chain": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newChain(t, resolver.Options{Source: world})
		},
		"chain with redis": func(t *testing.T, world *resolvertest.World) resolver.Resolver {
			t.Helper()
			return newChain(t, resolver.Options{Source: world, Redis: resolver.RedisOptions{URL: services.Redis(t).URL(), Secret: secret}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			resolvertest.Run(t, build)
		})
	}
}

func newMemory(tb testing.TB, next resolver.Resolver, options resolver.Options) *resolver.MemoryTier {
	tb.Helper()
	memory, err := resolver.NewMemoryTier(next, options)
	if err != nil {
		tb.Fatal(err)
	}
	return memory
}

func newCoalescer(tb testing.TB, next resolver.Resolver, options resolver.Options) *resolver.Coalescer {
	tb.Helper()
	coalescer := resolver.NewCoalescer(next, options)
	tb.Cleanup(coalescer.Close)
	return coalescer
}

func newRedis(tb testing.TB, url string, next resolver.Resolver, options resolver.Options) *resolver.RedisTier {
	tb.Helper()
	client, err := redisclient.Open(url)
	if err != nil {
		tb.Fatal(err)
	}
	options.Redis.Secret = secret
	tier, err := resolver.NewRedisTier(next, client, options)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		tier.Close()
		if err := client.Close(); err != nil {
			tb.Error(err)
		}
	})
	return tier
}

func newChain(tb testing.TB, options resolver.Options) *resolver.Chain {
	tb.Helper()
	chain, err := resolver.New(options.WithDefaults())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := chain.Close(); err != nil {
			tb.Error(err)
		}
	})
	return chain
}

// ask is a question that takes any answer within its time to live; as with
// another freshness.
func ask(kind resolver.Kind, name string) resolver.Question {
	return resolver.Question{Key: resolver.Key{Kind: kind, Name: name}, Freshness: resolver.Cached}
}

func as(freshness resolver.Freshness, question resolver.Question) resolver.Question {
	question.Freshness = freshness
	return question
}

func identityOf(id string) resolver.Question {
	question := ask(resolver.KindTask, id)
	question.IdentityOnly = true
	return question
}

func resolve(tb testing.TB, r resolver.Resolver, question resolver.Question) resolver.Answer {
	tb.Helper()
	return r.Resolve(tb.Context(), []resolver.Question{question})[0]
}

// expect fails unless the answer is as wanted; the team counts for Found only.
func expect(tb testing.TB, answer resolver.Answer, outcome resolver.Outcome, team string) {
	tb.Helper()
	if answer.Outcome != outcome || outcome == resolver.Found && answer.Team != team {
		tb.Fatalf("the answer is %v, team %q (%v): want %v, %q", answer.Outcome, answer.Team, answer.Err, outcome, team)
	}
}
