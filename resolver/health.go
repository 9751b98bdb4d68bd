package resolver

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// probe is asked of the source when nobody else has asked it lately. No dag can
// be called so: Airflow allows letters, digits, dots, dashes and underscores.
var probe = Question{Key: Key{KindDag, "dagfence readiness probe"}}

// health watches a source, and logs when its state changes.
type health struct {
	source  Resolver
	now     func() time.Time
	timeout time.Duration
	logger  *slog.Logger
	last    atomic.Pointer[state]
}

// state is how the last call of the source ended.
type state struct {
	outcome Outcome
	err     error
	at      time.Time
}

func newHealth(source Resolver, options Options) *health {
	h := &health{source: source, now: options.Clock, timeout: options.Timeout, logger: options.Logger}
	h.last.Store(&state{outcome: Found})
	return h
}

// Resolve implements [Resolver].
func (h *health) Resolve(ctx context.Context, questions []Question) []Answer {
	answers := ask(ctx, h.source, questions)
	if len(answers) > 0 {
		h.record(answers)
	}
	return answers
}

func (h *health) record(answers []Answer) {
	current := &state{outcome: worst(answers), at: h.now()}
	for i := range answers {
		if answers[i].Outcome == current.outcome {
			current.err = answers[i].Err
			break
		}
	}
	previous := h.last.Swap(current)
	if previous.outcome == current.outcome {
		return
	}
	switch current.outcome {
	case Denied:
		h.logger.Error("the source of ownership refuses to answer: check its credentials", "error", current.err)
	case Unavailable:
		h.logger.Warn("the source of ownership is unavailable", "error", current.err)
	case NotFound, Found:
		if previous.outcome <= Denied {
			h.logger.Info("the source of ownership answers again")
		}
	}
}

// ready gives nil if the source answered within the last [RecentAge], or
// answers now; else why not. That one question came to nothing, which any task
// may have asked, is not enough to tell that it does not.
func (h *health) ready(ctx context.Context) error {
	if last := h.last.Load(); last.outcome != Unavailable && h.now().Sub(last.at) <= RecentAge {
		return last.err
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	return h.Resolve(ctx, []Question{probe})[0].Err
}
