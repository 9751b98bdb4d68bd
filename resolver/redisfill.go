package resolver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

var errRefused = errors.New("redis rejected the write")

// fill hands an answer to the writer. It never waits: if the queue is full, the
// answer is dropped.
func (r *redisTier) fill(q *Question, answer Answer, overwrite bool) {
	if !q.known() || q.Kind == KindAssetAlias || len(answer.Others) > 0 || answer.Outcome != Found && answer.Outcome != NotFound {
		return
	}
	question := *q
	r.enqueue(fill{question: question, answer: answer, overwrite: overwrite})
	if q.Kind == KindTask && !q.IdentityOnly && answer.Outcome == Found {
		question.IdentityOnly, answer.Team, answer.Grants = true, "", nil
		r.enqueue(fill{question: question, answer: answer})
	}
}

func (r *redisTier) enqueue(f fill) {
	select {
	case r.queue <- f:
	default:
	}
}

// write sends what waits, many fills in one round trip, until ctx ends; then
// the rest.
func (r *redisTier) write(ctx context.Context) {
	for {
		select {
		case first := <-r.queue:
			_ = r.send(ctx, r.batch(first)) // the breaker counts it
			continue
		case <-ctx.Done():
		}
		select {
		case first := <-r.queue:
			if r.send(ctx, r.batch(first)) != nil {
				return
			}
		default:
			return
		}
	}
}

// batch adds what waits behind the first fill.
func (r *redisTier) batch(first fill) []fill {
	fills := []fill{first}
	for len(fills) < maxBatch {
		select {
		case next := <-r.queue:
			fills = append(fills, next)
		default:
			return fills
		}
	}
	return fills
}

// send writes the fills. SET with NX is one atomic command: it overwrites no
// tombstone, nor anything else that is still alive. An error reply does not
// count as a failure of the connection (the server may be read-only, or full), nor as
// a success (it may want a password).
func (r *redisTier) send(ctx context.Context, fills []fill) error {
	_, err := r.breaker.Execute(func() ([]*redis.StringCmd, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.Redis.timeout())
		defer cancel()
		now := r.options.now()
		err := r.clients.Use(func(client redis.UniversalClient) error {
			pipe := client.Pipeline()
			for i := range fills {
				r.set(ctx, pipe, &fills[i], now)
			}
			_, err := pipe.Exec(ctx)
			if errors.Is(err, redis.Nil) { // it stood there already
				return nil
			}
			return err
		})
		var refused redis.Error
		switch {
		case errors.Is(err, redis.Nil):
			err = nil
		case errors.As(err, &refused):
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		return []*redis.StringCmd{}, err
	})
	return err
}

// set adds one fill to the pipe, unless it is too old or invalidated by now.
func (r *redisTier) set(ctx context.Context, pipe redis.Pipeliner, f *fill, now time.Time) {
	left := r.ttl(&f.question, f.answer.Outcome) - now.Sub(f.answer.AsOf)
	if left < time.Millisecond || r.isInvalidated(&f.question, &f.answer) {
		return
	}
	body, ok := encodeAnswer(&f.answer)
	if !ok || len(body) > maxSealed/2 {
		return
	}
	args := redis.SetArgs{TTL: left.Truncate(time.Millisecond), Mode: "NX"}
	if f.overwrite {
		args.Mode = ""
	}
	name := slot(&f.question)
	pipe.SetArgs(ctx, r.bus.redisKey(name), r.bus.sealer.seal(name, f.answer.AsOf, body), args)
}
