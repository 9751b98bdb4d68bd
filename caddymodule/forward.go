package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// forward passes the request on. It refuses the request itself if it is no longer
// allowed when its last byte is here.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, j *result) error {
	started := time.Now()
	stamp(r)
	body := h.hold(r, j)
	err := withTLSHint(next.ServeHTTP(w, r))
	if err == nil || body == nil || body.revoked.Load() == nil {
		return err
	}
	j.Decision = *body.revoked.Load()
	h.finalize(j)
	h.record(r, j, false, time.Since(started))
	return h.answer(w, r, j)
}

// mutatedOwner returns the key whose owner a request may change: a new variable gets
// the writer's team, a deleted one has none.
func mutatedOwner(j *result) (resolver.Key, bool) {
	if j.Reading == nil || j.Reading.Route.Kind != route.Variable || !j.Reading.Route.Action.Mutates() {
		return resolver.Key{}, false
	}
	return resolver.Key{Kind: resolver.KindVariable, Name: j.Reading.Key}, true
}

// forwardChange forwards a request that may change an owner, and forgets the owner
// before the answer is complete; also if upstream never answers, since it may have
// acted.
func (h *Handler) forwardChange(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, j *result, key resolver.Key) error {
	ctx := context.WithoutCancel(r.Context())
	watched := &forgetting{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, forget: func() {
		h.metrics.invalidated("write", 1)
		forget(ctx, key)
	}}
	defer watched.once()
	return h.forward(watched, r, next, j)
}

// forgetting calls forget once, before the first byte of the final answer.
type forgetting struct {
	*caddyhttp.ResponseWriterWrapper
	forget func()
	done   bool
}

func (f *forgetting) once() {
	if !f.done {
		f.done = true
		f.forget()
	}
}

// WriteHeader implements http.ResponseWriter. Upstream has not acted yet when it
// sends an informational answer (1xx).
func (f *forgetting) WriteHeader(status int) {
	if status >= http.StatusOK {
		f.once()
	}
	f.ResponseWriterWrapper.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (f *forgetting) Write(p []byte) (int, error) {
	f.once()
	return f.ResponseWriterWrapper.Write(p)
}

// errRevoked ends the body of a request that no longer passes.
var errRevoked = errors.New("the request is no longer allowed: the owner changed while its body was being sent")

// heldBody returns the end of a request's body only if the request is still allowed:
// upstream acts once it has all of it, and a client may be slow.
type heldBody struct {
	io.ReadCloser
	left  int64                  // bytes until the end; negative where only EOF marks it
	again func() decide.Decision // called once, when the end is here
	// revoked is why the end of the body was not returned. It is read while upstream's
	// transport may still read the body.
	revoked atomic.Pointer[decide.Decision]
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	if b.revoked.Load() != nil {
		return 0, errRevoked
	}
	n, err := b.ReadCloser.Read(p)
	ends := errors.Is(err, io.EOF)
	if b.left >= 0 {
		b.left -= int64(n)
		ends = ends || b.left <= 0
	}
	if ends && b.again != nil {
		d := b.again()
		b.again = nil
		if d.Outcome != decide.Allow && d.Mode != decide.Audit {
			b.revoked.Store(&d)
			return 0, errRevoked
		}
	}
	return n, err
}

// changesOwned reports whether the questions are those of a request that changes
// something that has an owner. A task's identity never changes.
func changesOwned(questions []resolver.Question) bool {
	return slices.ContainsFunc(questions, func(q resolver.Question) bool { return q.Freshness <= resolver.Recent })
}

// refresh makes such questions ask for the current owners.
func refresh(questions []resolver.Question) {
	for i := range questions {
		if questions[i].Freshness <= resolver.Recent {
			questions[i].Freshness = resolver.Fresh
		}
	}
}

// hold judges a request that changes something again, by the owners at the end of
// its body. It returns nil if there is no body, because the request was then judged
// so already, or if it does not depend on owners.
func (h *Handler) hold(r *http.Request, j *result) *heldBody {
	if r.ContentLength == 0 || r.Body == nil || j.Outcome != decide.Allow {
		return nil
	}
	questions := decide.Needs(&j.match, &j.task, &h.policy)
	if !changesOwned(questions) {
		return nil
	}
	refresh(questions)
	ctx := r.Context()
	body := &heldBody{ReadCloser: r.Body, left: r.ContentLength, again: func() (again decide.Decision) {
		// Upstream's transport reads the body in a goroutine that would take the
		// process along.
		ctx, span := resolver.StartSpan(ctx, judgeAgainSpan, trace.SpanKindInternal)
		defer func() { endJudging(span, &again) }()
		var refused *refusal
		defer func() {
			if refused != nil {
				again = decide.Decision{Outcome: decide.Unavailable, Reason: refused.reason}
			}
		}()
		defer h.recoverFrom(&refused)
		return h.decide(ctx, questions, j)
	}}
	r.Body = body
	return body
}
