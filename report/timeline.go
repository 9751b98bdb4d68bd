package report

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// steps are the widths of a step of the timeline, each a multiple of the one before.
var steps = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 7 * 24 * time.Hour, 28 * 24 * time.Hour, 364 * 24 * time.Hour,
}

const (
	// maxCounted bounds the steps while a log is read, and maxSteps the span of those
	// that are shown.
	maxCounted = 20_000
	maxSteps   = 100
)

// timeline counts denials by the minute, or by longer steps where the log is long.
type timeline struct {
	width  int // of a step, an index of steps
	counts map[int64]Step
}

// start returns the start of a time's step, in Unix seconds.
func (t *timeline) start(at int64) int64 {
	step := int64(steps[t.width] / time.Second)
	return at - at%step
}

func (t *timeline) add(at time.Time, forwarded bool) {
	if at.IsZero() {
		return
	}
	if t.counts == nil {
		t.counts = make(map[int64]Step)
	}
	start := t.start(at.Unix())
	step := t.counts[start]
	if forwarded {
		step.Forwarded++
	} else {
		step.Refused++
	}
	t.counts[start] = step
	for len(t.counts) > maxCounted && t.widen() {
	}
}

// widen joins steps into longer ones, and reports whether there are any.
func (t *timeline) widen() bool {
	if t.width == len(steps)-1 {
		return false
	}
	t.width++
	joined := make(map[int64]Step, len(t.counts)/2)
	for at, step := range t.counts {
		start := t.start(at)
		sum := joined[start]
		sum.Refused += step.Refused
		sum.Forwarded += step.Forwarded
		joined[start] = sum
	}
	t.counts = joined
	return true
}

// summary returns at most maxSteps steps, in order.
func (t timeline) summary() Timeline {
	for t.span() > maxSteps && t.widen() {
	}
	shown := Timeline{StepSeconds: int64(steps[t.width] / time.Second), Steps: []Step{}}
	for start, step := range maps.All(t.counts) {
		step.Start = time.Unix(start, 0).UTC()
		shown.Steps = append(shown.Steps, step)
	}
	slices.SortFunc(shown.Steps, func(a, b Step) int { return cmp.Compare(a.Start.Unix(), b.Start.Unix()) })
	return shown
}

// span returns the number of steps from the first to the last, both included.
func (t *timeline) span() int64 {
	if len(t.counts) == 0 {
		return 0
	}
	starts := slices.Collect(maps.Keys(t.counts))
	return (slices.Max(starts)-slices.Min(starts))/int64(steps[t.width]/time.Second) + 1
}
