package resolver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/rotate"
)

const (
	// channelPrefix is the Redis channel on which invalidations are published,
	// followed by the deployment's name, if any.
	channelPrefix = "dagfence:invalidate"
	// keyPrefix is that of every key in Redis, followed by the deployment's name, if
	// any; its number is the version of the format.
	keyPrefix = "dagfence:2"
	// maxPlainName is the longest name that is a part of a Redis key as it is.
	maxPlainName = 128

	// invalidatePatience is how many times [redisclient.Timeout] an invalidation is
	// waited for.
	invalidatePatience = 5
	// heartbeat is how long a subscription may be silent before it is probed,
	// and then until it is given up.
	heartbeat = 5 * time.Second
	// minBackoff and maxBackoff bound the wait before Redis is dialed again.
	minBackoff, maxBackoff = 250 * time.Millisecond, time.Second
	// maxMessageKeys is how many keys one message names.
	maxMessageKeys = 32
)

var errNotSubscribed = errors.New("redis refused the subscription")

// Bus publishes invalidations to every process that shares a Redis. Messages are
// sealed: a stranger can at worst replay a message, which costs one lookup.
type Bus struct {
	clients *rotate.Value[redis.UniversalClient]
	sealer  *sealer
	channel string
	prefix  string
	now     func() time.Time
	ttl     time.Duration
	timeout time.Duration
	sender  uint64
}

// RedisOptions are where a Redis is, and what is shared there with whom.
type RedisOptions struct {
	// URL is that of the Redis, as [redisclient.Open] takes it.
	URL string
	// Refresh returns URL as it is now, with the present contents of files that it
	// is made of. Nil where it does not change. The files that the URL names are
	// followed by themselves.
	Refresh func() (string, error)
	// Secret seals what is in Redis, and must be set. Processes that share entries
	// or messages must share it.
	Secret []byte
	// Deployment names the Airflow whose owners these are. Two that share a Redis
	// keep apart by it, whatever secrets they have. Empty names the default deployment.
	Deployment string

	// patience is how long tests wait for Redis; 0 is [redisclient.Timeout].
	patience time.Duration
	// client is that of tests, instead of one of URL; it stays theirs to close.
	client redis.UniversalClient
}

func (o *RedisOptions) timeout() time.Duration { return cmp.Or(o.patience, redisclient.Timeout) }

// OpenBus joins the bus of a deployment in a Redis. ttl is how long the processes
// on the bus take an owner for true. The bus needs to be closed.
func OpenBus(o RedisOptions, ttl time.Duration, logger *slog.Logger) (*Bus, error) {
	clients, err := o.follow(logger)
	if err != nil {
		return nil, err
	}
	bus, err := newBus(clients, o, ttl, time.Now)
	if err != nil {
		clients.Close()
	}
	return bus, err
}

// follow makes clients of the Redis: another one when its URL, or a file that it
// names, has changed.
func (o *RedisOptions) follow(logger *slog.Logger) (*rotate.Value[redis.UniversalClient], error) {
	if o.client != nil {
		return rotate.Fixed(o.client), nil
	}
	refresh := o.Refresh
	if refresh == nil {
		refresh = rotate.Text(o.URL)
	}
	return rotate.New(rotate.Source[redis.UniversalClient]{
		Name: "redis", Logger: logger, Text: refresh, Make: redisclient.Open, Files: redisclient.Files,
		Retire: func(client redis.UniversalClient) { _ = client.Close() }, // another one has taken its place
	})
}

// Close closes the connections of [OpenBus].
func (b *Bus) Close() { b.clients.Close() }

func newBus(
	clients *rotate.Value[redis.UniversalClient], o RedisOptions, ttl time.Duration, now func() time.Time,
) (*Bus, error) {
	if len(o.Secret) == 0 {
		return nil, errors.New("cache key is required with redis: set it, or the token secret, its default")
	}
	sealer, err := newSealer(o.Secret, o.Deployment)
	if err != nil {
		return nil, err
	}
	return &Bus{
		clients: clients, sealer: sealer, channel: channelOf(o.Deployment), prefix: prefixOf(o.Deployment), now: now, ttl: ttl,
		timeout: invalidatePatience * o.timeout(),
		sender:  rand.Uint64(), //nolint:gosec // distinguishes processes; it is no secret
	}, nil
}

func channelOf(deployment string) string {
	if deployment == "" {
		return channelPrefix
	}
	return channelPrefix + ":" + deployment
}

// prefixOf keeps deployments from displacing each other's entries; the seal
// keeps them apart.
func prefixOf(deployment string) string {
	if deployment == "" {
		return keyPrefix + ":"
	}
	return keyPrefix + "@" + deployment + ":"
}

// Invalidate makes everyone on the bus forget the keys. In Redis each gets a
// tombstone, which no fill overwrites. It lives longer than an owner's time to
// live, so that it outlives any fill that began before it.
func (b *Bus) Invalidate(ctx context.Context, keys ...Key) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.timeout)
	defer cancel()
	if err := b.clients.Use(func(client redis.UniversalClient) error {
		_, err := b.invalidation(ctx, client, keys).Exec(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("invalidating in redis: %w", err)
	}
	return nil
}

// invalidation is the commands that invalidate the keys.
func (b *Bus) invalidation(ctx context.Context, client redis.UniversalClient, keys []Key) redis.Pipeliner {
	now, pipe := b.now(), client.Pipeline()
	body, _ := encodeAnswer(&Answer{Outcome: tombstone})
	for _, key := range keys {
		for _, name := range slots(key) {
			pipe.Set(ctx, b.redisKey(name), b.sealer.seal(name, now, body), b.ttl+maxSkew)
		}
	}
	for named := range slices.Chunk(keys, maxMessageKeys) {
		pipe.Publish(ctx, b.channel, b.sealer.seal(b.channel, now, encodeKeys(b.sender, named)))
	}
	return pipe
}

// Listen calls forget with the keys that others on the bus invalidate, until
// ctx ends. A fault of Redis does not end it; what is published meanwhile is
// missed, and lapses by its time to live.
func (b *Bus) Listen(ctx context.Context, forget func(keys []Key)) {
	wait := minBackoff
	for ctx.Err() == nil {
		started := time.Now()
		_ = b.clients.Use(func(client redis.UniversalClient) error { return b.receive(ctx, client, forget) })
		if time.Since(started) > heartbeat {
			wait = minBackoff
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // jitter
		}
		wait = min(2*wait, maxBackoff)
	}
}

// receive takes messages until the connection fails, or answers no ping. It
// returns an error if it could not subscribe.
func (b *Bus) receive(ctx context.Context, client redis.UniversalClient, forget func(keys []Key)) error {
	subscription := client.Subscribe(ctx, b.channel)
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer func() {
		stop()
		_ = subscription.Close()
	}()
	pinged, refused := false, errNotSubscribed
	for {
		received, err := subscription.ReceiveTimeout(ctx, heartbeat)
		var timeout net.Error
		switch {
		case err == nil:
			pinged, refused = false, nil
			if message, ok := received.(*redis.Message); ok {
				b.deliver([]byte(message.Payload), forget)
			}
		case !pinged && errors.As(err, &timeout) && timeout.Timeout() && ctx.Err() == nil:
			pinged = true
			if subscription.Ping(ctx) != nil {
				return refused
			}
		default:
			return refused
		}
	}
}

// deliver opens a message, and drops any that is old, forged or our own.
func (b *Bus) deliver(payload []byte, forget func(keys []Key)) {
	if len(payload) > maxMessage {
		return
	}
	now := b.now()
	body, sent, ok := b.sealer.open(b.channel, now, payload)
	if !ok || now.Sub(sent) > b.ttl+maxSkew {
		return
	}
	if sender, keys, ok := decodeKeys(body); ok && sender != b.sender {
		forget(keys)
	}
}

// slot names the entry in Redis that answers a question. A task has two: with
// its team, and its identity alone, which is kept for longer.
func slot(q *Question) string {
	if q.Kind == KindTask && q.IdentityOnly {
		return identitySlot(q.Name)
	}
	return q.Kind.String() + ":" + q.Name
}

func identitySlot(task string) string { return "identity:" + task }

// slots names all entries of a key.
func slots(key Key) []string {
	all := []string{slot(&Question{Key: key})}
	if key.Kind == KindTask {
		all = append(all, identitySlot(key.Name))
	}
	return all
}

// redisKey returns the Redis key of a slot, its hash where it is long. Entries
// are sealed under the slot, so that no name can pass for another's hash.
func (b *Bus) redisKey(slot string) string {
	if len(slot) <= maxPlainName {
		return b.prefix + slot
	}
	sum := sha256.Sum256([]byte(slot))
	return b.prefix + "#" + hex.EncodeToString(sum[:])
}
