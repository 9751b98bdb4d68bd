package resolver

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// maxCalls bounds how many calls of the next tier may run at once.
const maxCalls = 1024

// coalescer makes one call of the next tier out of many concurrent ones for the
// same key. Callers share the answer, errors included; each keeps its own
// deadline. A call has its own time-out and outlives the caller that began it, so
// that a client that goes away takes nobody along.
//
// golang.org/x/sync/singleflight does less: several keys in one call, a call that
// also answers a weaker question, and one that an invalidation makes too old are
// what this is for.
type coalescer struct {
	next          Resolver
	invalidations *invalidations
	timeout       time.Duration
	logger        *slog.Logger

	mu sync.Mutex
	// joinable holds the waiter whose answer others may share, of each question.
	joinable map[callKey]waiter
	// running holds what cancels each call, joinable or not.
	running map[*call]context.CancelFunc
	done    sync.WaitGroup
}

// callKey is what a call was asked. Callers join one that asks for the same or for
// more.
type callKey struct {
	Key
	// bypassRedis: the answer does not come from Redis.
	bypassRedis bool
	// withTeam: a task's team is asked for too.
	withTeam bool
}

// call is one call of the next tier. answers is written before done is closed.
type call struct {
	done    chan struct{}
	started instant
	answers []Answer
	// span is that of the caller that began it.
	span trace.Span
}

// waiter waits for one question's answer in a call. The zero waiter has no call:
// too many were running.
type waiter struct {
	call  *call
	index int
}

// newCoalescer returns a coalescer of the calls of next, each of which may take
// timeout.
func newCoalescer(next Resolver, known *invalidations, timeout time.Duration, logger *slog.Logger) *coalescer {
	return &coalescer{
		next: next, invalidations: known, timeout: timeout, logger: logger,
		joinable: make(map[callKey]waiter), running: make(map[*call]context.CancelFunc),
	}
}

// Close cancels the calls that are running, and waits for their end.
func (c *coalescer) Close() {
	c.mu.Lock()
	for _, cancel := range c.running {
		cancel()
	}
	c.mu.Unlock()
	c.done.Wait()
}

// Resolve implements [Resolver].
func (c *coalescer) Resolve(ctx context.Context, questions []Question) []Answer {
	if len(questions) == 0 {
		return []Answer{}
	}
	if err := ctx.Err(); err != nil {
		return unavailable(len(questions), err.Error())
	}
	waiters := c.join(ctx, questions)
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	answers := make([]Answer, len(questions))
	for i, waiter := range waiters {
		answers[i] = waiter.wait(ctx)
	}
	return answers
}

// wait returns the call's answer, or Unavailable when ctx ends first.
func (w waiter) wait(ctx context.Context) Answer {
	if w.call == nil {
		return unavailable(1, fmt.Sprintf("overload: too many calls in flight (%d)", maxCalls))[0]
	}
	select {
	case <-w.call.done:
		return w.call.answers[w.index]
	case <-ctx.Done():
		return unavailable(1, ctx.Err().Error())[0]
	}
}

// join returns a waiter for each question: in a call that is running, else all
// together in one new call.
func (c *coalescer) join(ctx context.Context, questions []Question) []waiter {
	waiters := make([]waiter, len(questions))
	c.mu.Lock()
	defer c.mu.Unlock()
	span := trace.SpanFromContext(ctx)
	fresh := &call{done: make(chan struct{}), started: c.invalidations.instant(c.invalidations.now()), span: span}
	var asked []Question
	for i, question := range questions {
		found, ok := c.find(question, fresh.started)
		switch {
		case ok:
			waiters[i] = found
			if span.IsRecording() {
				link(span, found.call.span)
			}
		case len(c.running) < maxCalls:
			waiters[i] = waiter{call: fresh, index: len(asked)}
			c.joinable[callKeyOf(question)] = waiters[i]
			asked = append(asked, question)
		}
	}
	if len(asked) > 0 {
		fresh.answers = unavailable(len(asked), "the call ended without an answer")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		c.running[fresh] = cancel
		c.done.Go(func() { c.run(ctx, fresh, asked) })
	}
	return waiters
}

// find returns a running call that answers the question: one that asks for no
// less, began after the key was last invalidated, and for a question that wants a
// recent answer no more than [RecentAge] ago. No call will do for one that wants a
// fresh answer: each began before the question.
func (c *coalescer) find(question Question, now instant) (waiter, bool) {
	if question.bypasses() {
		return waiter{}, false
	}
	want := callKeyOf(question)
	since := c.invalidations.sinceFor(question.Key)
	for _, bypassRedis := range [...]bool{true, false} {
		for _, withTeam := range [...]bool{true, false} {
			if want.bypassRedis && !bypassRedis || want.withTeam && !withTeam {
				continue
			}
			found, ok := c.joinable[callKey{Key: question.Key, bypassRedis: bypassRedis, withTeam: withTeam}]
			if !ok || found.call.started <= since || want.bypassRedis && now-found.call.started > instant(RecentAge) {
				continue
			}
			return found, true
		}
	}
	return waiter{}, false
}

func callKeyOf(q Question) callKey {
	return callKey{Key: q.Key, bypassRedis: q.Freshness != Cached, withTeam: !q.IdentityOnly || q.Kind != KindTask}
}

// run asks the next tier, and wakes all waiters.
func (c *coalescer) run(ctx context.Context, call *call, asked []Question) {
	defer c.finish(call, asked)
	defer func() {
		if cause := recover(); cause != nil {
			// Its type and place; its text might quote a secret.
			c.logger.Error("panic while resolving", "type", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
		}
	}()
	call.answers = ask(ctx, c.next, asked)
}

// finish ends the call, also one whose goroutine panicked.
func (c *coalescer) finish(call *call, asked []Question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[call]()
	delete(c.running, call)
	for _, question := range asked {
		if key := callKeyOf(question); c.joinable[key].call == call {
			delete(c.joinable, key)
		}
	}
	close(call.done)
}
