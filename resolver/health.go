package resolver

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Probe is a question about a dag that can't exist: Airflow allows no spaces in a
// dag_id. It shows whether a source answers.
var Probe = Question{Key: Key{KindDag, "dagfence readiness probe"}}

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

func newHealth(source Resolver, now func() time.Time, timeout time.Duration, logger *slog.Logger) *health {
	h := &health{source: source, now: now, timeout: timeout, logger: logger}
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
	current := &state{outcome: Worst(answers), at: h.now()}
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
		h.logger.Error("ownership source denied the request: check its credentials", "error", current.err)
	case Unavailable:
		h.logger.Warn("ownership source unavailable", "error", current.err)
	case NotFound, Found:
		if previous.outcome <= Denied {
			h.logger.Info("ownership source available again")
		}
	}
}

// ready returns nil if the source answered within the last [RecentAge], or answers
// now. One failed question, which any task may have asked, is not enough.
func (h *health) ready(ctx context.Context) error {
	if last := h.last.Load(); last.outcome != Unavailable && h.now().Sub(last.at) <= RecentAge {
		return last.err
	}
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	return h.Resolve(ctx, []Question{Probe})[0].Err
}
