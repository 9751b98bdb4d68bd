package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// result is what was decided about one request to the Execution API.
type result struct {
	// Decision is a denial until it is set.
	decide.Decision
	// refusal is why there is no decision.
	refusal *refusal
	match   route.Match
	task    identity.Task
	// entered means that it counts as one of the task instance's requests in flight.
	entered bool
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. Allowed requests, and requests
// outside base_path, are passed to next unchanged, but for the stamp.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.startup.Admit(r)
	started := time.Now()
	request, inside, refused := h.read(r)
	if !inside {
		stamp(r)
		return withTLSHint(next.ServeHTTP(w, r))
	}
	h.drain.enter()
	defer h.drain.leave()
	j := &result{refusal: refused}
	judged, span := startJudging(r, judgeSpan)
	if refused == nil {
		h.evaluate(judged, request, j)
	}
	if j.entered {
		defer underWay.leave(j.task.ID)
	}
	h.finalize(j)
	endJudging(span, &j.Decision)
	passes := h.passes(j)
	h.record(r, j, passes, time.Since(started))
	if !passes {
		return h.answer(w, r, j)
	}
	if key, changes := mutatedOwner(j); changes {
		return h.forwardChange(w, r, next, j, key)
	}
	return h.forward(h.holdAnswer(w, r, j), r, next, j)
}

// evaluate decides a request: match, verify, needs, resolve, judge.
func (h *Handler) evaluate(r *http.Request, request route.Request, j *result) {
	defer h.recoverFrom(&j.refusal)
	var err error
	if j.match, err = route.Find(request); err != nil {
		j.refusal = refusalOf(err)
		return
	}
	if j.match.Readings()[0].Route.NeedsToken() {
		if j.task, err = h.verify(r); err != nil {
			j.refusal = refusalOf(err)
			return
		}
		if j.entered = underWay.enter(j.task.ID); !j.entered {
			j.refusal = errInFlight
			return
		}
	}
	h.judgeOwners(r, j)
}

// judgeOwners decides a request whose endpoint and task are known.
func (h *Handler) judgeOwners(r *http.Request, j *result) {
	questions, asked := decide.Needs(&j.match, &j.task, &h.policy), time.Now()
	if r.ContentLength == 0 || actsWithoutBody(&j.match) {
		refresh(questions) // upstream waits for nothing else
	}
	j.Decision = h.decide(r.Context(), questions, j)
	denied := j.Outcome == decide.Deny || j.Outcome == decide.NotFound
	if denied && !j.AsOf.IsZero() && time.Since(j.AsOf) > resolver.RecentAge && !askedFor(j, asked) {
		// Both resolves together take no longer than one may.
		ctx, cancel := context.WithDeadline(r.Context(), asked.Add(h.timeout))
		defer cancel()
		h.confirm(ctx, questions, j)
	}
}

// actsWithoutBody reports whether upstream acts as soon as it has the headers:
// FastAPI reads no body for an endpoint without one (execution_api/routes: all that
// delete, and clear a dag run).
func actsWithoutBody(m *route.Match) bool {
	return slices.ContainsFunc(m.Readings(), func(r route.Reading) bool {
		return r.Route.Action == route.Delete || r.Route.Action == route.Clear
	})
}

// askedFor reports whether the answers are from the source, and were requested at
// the given time or later: there are no newer ones, however long the source took.
// Ages on the wire are rounded up, and answers of Redis count as at least RecentAge
// old: half of that distinguishes the two.
func askedFor(j *result, at time.Time) bool { return at.Sub(j.AsOf) < resolver.RecentAge/2 }

// recoverFrom, deferred, turns a panic into a refusal. It logs the panic's type and
// stack only, since its text may have a secret.
func (h *Handler) recoverFrom(refused **refusal) {
	if cause := recover(); cause != nil {
		*refused = errPanic
		h.logger.Error("panic while evaluating a request", zap.String("type", fmt.Sprintf("%T", cause)), zap.StackSkip("stack", 2))
	}
}

// decide resolves the questions, if any, and judges by the answers.
func (h *Handler) decide(ctx context.Context, questions []resolver.Question, j *result) decide.Decision {
	var answers []resolver.Answer
	if len(questions) > 0 {
		answers = h.chain.Resolve(ctx, questions)
	}
	return decide.Judge(&j.match, &j.task, &h.policy, questions, answers)
}

// confirm judges again before a denial by an old answer is returned, so that what
// was just granted or created is not refused for a whole TTL.
func (h *Handler) confirm(ctx context.Context, questions []resolver.Question, j *result) {
	for i := range questions {
		questions[i].Freshness = min(questions[i].Freshness, resolver.Confirm)
	}
	j.Decision = h.decide(ctx, questions, j)
}

// verify returns the task that the request's token was issued to. A token that may
// be signed with a newer key is verified again after the keys were reloaded.
func (h *Handler) verify(r *http.Request) (identity.Task, error) {
	header := r.Header.Get(authorizationHeader)
	task, err := h.verifier.Verify(header)
	if err != nil && h.keys.Renew(r.Context(), err) {
		return h.verifier.Verify(header)
	}
	return task, err
}

// passes reports whether the request goes to upstream.
func (h *Handler) passes(j *result) bool {
	return j.Outcome == decide.Allow || j.Mode == decide.Audit && (j.refusal == nil || j.refusal.auditable)
}

// finalize sets the decision that follows from a refusal.
func (h *Handler) finalize(j *result) {
	if j.refusal == nil {
		if h.denyOnUnavailable {
			j.DenyUnavailable()
		}
		return
	}
	j.Decision = decide.Decision{Reason: j.refusal.reason, Mode: h.policy.Mode}
	if readings := j.match.Readings(); len(readings) > 0 {
		j.Reading = &readings[0]
	}
	switch {
	case h.passUnlisted && j.refusal.unlisted:
		j.Outcome = decide.Allow
	case j.refusal.unavailable:
		j.Outcome = decide.Unavailable
	}
}
