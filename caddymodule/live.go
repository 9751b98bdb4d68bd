package caddymodule

import (
	"slices"
	"sync"
)

// live are those of a kind that this process has in use. During a reload that
// is the old configuration's and the new one's. The zero value has none.
type live[T comparable] struct {
	mu  sync.Mutex
	all []T
}

func (l *live[T]) add(one T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, one)
}

func (l *live[T]) remove(one T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other T) bool { return other == one })
}

func (l *live[T]) list() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}
