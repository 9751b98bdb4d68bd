package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// retryAfter is when a request is worth sending again, in seconds. The Task SDK
// retries a 5xx on its own, from one second on.
const retryAfter = "1"

// answer is what a request that does not pass gets, in the form of Airflow's
// own errors. The content type carries no charset: the Task SDK honours a deny
// only where it is exactly this (airflow/sdk/api/client.py), and falls through
// to its next secrets backend otherwise.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, j *judged) error {
	status, reason, message := statusOf(j)
	header := w.Header()
	switch status {
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer") // RFC 9110, section 11.6.1
	case http.StatusMethodNotAllowed:
		if refused, ok := errors.AsType[*route.Error](j.err); ok {
			header.Set("Allow", refused.Allow)
		}
	case http.StatusServiceUnavailable:
		header.Set("Retry-After", retryAfter)
	}
	if id := r.Header.Get("Correlation-Id"); id != "" {
		header.Set("Correlation-Id", id) // as upstream does
	}
	if r.ProtoMajor == 1 && r.ContentLength != 0 {
		// To keep the connection, net/http would read the body before it sends
		// the first byte of this, and wait for one that may never come.
		header.Set("Connection", "close")
	}
	body, err := json.Marshal(refusal{detail{reason, message}})
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have gone
	return nil
}

// errPanic means that judging a request panicked: a bug of ours, which a request
// may trigger on purpose.
var errPanic = errors.New("the fence has an error of its own; its log says where")

// refusal is the body of an answer.
type refusal struct {
	Detail detail `json:"detail"`
}

type detail struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// statusOf gives a request that does not pass its status, a reason for programs
// and a message for people.
func statusOf(j *judged) (status int, reason, message string) {
	if j.err != nil {
		return statusOfError(j.err)
	}
	switch j.Outcome {
	case decide.NotFound:
		return http.StatusNotFound, "not_found", j.Message()
	case decide.Unavailable:
		return http.StatusServiceUnavailable, "owner_unavailable", j.Message()
	case decide.Deny, decide.Allow:
	}
	return http.StatusForbidden, "access_denied", j.Message()
}

func statusOfError(err error) (status int, reason, message string) {
	if frame, ok := errors.AsType[*frameError](err); ok {
		status := http.StatusBadRequest
		switch frame {
		case errTargetTooLong:
			status = http.StatusRequestURITooLong
		case errLoop:
			return http.StatusLoopDetected, "loop", frame.message
		}
		return status, "invalid_request", frame.message
	}
	if unread, ok := errors.AsType[*route.Error](err); ok {
		switch unread.Reason {
		case route.NotFound, route.Elsewhere:
			return http.StatusNotFound, "not_found", unread.Detail
		case route.MethodNotAllowed:
			return http.StatusMethodNotAllowed, "method_not_allowed", unread.Detail
		case route.BadPath, route.BadQuery, route.BadVersion, route.Ambiguous:
		}
		return http.StatusBadRequest, "invalid_request", unread.Detail
	}
	switch {
	case errors.Is(err, errPanic):
		return http.StatusInternalServerError, "internal_error", err.Error()
	case errors.Is(err, errInFlight):
		return http.StatusServiceUnavailable, "too_many_requests", err.Error()
	case errors.Is(err, identity.ErrNoToken):
		return http.StatusUnauthorized, "missing_token", "Missing auth token"
	case errors.Is(err, identity.ErrTooLarge):
		return http.StatusRequestHeaderFieldsTooLarge, "invalid_token", "Invalid auth token: " + err.Error()
	case errors.Is(err, identity.ErrNoKeys):
		return http.StatusServiceUnavailable, "keys_unavailable", err.Error()
	}
	return http.StatusForbidden, "invalid_token", "Invalid auth token: " + err.Error()
}

// reasonOf gives an error's label, one of a closed set.
func reasonOf(err error) decide.Reason {
	if frame, ok := errors.AsType[*frameError](err); ok {
		return decide.Reason(frame.reason)
	}
	if unread, ok := errors.AsType[*route.Error](err); ok {
		return decide.Reason(unread.Reason)
	}
	switch {
	case errors.Is(err, errPanic):
		return "panic"
	case errors.Is(err, errInFlight):
		return "in_flight"
	}
	return decide.Reason("token_" + identity.Reason(err))
}

// isUnlisted tells of an endpoint that is not in the table, or not with the
// request's method.
func isUnlisted(err error) bool {
	unread, ok := errors.AsType[*route.Error](err)
	return ok && (unread.Reason == route.NotFound || unread.Reason == route.MethodNotAllowed)
}

// isUnreadable tells of a request that could mean different things to different
// parsers, or made ours panic; not even audit forwards it.
func isUnreadable(err error) bool {
	if _, ok := errors.AsType[*frameError](err); ok {
		return true
	}
	if unread, ok := errors.AsType[*route.Error](err); ok {
		return !isUnlisted(err) && unread.Reason != route.Elsewhere
	}
	return errors.Is(err, identity.ErrTooLarge) || errors.Is(err, errInFlight) || errors.Is(err, errPanic)
}
