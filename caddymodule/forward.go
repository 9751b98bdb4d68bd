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

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
)

// forward passes the request on, and answers it after all if it no longer passes by
// the time that upstream would have all of it.
func (h *Handler) forward(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, j *judged) error {
	started := time.Now()
	stamp(r)
	body := h.hold(r, j)
	err := withTLSHint(next.ServeHTTP(w, r))
	if err == nil || body == nil || body.refusal.Load() == nil {
		return err
	}
	j.Decision = *body.refusal.Load()
	h.finalize(j)
	h.record(r, j, false, time.Since(started))
	return h.answer(w, r, j)
}

// mutatedOwner returns the key whose owner a request may change: a variable that is
// written takes the writer's team, one that is deleted none.
func mutatedOwner(j *judged) (resolver.Key, bool) {
	if j.Reading == nil || j.Reading.Route.Kind != route.Variable || !j.Reading.Route.Action.Mutates() {
		return resolver.Key{}, false
	}
	return resolver.Key{Kind: resolver.KindVariable, Name: j.Reading.Key}, true
}

// forwardChange forwards a request that may change an owner, and forgets the
// owner once upstream answers, before the answer can be complete; also where
// upstream never answers, since it may have done its work all the same.
func (h *Handler) forwardChange(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, j *judged, key resolver.Key) error {
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

// WriteHeader implements http.ResponseWriter. Informational answers (1xx) come
// before upstream has done anything.
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
var errRevoked = errors.New("what the request may do has changed while its body was being sent")

// heldBody returns the end of a request's body only if the request still passes:
// upstream acts once it has all of it, and a client may take its time.
type heldBody struct {
	io.ReadCloser
	left  int64                  // bytes until the end; negative where only EOF marks it
	again func() decide.Decision // called once, when the end is here
	// refusal is why the end of the body was not returned. It is read while upstream's
	// transport may still read the body.
	refusal atomic.Pointer[decide.Decision]
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	if b.refusal.Load() != nil {
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
			b.refusal.Store(&d)
			return 0, errRevoked
		}
	}
	return n, err
}

// changesOwned reports whether the questions are those of a request that changes
// something, and is judged by owners. A task's identity never changes.
func changesOwned(questions []resolver.Question) bool {
	return slices.ContainsFunc(questions, func(q resolver.Question) bool { return q.Freshness <= resolver.Recent })
}

// refresh makes such questions ask for what is true now.
func refresh(questions []resolver.Question) {
	for i := range questions {
		if questions[i].Freshness <= resolver.Recent {
			questions[i].Freshness = resolver.Fresh
		}
	}
}

// hold makes a request that changes something be judged again, by what is true
// then, when the end of its body is here. It returns nil where there is no body,
// because then the request was judged so already, and where no owner matters.
func (h *Handler) hold(r *http.Request, j *judged) *heldBody {
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
