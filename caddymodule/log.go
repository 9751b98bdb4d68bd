package caddymodule

import (
	"cmp"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// decisionLogger is the name of the logger of decisions, behind the module's id.
const decisionLogger = "decisions"

// record counts a decision, sets its placeholders, and logs it.
func (h *Handler) record(r *http.Request, j *result, passes bool, took time.Duration) {
	h.metrics.decided(j, took)
	if !passes {
		h.recordIgnoredDenial(r, j)
	}
	if placeholders, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		placeholders.Map(j.placeholder)
	}
	if entry := h.decisions.Check(h.level(j), j.event(passes)); entry != nil {
		entry.Write(j.fields(r, passes, took)...)
	}
}

// placeholder returns {http.dagfence.*}, computed only when it is used.
func (j *result) placeholder(name string) (any, bool) {
	switch name {
	case "http.dagfence.decision":
		return j.Outcome.String(), true
	case "http.dagfence.reason":
		return string(j.Reason), true
	case "http.dagfence.kind":
		return j.kind().String(), true
	case "http.dagfence.task_team":
		return j.TaskTeam, true
	case "http.dagfence.dag_id":
		if j.Reading == nil {
			return "", true
		}
		return j.Reading.DagID, true
	case "http.dagfence.task_id":
		return j.task.ID, true
	}
	return nil, false
}

func (j *result) kind() route.Kind {
	if j.Reading == nil {
		return 0
	}
	return j.Reading.Route.Kind
}

// level is that of a decision in the log. It is error if a source refuses to answer,
// or requests loop, because then the operator has to fix something.
func (h *Handler) level(j *result) zapcore.Level {
	switch {
	case j.Outcome == decide.Allow:
		if h.logAllowed > 0 && rand.Float64() < h.logAllowed { //nolint:gosec // a sample needs no secrecy
			return zapcore.InfoLevel
		}
		return zapcore.DebugLevel
	case j.Reason == decide.SourceDenied, j.refusal == errLoop:
		return zapcore.ErrorLevel
	case j.Outcome == decide.Unavailable:
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}

func (j *result) event(passes bool) string {
	switch {
	case j.Outcome == decide.Allow:
		return "request allowed"
	case passes:
		return "request passed in audit mode, would have been refused"
	}
	return "request refused"
}

// fields returns the decision and the request, as docs/decision-log.md describes
// them. None has a token, or a value of the query or a body; a field that is not known
// is left out.
func (j *result) fields(r *http.Request, passes bool, took time.Duration) []zap.Field {
	fields := append(make([]zap.Field, 0, 32),
		zap.Stringer("decision", j.Outcome), zap.String("reason", string(j.Reason)), zap.Stringer("mode", j.Mode),
		zap.Bool("forwarded", passes),
	)
	if j.Reading != nil {
		fields = append(fields, zap.Stringer("kind", j.Reading.Route.Kind), zap.Stringer("action", j.Reading.Route.Action))
		fields = appendNamed(fields, "resource", cmp.Or(j.Resource.Name, resourceOf(j.Reading)))
		if j.Reading.Route.Kind == route.XCom {
			fields = appendNamed(fields, "xcom_key", j.Reading.Key)
		}
	}
	fields = j.appendTask(fields)
	if j.Resource.Name != "" {
		fields = append(fields, zap.String("owner_team", j.Owner))
	}
	if !j.AsOf.IsZero() {
		fields = append(fields, zap.Stringer("tier", j.Tier), zap.Duration("age", time.Since(j.AsOf)))
	}
	fields = append(fields, zap.Duration("duration", took),
		zap.String("method", r.Method), zap.String("path", clip(r.URL.Path)), zap.String("remote", r.RemoteAddr))
	fields = appendClient(fields, r)
	if j.refusal != nil {
		fields = append(fields, zap.Error(j.refusal))
	}
	if j.Err != nil {
		fields = append(fields, zap.Error(j.Err))
	}
	return fields
}

// appendTask adds who asks: what was looked up, else what the token signs.
func (j *result) appendTask(fields []zap.Field) []zap.Field {
	if j.task.ID == "" {
		return fields
	}
	claims, known := &j.task.Claims, &j.Task
	fields = appendNamed(fields, "task_instance_id", j.task.ID)
	fields = appendNamed(fields, "dag_id", cmp.Or(known.DagID, claims.DagID))
	fields = appendNamed(fields, "run_id", cmp.Or(known.RunID, claims.RunID))
	fields = appendNamed(fields, "task_id", cmp.Or(known.TaskID, claims.TaskID))
	switch {
	case known.TaskID != "":
		fields = append(fields, zap.Int("map_index", known.MapIndex))
	case claims.HasMapIndex:
		fields = append(fields, zap.Int("map_index", claims.MapIndex))
	}
	if j.TaskTeamKnown {
		fields = append(fields, zap.String("task_team", j.TaskTeam))
	}
	return fields
}

// appendClient adds what the client says of itself.
func appendClient(fields []zap.Field, r *http.Request) []zap.Field {
	fields = appendNamed(fields, "api_version", r.Header.Get(versionHeader))
	if version := sdkVersion(r.UserAgent()); version != "" {
		fields = append(fields, zap.String("sdk_version", version))
	} else {
		fields = appendNamed(fields, "user_agent", r.UserAgent())
	}
	fields = appendNamed(fields, "correlation_id", r.Header.Get("Correlation-Id"))
	ctx := r.Context()
	if !trace.SpanContextFromContext(ctx).HasTraceID() { // this process traces nothing, but the client may
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		fields = append(fields, zap.Stringer("trace_id", span.TraceID()))
	}
	return fields
}

// resourceOf names what a reading touches: what has an owner.
func resourceOf(r *route.Reading) string {
	switch r.Route.Kind {
	case route.Variable, route.Connection:
		return r.Key
	case route.XCom, route.Dag:
		return r.DagID
	case route.Asset:
		return cmp.Or(r.AssetAlias, r.AssetName, r.AssetURI)
	case route.Public, route.Documentation, route.Self:
	}
	return ""
}

// appendNamed adds a field that a client can write, unless it is empty.
func appendNamed(fields []zap.Field, name, value string) []zap.Field {
	if value == "" {
		return fields
	}
	return append(fields, zap.String(name, clip(value)))
}

// clip bounds what clients can write to the log.
func clip(s string) string {
	const limit = 512
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
