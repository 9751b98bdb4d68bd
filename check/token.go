package check

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/setup"
)

// checkToken checks that the fence and upstream accept a real task's token.
func (r *run) checkToken(ctx context.Context) {
	const check = "task's token"
	switch {
	case r.Token == "":
		r.skip(check, "no token: set --token-file to a file with one")
		return
	case r.keys == nil:
		r.skip(check, "needs the token keys")
		return
	}
	verifier := setup.Verifier(r.settings.Token, func() *identity.Keys { return r.keys }, time.Now)
	task, refusal := verifier.Verify("Bearer " + r.Token)
	switch {
	case refusal != nil:
		r.problem(check, "the fence refuses it%s: %s", r.upstreamResult(ctx), r.explain(refusal, r.Token))
		return
	case r.upstream == nil:
		r.ok(check, "the fence accepts it; upstream was not asked")
		return
	case task.Scope != identity.ScopeExecution:
		r.skip(check, "its scope is %v, which reads no variable: use the token of a running task", task.Scope)
		return
	}
	answer, err := r.upstream.ask(ctx, r.Token, task.ID)
	switch {
	case err == nil && answer.status == http.StatusOK:
		r.task = &task
		r.ok(check, "the fence and upstream accept it")
	case r.refused(check, answer, err):
		r.problem(check, "the fence accepts it and upstream refuses it (%q): set the token options as the api-server has them; "+
			`its log says why, at "Failed to validate JWT"`, answer.detail())
	}
}

// upstreamResult returns whether upstream accepts a token that the fence refuses,
// as the next words of a sentence; none, if it cannot be asked.
func (r *run) upstreamResult(ctx context.Context) string {
	id, err := unverified(r.Token).Claims.GetSubject()
	if r.upstream == nil || err != nil || id == "" {
		return ""
	}
	answer, err := r.upstream.ask(ctx, r.Token, url.PathEscape(id))
	switch {
	case err == nil && answer.status == http.StatusOK:
		return ", and upstream accepts it"
	case err == nil && answer.status == http.StatusForbidden:
		return ", and so does upstream"
	}
	return ""
}
