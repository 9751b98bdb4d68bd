package caddymodule

import "slices"

// Shared is what a reload with the same settings keeps.
func (h *Handler) Shared() (keys, tokens, owners any) { return h.keys, h.verifier, h.chain }

// InUse counts the uses of what any of the handlers shares.
func InUse(handlers ...*Handler) (count int) {
	pool.Range(func(key, value any) bool {
		if slices.ContainsFunc(handlers, func(h *Handler) bool {
			return value == any(h.keys) || value == any(h.verifier) || value == any(h.chain)
		}) {
			references, _ := pool.References(key)
			count += references
		}
		return true
	})
	return count
}
