package check

import (
	"context"
	"net/http"
	"time"
)

// half is what is added to a time of whole seconds, so that it is off by half a
// second at most.
const half = time.Second / 2

// skewOf returns how far upstream's clock is ahead of ours, by the Date of an
// answer that was just read.
func skewOf(answer reply, now time.Time) (skew time.Duration, dated bool) {
	date, err := http.ParseTime(answer.header.Get("Date"))
	if err != nil {
		return 0, false
	}
	return date.Add(half).Sub(answer.middle(now)), true
}

// middle is when upstream is likely to have answered.
func (a reply) middle(now time.Time) time.Time {
	return now.Add(-time.Since(a.sent)).Add(a.took / 2)
}

// checkClock compares upstream's clock with ours.
func (r *run) checkClock(ctx context.Context) {
	const check = "clock"
	switch {
	case r.upstream == nil:
		r.skip(check, "needs upstream")
		return
	case !r.dated:
		r.skip(check, "upstream's answers have no Date")
		return
	}
	leeway := time.Duration(*r.settings.Token.Leeway)
	r.dateAgain(ctx, leeway+time.Second)
	const fix = "set both clocks by NTP"
	switch off := r.skew.Abs().Round(time.Second); {
	case r.skew.Abs() <= leeway+time.Second:
		r.ok(check, "%v apart from upstream's, of %v that token leeway allows", off, leeway)
	case r.skew > 0:
		r.problem(check, "upstream's clock is %v ahead of this one, more than token leeway (%v), so new tokens count as issued in the future: %s",
			off, leeway, fix)
	default:
		r.problem(check, "upstream's clock is %v behind this one, more than token leeway (%v), so tokens expire here too early: %s",
			off, leeway, fix)
	}
}

// dateAgain asks anew where upstream's Date is old and nothing better is known:
// a busy uvicorn takes its time to renew it (uvicorn/server.py, on_tick).
func (r *run) dateAgain(ctx context.Context, allowed time.Duration) {
	for range 3 {
		if r.signedAt || r.skew >= -allowed {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		answer, err := r.upstream.get(ctx, "/health")
		if err != nil {
			return
		}
		if skew, dated := skewOf(answer, time.Now()); dated {
			r.skew = max(r.skew, skew)
		}
	}
}
