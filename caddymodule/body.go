package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/resolver"
)

// errRevoked ends the body of a request that no longer passes.
var errRevoked = errors.New("what the request may do has changed while its body was under way")

// heldBody hands on the end of a request's body only if the request still
// passes: upstream acts once it has all of it, and a client may take its time.
type heldBody struct {
	io.ReadCloser
	left  int64                  // bytes until the end; negative where only EOF marks it
	again func() decide.Decision // called once, when the end is here
	// refusal is what the end of the body met with. It is read while upstream's
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

// forward hands the request on, and answers it after all where it stopped to
// pass before upstream had all of it.
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
