package resolver

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// instrumentation is the scope of our spans.
const instrumentation = "github.com/dagfence/dagfence"

// The attributes of spans. Their values are numbers, or from the closed sets that
// metrics have too: no name that a dag author chose, and no owner.
const (
	attributeQuestions = "dagfence.questions"
	attributeOutcome   = "dagfence.outcome"
	attributeResult    = "dagfence.result"
)

// noSpan does nothing.
var noSpan trace.Span = noop.Span{}

// StartSpan starts a span below the one in ctx, if that is recorded. Otherwise it
// allocates nothing, and the span does nothing: what it is told has to be made only if
// it IsRecording.
func StartSpan(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, noSpan
	}
	return parent.TracerProvider().Tracer(instrumentation).Start(ctx, name, trace.WithSpanKind(kind))
}

// endSpan ends a span of questions with their worst outcome.
func endSpan(span trace.Span, answers []Answer) {
	if !span.IsRecording() {
		return
	}
	outcome := Worst(answers)
	span.SetAttributes(attribute.Int(attributeQuestions, len(answers)), attribute.String(attributeOutcome, outcome.String()))
	if outcome <= Denied {
		span.SetStatus(codes.Error, outcome.String())
	}
	span.End()
}

// endRedisSpan ends a span of n questions to Redis with the worst of their results:
// bypass only where its breaker is open.
func endRedisSpan(span trace.Span, n int, results []string) {
	if !span.IsRecording() {
		return
	}
	worst := ResultBypass
	for _, result := range [...]string{ResultHit, ResultMiss, ResultError} {
		if slices.Contains(results, result) {
			worst = result
		}
	}
	span.SetAttributes(attribute.Int(attributeQuestions, n), attribute.String(attributeResult, worst))
	if worst == ResultError {
		span.SetStatus(codes.Error, worst)
	}
	span.End()
}

// link makes a span follow from another. Those that wait for a call are many, and
// what is on the stack of one is there for each: so it is not inlined.
//
//go:noinline
func link(span, to trace.Span) { span.AddLink(trace.Link{SpanContext: to.SpanContext()}) }
