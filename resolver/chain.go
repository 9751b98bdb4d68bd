package resolver

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/rotate"
)

// The defaults of [Options].
const (
	defaultSize    = 100_000
	DefaultTTL     = 5 * time.Second
	DefaultTaskTTL = 5 * time.Minute
	DefaultTimeout = 2 * time.Second
)

var errNoSecret = errors.New("cache key is required with redis: set it, or the token secret, its default")

// Options are those of a [Chain]. Only Source must be set.
type Options struct {
	// Source is the authority: the lookup service or the embedded directory.
	Source Resolver
	// Redis is the URL of a Redis shared with other processes, as [redisclient.Open]
	// takes it; empty for none.
	Redis string
	// RefreshRedis returns Redis as it is now, with the present contents of files
	// that it is made of. Nil where it does not change. The files that the URL names
	// are followed by themselves.
	RefreshRedis func() (string, error)
	// RedisClient is used instead of Redis, and stays the caller's to close.
	RedisClient redis.UniversalClient
	// Secret seals the entries in Redis, and is needed with one. Processes that
	// share a Redis must share it.
	Secret []byte
	// Deployment names the Airflow whose owners these are. Two that share a Redis
	// keep apart by it, whatever secrets they have. Empty is a name too.
	Deployment string
	// Size is how many entries are kept in this process. 0 is [defaultSize].
	Size int
	// TTL is how long an owner, or that there is none, is taken for true. 0 is
	// [DefaultTTL].
	TTL time.Duration
	// TaskTTL is how long a task's identity is kept. 0 is [DefaultTaskTTL].
	TaskTTL time.Duration
	// Timeout bounds a resolve, whatever the deadline of its context. 0 is
	// [DefaultTimeout].
	Timeout time.Duration
	// Clock returns the time. Nil is [time.Now].
	Clock func() time.Time
	// Observer receives what happens, for metrics. Nil for none.
	Observer Observer
	// Logger logs changes of the state of a source or of Redis. Nil for none.
	Logger *slog.Logger

	invalidations *invalidations
	// redisTimeout is another in tests.
	redisTimeout time.Duration
}

func (o Options) withDefaults() Options {
	o.Size = cmp.Or(o.Size, defaultSize)
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	o.TaskTTL = cmp.Or(o.TaskTTL, DefaultTaskTTL)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.redisTimeout = cmp.Or(o.redisTimeout, redisclient.Timeout)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.invalidations == nil {
		o.invalidations = newInvalidations(o.Clock)
	}
	return o
}

// Chain answers from memory, else from Redis if there is one, else from the
// source; one call for each key at a time. Without its source it answers from
// what it knows; the rest is Unavailable.
type Chain struct {
	memory    *memoryTier
	coalescer *coalescer
	redis     *redisTier
	health    *health
	clients   *rotate.Value[redis.UniversalClient] // nil where Redis is not the chain's own
}

// New makes a chain, which needs to be closed. It reaches neither Redis nor the
// source: they may come up later.
func New(options Options) (*Chain, error) {
	options = options.withDefaults()
	c := &Chain{health: newHealth(options.Source, options.Clock, options.Timeout, options.Logger)}
	shared, err := c.share(c.health, options)
	if err != nil {
		return nil, err
	}
	c.coalescer = newCoalescer(shared, options)
	c.memory, err = newMemoryTier(c.coalescer, options)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// share puts Redis before the source, if there is one.
func (c *Chain) share(source Resolver, options Options) (Resolver, error) {
	var err error
	switch {
	case options.RedisClient != nil:
		c.redis, err = newRedisTier(source, rotate.Fixed(options.RedisClient), options)
	case options.Redis == "":
		return source, nil
	default:
		if c.clients, err = followRedis(options); err == nil {
			c.redis, err = newRedisTier(source, c.clients, options)
		}
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
