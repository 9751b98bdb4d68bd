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

// record counts a decision, sets its placeholders, and logs it.
func (h *Handler) record(r *http.Request, j *result, passes bool, took time.Duration) {
	h.metrics.decided(j, took)
	if !passes {
		h.recordIgnoredDenial(r, j)
	}
	if placeholders, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		placeholders.Map(j.placeholder)
	}
	if entry := h.logger.Check(j.level(), j.event(passes)); entry != nil {
		entry.Write(j.fields(r)...)
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

// level is error if a source refuses to answer, or requests loop, because then the
// operator has to fix something.
func (j *result) level() zapcore.Level {
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

func (j *result) event(passes bool) string {
	switch {
	case j.Outcome == decide.Allow:
		return "request allowed"
	case passes:
		return "request passed in audit mode, would have been refused"
	}
	return "request refused"
}

// fields returns the decision and the request. None has a token, or a value of the
// query or a body.
func (j *result) fields(r *http.Request) []zap.Field {
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

// clip bounds what clients can write to the log.
func clip(s string) string {
	const limit = 512
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
