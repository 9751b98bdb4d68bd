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

// judged is what became of one request to the Execution API.
type judged struct {
	// Decision denies until something else was decided.
	decide.Decision
	// refusal is why it did not come to a decision.
	refusal *refusal
	match   route.Match
	task    identity.Task
	// entered: it counts among the task instance's requests in flight.
	entered bool
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. A request that passes, or
// that is not for the Execution API, goes to next as it came, stamped.
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
	j := &judged{refusal: refused}
	if refused == nil {
		h.judge(r, request, j)
	}
	if j.entered {
		defer underWay.leave(j.task.ID)
	}
	h.finalize(j)
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

// judge decides a request: match, verify, needs, resolve, judge.
func (h *Handler) judge(r *http.Request, request route.Request, j *judged) {
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
	questions, asked := decide.Needs(&j.match, &j.task, &h.policy), time.Now()
	if r.ContentLength == 0 || actsWithoutBody(&j.match) {
		refresh(questions) // upstream has all that it waits for
	}
	j.Decision = h.decide(r.Context(), questions, j)
	refused := j.Outcome == decide.Deny || j.Outcome == decide.NotFound
	if refused && !j.AsOf.IsZero() && time.Since(j.AsOf) > resolver.RecentAge && !askedFor(j, asked) {
		// Both resolves together take no longer than one may.
		ctx, cancel := context.WithDeadline(r.Context(), asked.Add(h.timeout))
		defer cancel()
		h.confirm(ctx, questions, j)
	}
}

// actsWithoutBody reports whether upstream acts as soon as it has the headers:
// FastAPI reads no body for an endpoint that has none, so that the end of one
// holds nothing up (execution_api/routes: all that delete, and clear a dag run).
func actsWithoutBody(m *route.Match) bool {
	return slices.ContainsFunc(m.Readings(), func(r route.Reading) bool {
		return r.Route.Action == route.Delete || r.Route.Action == route.Clear
	})
}

// askedFor reports whether the answers are from the source, and were asked for by
// a request that came at the given time: no newer ones can be had, however
// long the source took. An age on the wire is rounded up, and what Redis returns
// counts as at least RecentAge old: half of that distinguishes the two.
func askedFor(j *judged, at time.Time) bool { return at.Sub(j.AsOf) < resolver.RecentAge/2 }

// recoverFrom, deferred, turns a panic into a refusal. It logs the type and the
// place; the text might quote a secret.
func (h *Handler) recoverFrom(refused **refusal) {
	if cause := recover(); cause != nil {
		*refused = errPanic
		h.logger.Error("judging panicked", zap.String("type", fmt.Sprintf("%T", cause)), zap.StackSkip("stack", 2))
	}
}

// decide asks the questions, if there are any, and judges by the answers.
func (h *Handler) decide(ctx context.Context, questions []resolver.Question, j *judged) decide.Decision {
	var answers []resolver.Answer
	if len(questions) > 0 {
		answers = h.chain.Resolve(ctx, questions)
	}
	return decide.Judge(&j.match, &j.task, &h.policy, questions, answers)
}

// confirm judges again before a denial by an older answer is returned, so that what
// was just granted or created is not refused for a whole time to live.
func (h *Handler) confirm(ctx context.Context, questions []resolver.Question, j *judged) {
	for i := range questions {
		questions[i].Freshness = min(questions[i].Freshness, resolver.Confirm)
	}
	j.Decision = h.decide(ctx, questions, j)
}

// verify returns the task that the request's token is for. A token that may be
// signed with a newer key is tried again once the keys were read anew.
func (h *Handler) verify(r *http.Request) (identity.Task, error) {
	header := r.Header.Get(authorizationHeader)
	task, err := h.verifier.Verify(header)
	if err != nil && h.keys.Renew(r.Context(), err) {
		return h.verifier.Verify(header)
	}
	return task, err
}

// passes reports whether the request goes to upstream.
func (h *Handler) passes(j *judged) bool {
	return j.Outcome == decide.Allow || j.Mode == decide.Audit && (j.refusal == nil || j.refusal.auditable)
}

// finalize turns a refusal on the way into the decision that it stands for.
func (h *Handler) finalize(j *judged) {
	if j.refusal == nil {
		if j.Outcome == decide.Unavailable && h.denyOnUnavailable {
			j.Outcome = decide.Deny
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
