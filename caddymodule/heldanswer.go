package caddymodule

import (
	"bufio"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/dagfence/dagfence/caddymodule/decide"
)

// holdAnswer returns the writer of the answer for next. If upstream's answer depends
// on facts that may change meanwhile, the answer waits until the request was judged
// by them again. An attempt that has stopped being the current one never is again,
// and an alias keeps its assets: what is still allowed then was also allowed when
// upstream looked.
func (h *Handler) holdAnswer(w http.ResponseWriter, r *http.Request, j *result) http.ResponseWriter {
	if j.Outcome != decide.Allow || !decide.AskAgain(&j.match) {
		return w
	}
	questions := decide.Needs(&j.match, &j.task, &h.policy)
	if len(questions) == 0 {
		return w
	}
	started := time.Now()
	return &heldAnswer{to: w, header: w.Header().Clone(), again: func() bool {
		again := &result{match: j.match, task: j.task}
		judged, span := startJudging(r, judgeAgainSpan)
		func() {
			defer h.recoverFrom(&again.refusal)
			again.Decision = h.decide(judged.Context(), questions, again)
		}()
		h.finalize(again)
		endJudging(span, &again.Decision)
		if h.passes(again) {
			return true
		}
		h.record(r, again, false, time.Since(started))
		_ = h.answer(w, r, again) // a refusal is always encoded
		return false
	}}
}

// heldAnswer holds upstream's answer back until again returns true. Otherwise again
// has answered, and no header and no byte of upstream's answer is sent. It has no
// Unwrap, which would bypass it.
type heldAnswer struct {
	to      http.ResponseWriter
	header  http.Header // until again was called
	again   func() bool
	decided bool
	refused bool
}

// passes calls again, once, and then copies upstream's headers to the answer.
func (a *heldAnswer) passes() bool {
	if !a.decided {
		a.decided = true
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
	if a.decided && !a.refused {
		return a.to.Header()
	}
	return a.header
}

// WriteHeader implements http.ResponseWriter. Informational answers (1xx) are
// dropped: they come before upstream has acted, so their headers cannot be judged.
func (a *heldAnswer) WriteHeader(status int) {
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		return
	}
	if a.passes() {
		a.to.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter. A refused answer is read to its end, since an
// error would make reverse_proxy close the connection before the refusal is sent.
func (a *heldAnswer) Write(p []byte) (int, error) {
	if !a.passes() {
		return len(p), nil
	}
	return a.to.Write(p)
}

// FlushError is called by http.ResponseController; a flush sends headers.
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
