package resolver

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// maxFlights bounds how many calls of the tiers behind may be under way.
const maxFlights = 1024

// Collapse makes one call of the next tier out of many concurrent ones for the
// same key. Callers share the answer, errors included; each keeps its own
// deadline. A flight has its own time-out and outlives the caller that began
// it, so a client that goes away takes nobody along.
type Collapse struct {
	next      Resolver
	forgotten *forgotten
	options   Options

	mu      sync.Mutex
	flights map[flight]seat
	// running holds what ends each call under way, aboard or not.
	running map[*call]context.CancelFunc
	done    sync.WaitGroup
}

// flight is what a call under way was asked. Callers board one that asks for
// the same or for more.
type flight struct {
	Key
	// strict: the answer does not come from Redis.
	strict bool
	// whole: a task's team is asked for too.
	whole bool
}

// call is one call of the next tier. answers is written before done is closed.
type call struct {
	done    chan struct{}
	started instant
	answers []Answer
}

// seat is one question's place in a call. The zero seat was not to be had.
type seat struct {
	call  *call
	index int
}

// NewCollapse collapses the calls of next. Of the options it takes Timeout and
// Clock.
func NewCollapse(next Resolver, options Options) *Collapse {
	options = options.withDefaults()
	return &Collapse{
		next: next, forgotten: options.forgotten, options: options,
		flights: make(map[flight]seat), running: make(map[*call]context.CancelFunc),
	}
}

// Close cancels the calls that are under way, and waits for their end.
func (c *Collapse) Close() {
	c.mu.Lock()
	for _, cancel := range c.running {
		cancel()
	}
	c.mu.Unlock()
	c.done.Wait()
}

// Resolve implements [Resolver].
func (c *Collapse) Resolve(ctx context.Context, questions []Question) []Answer {
	if len(questions) == 0 {
		return []Answer{}
	}
	if err := ctx.Err(); err != nil {
		return unavailable(len(questions), err.Error())
	}
	seats := c.board(ctx, questions)
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	answers := make([]Answer, len(questions))
	for i, seat := range seats {
		answers[i] = seat.wait(ctx)
	}
	return answers
}

// wait gives the seat's answer, or Unavailable when ctx ends first.
func (s seat) wait(ctx context.Context) Answer {
	if s.call == nil {
		return unavailable(1, fmt.Sprintf("overload: %d calls are under way", maxFlights))[0]
	}
	select {
	case <-s.call.done:
		return s.call.answers[s.index]
	case <-ctx.Done():
		return unavailable(1, ctx.Err().Error())[0]
	}
}

// board finds a seat for each question: in a call that is under way, else all
// together in one new call.
func (c *Collapse) board(ctx context.Context, questions []Question) []seat {
	seats := make([]seat, len(questions))
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := &call{done: make(chan struct{}), started: c.forgotten.instant(c.forgotten.now())}
	var asked []Question
	for i, question := range questions {
		found, ok := c.join(question, fresh.started)
		switch {
		case ok:
			seats[i] = found
		case len(c.running) < maxFlights:
			seats[i] = seat{call: fresh, index: len(asked)}
			c.flights[flightOf(question)] = seats[i]
			asked = append(asked, question)
		}
	}
	if len(asked) > 0 {
		fresh.answers = unavailable(len(asked), "the call ended without an answer")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.options.Timeout)
		c.running[fresh] = cancel
		c.done.Go(func() { c.fly(ctx, fresh, asked) })
	}
	return seats
}

// join looks for a call under way that answers the question: one that asks for
// no less, began after the key was last invalidated, and for a question that
// wants a recent answer no more than [RecentAge] ago. No call will do for one
// that wants a fresh answer: each began before the question.
func (c *Collapse) join(question Question, now instant) (seat, bool) {
	if question.bypasses() {
		return seat{}, false
	}
	want := flightOf(question)
	since := c.forgotten.sinceFor(question.Key)
	for _, strict := range [...]bool{true, false} {
		for _, whole := range [...]bool{true, false} {
			if want.strict && !strict || want.whole && !whole {
				continue
			}
			found, ok := c.flights[flight{Key: question.Key, strict: strict, whole: whole}]
			if !ok || found.call.started <= since || want.strict && now-found.call.started > instant(RecentAge) {
				continue
			}
			return found, true
		}
	}
	return seat{}, false
}

func flightOf(q Question) flight {
	return flight{Key: q.Key, strict: q.Freshness != Cached, whole: !q.IdentityOnly || q.Kind != KindTask}
}

// fly asks the next tier, and tells everyone aboard.
func (c *Collapse) fly(ctx context.Context, call *call, asked []Question) {
	defer c.land(call, asked)
	defer func() {
		if cause := recover(); cause != nil {
			// Its type and place; its text might quote a secret.
			c.options.Logger.Error("resolving panicked", "type", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
		}
	}()
	call.answers = ask(ctx, c.next, asked)
}

// land ends the call, also one whose goroutine did not return.
func (c *Collapse) land(call *call, asked []Question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running[call]()
	delete(c.running, call)
	for _, question := range asked {
		if key := flightOf(question); c.flights[key].call == call {
			delete(c.flights, key)
		}
	}
	close(call.done)
}
