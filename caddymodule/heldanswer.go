package caddymodule

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/dagfence/dagfence/caddymodule/decide"
)

// holdAnswer returns a writer of the answer for next. Where what upstream answers
// depends on facts that may change meanwhile, the answer waits until the request
// was judged by them once more. An attempt stops being the current one for good,
// and an alias stays tied to what it was tied to: so what still passes then also
// passed when upstream looked.
func (h *Handler) holdAnswer(w http.ResponseWriter, r *http.Request, j *judged) http.ResponseWriter {
	if j.Outcome != decide.Allow || !decide.AskAgain(&j.match) {
		return w
	}
	questions := decide.Needs(&j.match, &j.task, &h.policy)
	if len(questions) == 0 {
		return w
	}
	started := time.Now()
	return &heldAnswer{to: w, header: w.Header().Clone(), again: func() bool {
		again := &judged{match: j.match, task: j.task}
		func() {
			defer h.recoverFrom(&again.refusal)
			again.Decision = h.decide(r.Context(), questions, again)
		}()
		h.finalize(again)
		if h.passes(again) {
			return true
		}
		h.record(r, again, false, time.Since(started))
		_ = h.answer(w, r, again) // a refusal is always encoded
		return false
	}}
}

// heldAnswer holds upstream's answer back until again says that it may go on. If
// not, again has answered, and nothing of upstream's answer is sent: no byte of
// its body, none of its headers. It has no Unwrap, by which it could be passed.
type heldAnswer struct {
	to      http.ResponseWriter
	header  http.Header // until it is known whether it may go on
	again   func() bool
	settled bool
	refused bool
}

// passes asks again, once, and makes upstream's headers those of the answer.
func (a *heldAnswer) passes() bool {
	if !a.settled {
		a.settled = true
		if a.refused = !a.again(); !a.refused {
			sent := a.to.Header()
			clear(sent)
			maps.Copy(sent, a.header)
		}
	}
	return !a.refused
}

// Header implements http.ResponseWriter. After the first byte it takes trailers.
func (a *heldAnswer) Header() http.Header {
	if a.settled && !a.refused {
		return a.to.Header()
	}
	return a.header
}

// WriteHeader implements http.ResponseWriter. Informational answers (1xx) come
// before upstream has done anything, so they say nothing about the final one, and
// are left out: their headers would go on unjudged.
func (a *heldAnswer) WriteHeader(status int) {
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	if a.passes() {
		a.to.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter. What is refused is read to its end, since
// an error would make reverse_proxy end the connection before the refusal is sent.
func (a *heldAnswer) Write(p []byte) (int, error) {
	if !a.passes() {
		return len(p), nil
	}
	return a.to.Write(p)
}

// FlushError is what http.ResponseController flushes by; a flush sends headers.
func (a *heldAnswer) FlushError() error {
	if !a.passes() {
		return nil
	}
	return http.NewResponseController(a.to).Flush()
}

// Hijack implements http.Hijacker.
func (a *heldAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !a.passes() {
		return nil, nil, http.ErrNotSupported
	}
	return http.NewResponseController(a.to).Hijack()
}
