package caddymodule

import (
	"io"
	"testing"

	"go.uber.org/zap"
)

// Quiet makes the handler log nothing, as one does in production for what passes.
func (h *Handler) Quiet() { h.LogTo(zap.NewNop()) }

// LogTo gives the handler another log.
func (h *Handler) LogTo(logger *zap.Logger) { h.logger = logger }

// SDKFallingThrough shows which Task SDKs do not stop at a denial.
var SDKFallingThrough = sdkFallingThrough

// Break makes judging panic, from the verification of tokens on, or only where
// an owner is asked for.
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
