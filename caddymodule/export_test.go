package caddymodule

import (
	"io"

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
		h.verifier = tokens{}
	}
}

// NewQueue is the queue of a log, until end is called.
func NewQueue(out io.Writer) (log io.WriteCloser, end func()) {
	q := newQueue(out)
	go q.run()
	return q, func() { close(q.wanted) }
}
