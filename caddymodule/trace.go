package caddymodule

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

const (
	judgeSpan = "dagfence.judge"
	// judgeAgainSpan is that of a decision by what is true when the body is complete, or
	// when upstream has answered.
	judgeAgainSpan = "dagfence.judge_again"
)

// startJudging starts the span of a decision, below that of Caddy's handler tracing, and
// returns the request with it in its context. Without tracing that is the request itself.
func startJudging(r *http.Request, name string) (*http.Request, trace.Span) {
	ctx, span := resolver.StartSpan(r.Context(), name, trace.SpanKindInternal)
	if span.IsRecording() {
		r = r.WithContext(ctx)
	}
	return r, span
}

// endJudging ends the span of a decision. Its attributes are the labels of
// dagfence_decisions_total.
func endJudging(span trace.Span, d *decide.Decision) {
	if !span.IsRecording() {
		return
	}
	kind, action := route.Kind(0), route.Action(0)
	if d.Reading != nil {
		kind, action = d.Reading.Route.Kind, d.Reading.Route.Action
	}
	span.SetAttributes(
		attribute.String("dagfence.kind", kind.String()), attribute.String("dagfence.action", action.String()),
		attribute.String("dagfence.outcome", d.Outcome.String()), attribute.String("dagfence.reason", string(d.Reason)),
		attribute.String("dagfence.mode", d.Mode.String()),
	)
	if d.Outcome == decide.Unavailable || d.Reason == decide.SourceDenied {
		span.SetStatus(codes.Error, string(d.Reason))
	}
	span.End()
}
