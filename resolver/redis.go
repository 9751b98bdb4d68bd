package resolver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/trace"

	"github.com/dagfence/dagfence/rotate"
)

const (
	// breakerFailures consecutive failures open the breaker; after
	// breakerPause one question probes Redis again.
	breakerFailures = 5
	breakerPause    = time.Second
	// maxQueue is how many fills may wait; maxBatch go in one round trip.
	maxQueue, maxBatch = 1024, 64
)

// redisTier keeps the answers of the next tier where other processes find them. It
// is a cache and never an authority: whatever is wrong with it is a miss, and
// after a few failures it is not asked at all for a while.
//
// It answers [Cached] questions only. Others bypass it, and no answer from it
// is returned as fetched less than [RecentAge] ago: it was timed by another
// machine's clock, and whoever can write to Redis can put an old entry back.
// So Redis never says who owns what a write touches, and never has the last word
// in a deny.
type redisTier struct {
	next          Resolver
	clients       *rotate.Value[redis.UniversalClient]
	bus           *Bus
	invalidations *invalidations
	options       Options
	breaker       *gobreaker.CircuitBreaker[[]*redis.StringCmd]

	queue chan fill
	stop  context.CancelFunc
	done  sync.WaitGroup
}

// fill is an answer on its way to Redis.
type fill struct {
	// question is the one that finds the answer again.
	question Question
	answer   Answer
	// overwrite replaces an entry that does not open.
	overwrite bool
}

// newRedisTier keeps the answers of next in the Redis of the clients, which stay
// the caller's to close. What other processes invalidate is invalidated here and
// in the other tiers of its chain. An ACL user needs the commands GETRANGE, SET,
// PUBLISH, SUBSCRIBE and PING (with a cluster CLUSTER too) on the keys and
// channels dagfence:*.
func newRedisTier(
	next Resolver, clients *rotate.Value[redis.UniversalClient], known *invalidations, options Options,
) (*redisTier, error) {
	bus, err := newBus(clients, options.Redis, options.Lifetimes.Owner, options.now)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &redisTier{
		next: next, clients: clients, bus: bus, invalidations: known, options: options,
		queue: make(chan fill, maxQueue), stop: stop,
	}
	r.breaker = gobreaker.NewCircuitBreaker[[]*redis.StringCmd](gobreaker.Settings{
		Timeout:     breakerPause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerFailures },
		IsExcluded:  func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errRefused) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			options.Logger.Warn("redis circuit breaker changed state", "from", from.String(), "to", to.String())
		},
	})
	r.done.Go(func() { r.write(ctx) })
	r.done.Go(func() {
		bus.Listen(ctx, func(keys []Key) {
			options.Observer.Invalidated(len(keys))
			r.invalidations.add(keys...)
		})
	})
	return r, nil
}

// Close ends the subscription, and writes what still waits.
func (r *redisTier) Close() {
	r.stop()
	r.done.Wait()
}

// Invalidate makes every process on the same Redis forget the keys. An error
// means that the others were not notified; they ask again within one TTL.
func (r *redisTier) Invalidate(ctx context.Context, keys ...Key) error {
	r.invalidations.add(keys...)
	_, err := r.breaker.Execute(func() ([]*redis.StringCmd, error) {
		return []*redis.StringCmd{}, r.bus.Invalidate(ctx, keys...)
	})
	if err != nil {
		return fmt.Errorf("publishing the invalidation: %w", err)
	}
	return nil
}

// Resolve implements [Resolver], with one round trip for all questions.
func (r *redisTier) Resolve(ctx context.Context, questions []Question) []Answer {
	answers := make([]Answer, len(questions))
	results := r.read(ctx, questions, answers)
	var missed []int
	for i, result := range results {
		r.options.Observer.CacheRequest(TierRedis, result)
		if result != ResultHit {
			missed = append(missed, i)
		}
	}
	for i, answer := range ask(ctx, r.next, pick(questions, missed)) {
		index := missed[i]
		answers[index] = answer
		r.fill(&questions[index], answer, results[index] == ResultError)
	}
	return answers
}

// read answers what Redis knows, and returns the result for each question.
func (r *redisTier) read(ctx context.Context, questions []Question, answers []Answer) []string {
	results := make([]string, len(questions))
	wanted := make([]int, 0, len(questions))
	names := make([]string, 0, len(questions))
	for i := range questions {
		if q := &questions[i]; q.Freshness == Cached && !q.bypasses() && q.known() {
			wanted, names = append(wanted, i), append(names, r.bus.redisKey(slot(q)))
		} else {
			results[i] = ResultBypass
		}
	}
	if len(wanted) == 0 {
		return results
	}
	ctx, span := StartSpan(ctx, "dagfence.redis", trace.SpanKindClient)
	replies, err := r.get(ctx, names)
	for j, i := range wanted {
		switch {
		case replies != nil:
			results[i] = r.take(&questions[i], replies[j], &answers[i])
		case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
			results[i] = ResultBypass
		default:
			results[i] = ResultError
		}
	}
	endRedisSpan(span, len(wanted), results)
	return results
}

// get reads the keys. It reads no more of a value than could be sealed: what
// is there may be of any size.
func (r *redisTier) get(ctx context.Context, names []string) ([]*redis.StringCmd, error) {
	return r.breaker.Execute(func() ([]*redis.StringCmd, error) {
		ctx, cancel := context.WithTimeout(ctx, r.options.Redis.timeout())
		defer cancel()
		replies := make([]*redis.StringCmd, len(names))
		return replies, r.clients.Use(func(client redis.UniversalClient) error {
			pipe := client.Pipeline()
			for i, name := range names {
				replies[i] = pipe.GetRange(ctx, name, 0, maxSealed)
			}
			// Each reply has its own error, but where the connection was refused: then
			// none has, and none is a miss.
			if _, err := pipe.Exec(ctx); err != nil && !slices.ContainsFunc(replies, func(reply *redis.StringCmd) bool { return reply.Err() != nil }) {
				for _, reply := range replies {
					reply.SetErr(err)
				}
			}
			for _, reply := range replies {
				if err := reply.Err(); err != nil && !isWrongType(err) {
					return err
				}
			}
			return nil
		})
	})
}

func isWrongType(err error) bool { return strings.HasPrefix(err.Error(), "WRONGTYPE ") }

// take reads an answer from a reply, if it is sealed, within its time to live and
// not invalidated.
func (r *redisTier) take(q *Question, reply *redis.StringCmd, answer *Answer) string {
	value, err := reply.Bytes()
	if err != nil || len(value) > maxSealed {
		return ResultError
	}
	if len(value) == 0 {
		return ResultMiss
	}
	now := r.options.now()
	body, asOf, ok := r.bus.sealer.open(slot(q), now, value)
	if !ok {
		return ResultError
	}
	known, ok := decodeAnswer(body)
	if !ok || known.Outcome == Found && q.Kind == KindTask && known.Task.DagID == "" {
		return ResultError
	}
	if known.Outcome != Found && known.Outcome != NotFound || now.Sub(asOf) > r.ttl(q, known.Outcome) {
		return ResultMiss
	}
	// Relative to now, whose monotonic reading it so gets: the wall clock, which
	// is all that Redis knows, may be set back or forth.
	known.AsOf = now.Add(-max(now.Sub(asOf), RecentAge+1))
	if r.isInvalidated(q, &known) {
		return ResultMiss
	}
	known.Tier = TierRedis
	*answer = known
	return ResultHit
}

func (r *redisTier) ttl(q *Question, outcome Outcome) time.Duration {
	if q.Kind == KindTask && q.IdentityOnly && outcome == Found {
		return r.options.Lifetimes.Task
	}
	return r.options.Lifetimes.Owner
}

// isInvalidated reports whether the answer was fetched before its key was last
// invalidated, or the dag whose team a task's answer carries.
func (r *redisTier) isInvalidated(q *Question, answer *Answer) bool {
	f := r.invalidations
	asOf := f.instant(answer.AsOf)
	if asOf <= f.since(q.Key) {
		return true
	}
	return q.Kind == KindTask && !q.IdentityOnly && asOf <= f.since(Key{KindDag, answer.Task.DagID})
}
