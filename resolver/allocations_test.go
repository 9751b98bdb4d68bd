//go:build !race

package resolver_test

import (
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/dagfence/dagfence/resolver"
)

// The race detector allocates too, so this is not built with it.

func TestMemoryHit_AllocatesOnlyItsAnswers(t *testing.T) {
	memory, _, _ := remembering(t)
	questions := []resolver.Question{ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)}
	memory.Resolve(t.Context(), questions)
	for n := 1; n <= len(questions); n++ {
		if got := testing.AllocsPerRun(1000, func() { memory.Resolve(t.Context(), questions[:n]) }); got != 1 {
			t.Errorf("a hit of %d questions allocates %v times: want 1", n, got)
		}
	}
}

func TestSpans_CostNothingWithoutTracing(t *testing.T) {
	ctx := t.Context()
	got := testing.AllocsPerRun(1000, func() {
		inner, span := resolver.StartSpan(ctx, "dagfence.resolve", trace.SpanKindClient)
		if inner != ctx || span.IsRecording() {
			t.Error("there is a span")
		}
		span.End()
	})
	if got != 0 {
		t.Errorf("a span that nobody records allocates %v times", got)
	}
}
