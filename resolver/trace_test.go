package resolver_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dagfence/dagfence/resolver"
)

func TestSpans_OfASharedCallLinkToWhoAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
		source := resolver.Observe(resolver.Func(func(context.Context, []resolver.Question) []resolver.Answer {
			time.Sleep(100 * time.Millisecond)
			return []resolver.Answer{{Outcome: resolver.Found, Team: "team_a", AsOf: time.Now()}}
		}), resolver.SourceDatabase, new(counts))
		chain, err := resolver.New(resolver.Options{
			Source: source, Size: 10, Timeout: time.Second, Lifetimes: resolver.Lifetimes{Owner: time.Second, Task: time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				ctx, span := tracer.Start(t.Context(), "request")
				defer span.End()
				chain.Resolve(ctx, []resolver.Question{ask(resolver.KindVariable, "a")})
			})
			synctest.Wait()
		}
		callers.Wait()
		if err := chain.Close(); err != nil {
			t.Fatal(err)
		}
		var calls, first, second sdktrace.ReadOnlySpan
		for _, span := range recorder.Ended() {
			switch {
			case span.Name() == "dagfence.database" && calls == nil:
				calls = span
			case span.Name() == "dagfence.database":
				t.Error("the source is asked twice")
			case span.Name() == "dagfence.resolve" && len(span.Links()) == 0:
				first = span
			case span.Name() == "dagfence.resolve":
				second = span
			}
		}
		if calls == nil || first == nil || second == nil {
			t.Fatalf("the spans are %v: want the call, who asks and who waits", recorder.Ended())
		}
		if calls.Parent().SpanID() != first.SpanContext().SpanID() {
			t.Error("the call is not below who asks")
		}
		if got := second.Links()[0].SpanContext.SpanID(); got != first.SpanContext().SpanID() {
			t.Errorf("who waits has a link to %v, not to who asks", got)
		}
	})
}
