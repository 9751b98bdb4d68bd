package resolver

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/rotate"
)

// Options are those of a [Chain]. Only Redis, Observer and Logger may be left out.
type Options struct {
	// Source is the authority: the lookup service or the embedded directory.
	Source Resolver
	// Redis is shared with other processes. Without a URL there is none.
	Redis RedisOptions
	// Size is how many entries are kept in this process.
	Size int
	// Lifetimes are how long answers are taken for true.
	Lifetimes Lifetimes
	// Timeout bounds a resolve, whatever the deadline of its context.
	Timeout time.Duration
	// Observer receives what happens, for metrics. Nil for none.
	Observer Observer
	// Logger logs changes of the state of a source or of Redis. Nil for none.
	Logger *slog.Logger

	// now is another clock in tests; nil is [time.Now].
	now func() time.Time
}

// Lifetimes are how long an answer is taken for true.
type Lifetimes struct {
	// Owner is that of an owner, or that there is none.
	Owner time.Duration
	// Task is that of a task's identity: its dag, run, id and map index.
	Task time.Duration
}

// Chain answers from memory, else from Redis if there is one, else from the
// source; one call for each key at a time. Without its source it answers from
// what it knows; the rest is Unavailable.
type Chain struct {
	memory    *memoryTier
	coalescer *coalescer
	redis     *redisTier
	health    *health
	clients   *rotate.Value[redis.UniversalClient] // nil without Redis
}

// New makes a chain, which needs to be closed. It reaches neither Redis nor the
// source: they may come up later.
func New(options Options) (*Chain, error) {
	if options.Size <= 0 || options.Lifetimes.Owner <= 0 || options.Lifetimes.Task <= 0 || options.Timeout <= 0 {
		return nil, errors.New("size, lifetimes and timeout of a chain must be positive")
	}
	if options.now == nil {
		options.now = time.Now
	}
	if options.Observer == nil {
		options.Observer = silent{}
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	known := newInvalidations(options.now)
	c := &Chain{health: newHealth(options.Source, options.now, options.Timeout, options.Logger)}
	shared, err := c.share(c.health, known, options)
	if err != nil {
		return nil, err
	}
	c.coalescer = newCoalescer(shared, known, options.Timeout, options.Logger)
	c.memory, err = newMemoryTier(c.coalescer, known, options.Size, options.Lifetimes, options.Observer)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// share puts Redis before the source, if there is one.
func (c *Chain) share(source Resolver, known *invalidations, options Options) (Resolver, error) {
	if options.Redis.URL == "" {
		return source, nil
	}
	var err error
	if c.clients, err = options.Redis.follow(options.Logger); err == nil {
		c.redis, err = newRedisTier(source, c.clients, known, options)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c.redis, nil
}

// Resolve implements [Resolver].
func (c *Chain) Resolve(ctx context.Context, questions []Question) []Answer {
	return c.memory.Resolve(ctx, questions)
}

// Invalidate forgets the keys here, and in every process on the same Redis. An
// error means that the others were not notified; they ask again within one TTL.
// It is not cut short by the end of ctx.
func (c *Chain) Invalidate(ctx context.Context, keys ...Key) error {
	c.memory.Invalidate(keys...)
	if c.redis == nil {
		return nil
	}
	err := c.redis.Invalidate(ctx, keys...)
	// Again, for what was read from Redis before its tombstones stood.
	c.memory.Invalidate(keys...)
	return err
}

// Ready returns nil if the source answers, and else an error that wraps
// [ErrUnavailable] or [ErrDenied]. A source that was not asked in the last
// [RecentAge] is asked for something that does not exist. Redis does not count.
func (c *Chain) Ready(ctx context.Context) error { return c.health.ready(ctx) }

// Close ends what is under way and what runs in the background. The chain is
// not to be used any more; the source stays the caller's to close.
func (c *Chain) Close() error {
	if c.coalescer != nil {
		c.coalescer.Close()
	}
	if c.redis != nil {
		c.redis.Close()
	}
	if c.clients != nil {
		c.clients.Close()
	}
	return nil
}
