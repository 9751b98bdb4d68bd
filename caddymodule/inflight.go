package caddymodule

import (
	"net/http"
	"sync"
)

// maxInFlight is how many requests of one task instance may be under way at
// once. The Task SDK's supervisor sends one after the other; a task that sends
// many of its own accord would take upstream's threads (40, anyio's default)
// from the heartbeats of all others.
const maxInFlight = 16

// errInFlight means that a task instance has too many requests in flight. It is no
// denial, since a retry may succeed.
var errInFlight = &refusal{
	status: http.StatusServiceUnavailable, code: "too_many_requests", reason: "in_flight", unavailable: true,
	message: "too many requests of this task instance are in flight: try again",
}

// underWay counts for all fences of the process, so that neither a reload nor another
// site lets a task instance have more.
var underWay inFlight

// inFlight counts the requests of each task instance. The zero value has none. Safe
// for concurrent use.
type inFlight struct {
	mu     sync.Mutex
	byTask map[string]int
}

// enter reports whether one more request of the task instance may be under way;
// if so, leave must be called when it has ended.
func (f *inFlight) enter(task string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byTask[task] >= maxInFlight {
		return false
	}
	if f.byTask == nil {
		f.byTask = make(map[string]int)
	}
	f.byTask[task]++
	return true
}

func (f *inFlight) leave(task string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byTask[task]--; f.byTask[task] == 0 {
		delete(f.byTask, task)
	}
}
