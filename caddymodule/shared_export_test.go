package caddymodule

import (
	"slices"
	"time"
)

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

// Settle waits until what tests have left behind is released, and returns how
// much is still in use.
func Settle() (count int) {
	for deadline := time.Now().Add(2 * drainDelay); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		count = 0
		pool.Range(func(any, any) bool { count++; return true })
		if count == 0 {
			break
		}
	}
	return count
}
