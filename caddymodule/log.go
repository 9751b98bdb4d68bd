package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// record counts a decision, sets its placeholders, and logs what did not pass.
func (h *Handler) record(r *http.Request, j *judged, passes bool, took time.Duration) {
	h.metrics.decided(j, took)
	if !passes {
		h.recordNotHonoured(r, j)
	}
	if placeholders, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		placeholders.Map(j.placeholder)
	}
	if entry := h.logger.Check(j.level(), j.event(passes)); entry != nil {
		entry.Write(j.fields(r)...)
	}
}

// placeholder gives {http.dagfence.*}, and computes it only where it is used.
func (j *judged) placeholder(name string) (any, bool) {
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

func (j *judged) kind() route.Kind {
	if j.Reading == nil {
		return 0
	}
	return j.Reading.Route.Kind
}

// level is error where a source refuses to answer, or requests go round in a
// loop, because then the operator has to fix something; what passes is of
// interest to debugging alone.
func (j *judged) level() zapcore.Level {
	switch {
	case j.Outcome == decide.Allow:
		return zapcore.DebugLevel
	case j.Reason == decide.SourceDenied, j.refusal == errLoop:
		return zapcore.ErrorLevel
	case j.Outcome == decide.Unavailable:
		return zapcore.WarnLevel
	}
	return zapcore.InfoLevel
}

func (j *judged) event(passes bool) string {
	switch {
	case j.Outcome == decide.Allow:
		return "passed"
	case passes:
		return "passed in audit mode, would have been refused"
	}
	return "refused"
}

// fields say what was decided about what. None holds a token, and none a value
// of the query or a body.
func (j *judged) fields(r *http.Request) []zap.Field {
	fields := []zap.Field{
		zap.Stringer("decision", j.Outcome), zap.String("reason", string(j.Reason)),
		zap.String("method", r.Method), zap.String("path", clip(r.URL.Path)), zap.String("remote", r.RemoteAddr),
		zap.String("user_agent", clip(r.UserAgent())),
	}
	if j.task.ID != "" {
		fields = append(fields, zap.String("task_instance_id", j.task.ID), zap.String("task_team", j.TaskTeam))
	}
	if !j.AsOf.IsZero() {
		fields = append(fields, zap.Duration("age", time.Since(j.AsOf)))
	}
	if j.refusal != nil {
		fields = append(fields, zap.Error(j.refusal))
	}
	if j.Err != nil {
		fields = append(fields, zap.Error(j.Err))
	}
	return fields
}

// clip bounds what a client can make us log.
func clip(s string) string {
	const limit = 512
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
