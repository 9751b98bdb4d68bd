package report

import (
	"cmp"
	"slices"
	"time"
)

// seen counts denials, and when they were.
type seen struct {
	count, forwarded int64
	first, last      time.Time // zero where no line had a time
}

func (s *seen) add(at time.Time, forwarded bool) {
	s.count++
	if forwarded {
		s.forwarded++
	}
	if at.IsZero() {
		return
	}
	if s.first.IsZero() || at.Before(s.first) {
		s.first = at
	}
	if at.After(s.last) {
		s.last = at
	}
}

// tally counts keys, of which it keeps the more frequent ones: never more than twice
// the limit, so that keys which occur once push none out that occur often.
type tally[K comparable] struct {
	limit int
	kept  map[K]*seen
}

func newTally[K comparable](limit int) *tally[K] {
	return &tally[K]{limit: limit, kept: make(map[K]*seen)}
}

func (t *tally[K]) add(key K, at time.Time, forwarded bool) {
	of, ok := t.kept[key]
	if !ok {
		if len(t.kept) >= 2*t.limit {
			t.cut()
		}
		of = new(seen)
		t.kept[key] = of
	}
	of.add(at, forwarded)
}

// cut forgets all but the most frequent keys.
func (t *tally[K]) cut() {
	if len(t.kept) <= t.limit {
		return
	}
	counts := make([]int64, 0, len(t.kept))
	for _, of := range t.kept {
		counts = append(counts, of.count)
	}
	slices.SortFunc(counts, func(a, b int64) int { return cmp.Compare(b, a) })
	least, equal := counts[t.limit-1], 0 // of those as frequent as the last that stays, some go
	for _, count := range counts[:t.limit] {
		if count == least {
			equal++
		}
	}
	for key, of := range t.kept {
		switch {
		case of.count > least:
		case of.count == least && equal > 0:
			equal--
		default:
			delete(t.kept, key)
		}
	}
}
