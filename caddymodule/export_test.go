package caddymodule

import (
	"io"
	"testing"

	"go.uber.org/zap"
)

// Quiet makes the handler log nothing.
func (h *Handler) Quiet() { h.LogTo(zap.NewNop()) }

// LogTo sets the handler's log.
func (h *Handler) LogTo(logger *zap.Logger) {
	h.logger, h.decisions = logger, logger.Named(decisionLogger)
}

// SampleAllowed sets log_allowed.
func (h *Handler) SampleAllowed(share float64) { h.logAllowed = share }

// IgnoresDenials is ignoresDenials.
var IgnoresDenials = ignoresDenials

// Break makes judging panic, at the verification of tokens, or only when an owner is
// resolved.
func (h *Handler) Break(verifying bool) {
	h.chain = nil
	if verifying {
		h.verifier = sharedVerifier{}
	}
}

// Queue is the queue of a log.
type Queue struct{ *queue }

// NewQueue is the queue of a log until the test ends.
func NewQueue(t *testing.T, out io.Writer) Queue {
	t.Helper()
	q := newQueue(out)
	go q.run()
	t.Cleanup(func() { close(q.wanted) })
	return Queue{q}
}

// End waits as the end of the process does.
func (q Queue) End() { q.end() }
