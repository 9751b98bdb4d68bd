package resolver

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/rotate"
)

// The tiers of a chain, each by itself.
type (
	MemoryTier = memoryTier
	RedisTier  = redisTier
	Coalescer  = coalescer
)

// OwnersQuestion is one question of an [OwnersRequest].
type OwnersQuestion = ownersQuestion

var (
	ParseKind        = parseKind
	NewOwnersRequest = newOwnersRequest
)

// The lifetimes of tests that do not look at them; they are the defaults of the
// configuration.
const (
	OwnerLifetime = 5 * time.Second
	TaskLifetime  = 5 * time.Minute
	Timeout       = 2 * time.Second
)

// WithDefaults sets what must be set and is not.
func (o Options) WithDefaults() Options {
	o.Size = cmp.Or(o.Size, 100_000)
	o.Lifetimes.Owner = cmp.Or(o.Lifetimes.Owner, OwnerLifetime)
	o.Lifetimes.Task = cmp.Or(o.Lifetimes.Task, TaskLifetime)
	o.Timeout = cmp.Or(o.Timeout, Timeout)
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	return o
}

// At returns the options with another clock.
func (o Options) At(now func() time.Time) Options {
	o.now = now
	return o
}

// At returns the options with another clock.
func (o LookupOptions) At(now func() time.Time) LookupOptions {
	o.now = now
	return o
}

func NewMemoryTier(next Resolver, o Options) (*MemoryTier, error) {
	o = o.WithDefaults()
	return newMemoryTier(next, newInvalidations(o.now), o.Size, o.Lifetimes, o.Observer)
}

func NewCoalescer(next Resolver, o Options) *Coalescer {
	o = o.WithDefaults()
	return newCoalescer(next, newInvalidations(o.now), o.Timeout, o.Logger)
}

// NewRedisTier returns a tier on a client that stays the caller's to close.
func NewRedisTier(next Resolver, client redis.UniversalClient, o Options) (*RedisTier, error) {
	o = o.WithDefaults()
	return newRedisTier(next, rotate.Fixed(client), newInvalidations(o.now), o)
}

// NewBus returns a bus on a client that stays the caller's to close.
func NewBus(client redis.UniversalClient, o RedisOptions) (*Bus, error) {
	return newBus(rotate.Fixed(client), o, OwnerLifetime, time.Now)
}

// Sealer is the sealer for the tests of another package.
type Sealer struct {
	*sealer

	deployment string
}

func NewSealer(secret []byte, deployment string) (Sealer, error) {
	s, err := newSealer(secret, deployment)
	return Sealer{s, deployment}, err
}

func (s Sealer) Seal(name string, asOf time.Time, body []byte) []byte {
	return s.seal(name, asOf, body)
}

func (s Sealer) Open(name string, now time.Time, value []byte) ([]byte, time.Time, bool) {
	return s.open(name, now, value)
}

// SealAnswer seals an answer as the Redis tier does, and returns its Redis key.
func (s Sealer) SealAnswer(question Question, answer Answer) (key string, value []byte) {
	body, _ := encodeAnswer(&answer)
	name := slot(&question)
	return (&Bus{prefix: prefixOf(s.deployment)}).redisKey(name), s.seal(name, answer.AsOf, body)
}

// SealMessage seals an invalidation as the bus does.
func (s Sealer) SealMessage(sent time.Time, keys ...Key) []byte {
	return s.seal(channelOf(s.deployment), sent, encodeKeys(0, keys))
}

// RedisKey is the Redis key of the entry that answers a question.
func RedisKey(question Question) string {
	return (&Bus{prefix: prefixOf("")}).redisKey(slot(&question))
}

// Channel is that of a deployment without a name.
var Channel = channelOf("")

func DecodeAnswer(body []byte) (Answer, bool) { return decodeAnswer(body) }

func EncodeAnswer(answer Answer) ([]byte, bool) { return encodeAnswer(&answer) }

func DecodeKeys(body []byte) ([]Key, bool) {
	_, keys, ok := decodeKeys(body)
	return keys, ok
}

// Patient makes options that wait for Redis on a machine that is busy.
func (o Options) Patient() Options {
	o.Redis = o.Redis.Patient()
	return o
}

// On returns the options with a client that stays the caller's to close.
func (o RedisOptions) On(client redis.UniversalClient) RedisOptions {
	o.client = client
	return o
}

// Patient is [Options.Patient] for a bus.
func (o RedisOptions) Patient() RedisOptions {
	o.patience = 5 * time.Second
	return o
}

// BreakerOpen reports whether the tier has stopped asking Redis.
func (r *redisTier) BreakerOpen() bool { return r.breaker.State() != 0 }

// Constants that tests count with.
const (
	MaxName  = maxCachedName
	MaxCalls = maxCalls
	MaxQueue = maxQueue
)

// EstimatedAbsent is how many names are kept as not found.
func (m *memoryTier) EstimatedAbsent() int {
	m.notFound.CleanUp()
	return m.notFound.EstimatedSize()
}
