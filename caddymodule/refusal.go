package caddymodule

import (
	"errors"
	"net/http"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// refusal is why a request is not forwarded: how it is answered, and how that is
// counted. It is built where the reason is first seen, and only read afterwards.
type refusal struct {
	status int
	// code and message are the answer, for programs and for people.
	code, message string
	// reason is the label in metrics and logs, one of a closed set.
	reason decide.Reason
	// allow is the answer's Allow header, where the status is 405.
	allow string
	// unavailable: the same request may pass later.
	unavailable bool
	// unlisted: the endpoint is not in the table, or not with this method.
	unlisted bool
	// auditable: in audit mode the request is forwarded all the same. One that
	// different parsers may read differently is not, nor one that harms others.
	auditable bool
}

// Error implements error.
func (r *refusal) Error() string { return r.message }

// badRequest returns the refusal of a request that could mean different things to
// different parsers.
func badRequest(reason decide.Reason, message string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", reason: reason, message: message}
}

// errPanic means that judging a request panicked: a bug of ours, which a request
// may trigger on purpose.
var errPanic = &refusal{
	status: http.StatusInternalServerError, code: "internal_error", reason: "panic",
	message: "the fence has an error of its own; its log says where",
}

// refusalOf returns the refusal that an error of route or identity stands for.
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

// refused returns how a request that is not forwarded is answered: by the refusal
// on the way to a decision, or by the decision itself.
func (j *judged) refused() *refusal {
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
