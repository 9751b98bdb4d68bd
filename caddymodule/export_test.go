package caddymodule

import "go.uber.org/zap"

// Quiet makes the handler log nothing, as one does in production for what passes.
func (h *Handler) Quiet() { h.logger = zap.NewNop() }
