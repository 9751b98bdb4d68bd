package caddymodule

import "go.uber.org/zap"

// Quiet makes the handler log nothing, as one does in production for what passes.
func (h *Handler) Quiet() { h.LogTo(zap.NewNop()) }

// LogTo gives the handler another log.
func (h *Handler) LogTo(logger *zap.Logger) { h.logger = logger }

// SDKFallingThrough shows which Task SDKs do not stop at a denial.
var SDKFallingThrough = sdkFallingThrough
