package resolver

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// Tier is where an answer comes from.
type Tier uint8

// The tiers. The caches among them report to [Observer.CacheRequest].
const (
	// TierSource is the authority itself: the zero value, since it sets none.
	TierSource Tier = iota
	TierMemory
	TierRedis
)

var tierNames = [...]string{"source", "memory", "redis"}

// String returns the tier's name in metrics and logs.
func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("tier(%d)", uint8(t))
}

// The results that a tier reports for a question.
const (
	// ResultHit is an answer from the tier.
	ResultHit = "hit"
	// ResultMiss is nothing that the question could take.
	ResultMiss = "miss"
	// ResultStale is an answer within its time to live to a [Confirm] question
	// that the source could not confirm.
	ResultStale = "stale"
	// ResultError is a tier that answered with an error, with an entry that
	// does not open, or not in time.
	ResultError = "error"
	// ResultBypass is a question that the tier was not asked: its name is too
	// long, it wants an answer more recent than the tier can vouch for (a [Fresh]
	// one always does), or the tier's breaker is open.
	ResultBypass = "bypass"
)

// The sources of ownership that [Observe] is given as a name.
const (
	SourceLookup    = "lookup"
	SourceDatabase  = "database"
	SourceOwnership = "ownership_file"
)

// Observer receives what happened, for metrics. Its arguments come from closed
// sets. Safe for concurrent use; called on the path of a request.
type Observer interface {
	// CacheRequest reports how a tier dealt with one question.
	CacheRequest(tier Tier, result string)
	// Lookup reports one call of a source: its worst outcome (Unavailable, then
	// Denied, NotFound, Found) and how long it took.
	Lookup(source string, outcome Outcome, took time.Duration)
	// Invalidated reports that another process invalidated keys.
	Invalidated(keys int)
}

// silent is the Observer of a chain that was given none.
type silent struct{}

func (silent) CacheRequest(Tier, string)             {}
func (silent) Lookup(string, Outcome, time.Duration) {}
func (silent) Invalidated(int)                       {}

// Observe reports each call of next to the observer, and in a span, as a call of the
// named source ([SourceLookup], [SourceDatabase], [SourceOwnership]). With a nil
// observer there is neither.
func Observe(next Resolver, source string, observer Observer) Resolver {
	if observer == nil {
		return next
	}
	name := "dagfence." + source
	return Func(func(ctx context.Context, questions []Question) []Answer {
		started := time.Now()
		ctx, span := StartSpan(ctx, name, trace.SpanKindClient)
		answers := next.Resolve(ctx, questions)
		endSpan(span, answers)
		if len(questions) > 0 {
			observer.Lookup(source, Worst(answers), time.Since(started))
		}
		return answers
	})
}

// Worst returns the least outcome of all; Unavailable where there are none.
func Worst(answers []Answer) Outcome {
	if len(answers) == 0 {
		return Unavailable
	}
	least := Found
	for i := range answers {
		least = min(least, answers[i].Outcome)
	}
	return least
}
