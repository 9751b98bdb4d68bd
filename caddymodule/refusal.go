package caddymodule

import (
	"errors"
	"net/http"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// refusal is why a request is not forwarded: its answer, and its label in metrics and
// logs. It is only read after it was made.
type refusal struct {
	status int
	// code and message are the answer's reason and message.
	code, message string
	// reason is the label in metrics and logs, one of a closed set.
	reason decide.Reason
	// allow is the answer's Allow header, where the status is 405.
	allow string
	// unavailable means that a retry may succeed.
	unavailable bool
	// unlisted means that the table does not have the endpoint, or not this method.
	unlisted bool
	// auditable means that the request is forwarded in audit mode. One that parsers
	// may read differently is not, nor one that harms others.
	auditable bool
}

// Error implements error.
func (r *refusal) Error() string { return r.message }

// badRequest returns the refusal of a request that parsers may read differently.
func badRequest(reason decide.Reason, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", reason: reason, message: message}
}

// errPanic means that judging a request panicked: a bug in the fence, which a
// request may trigger on purpose.
var errPanic = &refusal{
	status: http.StatusInternalServerError, code: "internal_error", reason: "panic",
	message: "internal error of the fence: see its log",
}

// refusalOf returns the refusal for an error of route or identity.
func refusalOf(err error) *refusal {
	if unread, ok := errors.AsType[*route.Error](err); ok {
		refused := badRequest(decide.Reason(unread.Reason), unread.Detail)
		switch unread.Reason {
		case route.NotFound, route.Elsewhere:
			refused.status, refused.code = http.StatusNotFound, "not_found"
			refused.unlisted, refused.auditable = unread.Reason == route.NotFound, true
		case route.MethodNotAllowed:
			refused.status, refused.code, refused.allow = http.StatusMethodNotAllowed, "method_not_allowed", unread.Allow
			refused.unlisted, refused.auditable = true, true
		case route.BadPath, route.BadQuery, route.BadVersion, route.Ambiguous:
		}
		return refused
	}
	refused := &refusal{
		status: http.StatusForbidden, code: "invalid_token", reason: decide.Reason("token_" + identity.Reason(err)),
		message: "Invalid auth token: " + err.Error(), auditable: true,
	}
	switch {
	case errors.Is(err, identity.ErrNoToken):
		refused.status, refused.code, refused.message = http.StatusUnauthorized, "missing_token", "Missing auth token"
	case errors.Is(err, identity.ErrTooLarge):
		refused.status, refused.auditable = http.StatusRequestHeaderFieldsTooLarge, false
	case errors.Is(err, identity.ErrNoKeys):
		refused.status, refused.code, refused.message = http.StatusServiceUnavailable, "keys_unavailable", err.Error()
		refused.unavailable = true
	}
	return refused
}

// response returns what a request that is not forwarded is answered: its refusal, or
// the one that follows from its decision.
func (j *result) response() *refusal {
	if j.refusal != nil {
		return j.refusal
	}
	refused := &refusal{status: http.StatusForbidden, code: "access_denied", message: j.Message()}
	switch j.Outcome {
	case decide.NotFound:
		refused.status, refused.code = http.StatusNotFound, "not_found"
	case decide.Unavailable:
		refused.status, refused.code = http.StatusServiceUnavailable, "owner_unavailable"
	case decide.Deny, decide.Allow:
	}
	return refused
}
