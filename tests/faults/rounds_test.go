package faults_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// kind is what a fence that nothing ails makes of a request.
type kind string

const (
	// allowed: an owner has to be known first, and it is the task's team.
	allowed kind = "allowed"
	// denied: it is another team, or another task's XCom.
	denied kind = "denied"
	// self: nothing has to be known.
	self kind = "self"
)

// round is one of each kind of request that a task makes. Names with an n are
// new ones in each round, so the caches do not know them; the others are hot.
var round = []struct {
	kind    kind
	request string
}{
	{allowed, "GET /variables/a_{n}"},
	{denied, "GET /variables/b_{n}"},
	{self, "PUT /task-instances/" + taskA + "/heartbeat"},
	{allowed, "PUT /variables/a_{n}"},
	{denied, "PUT /variables/b_{n}"},
	{allowed, "GET /connections/conn_a"},
	{denied, "GET /connections/conn_b"},
	{allowed, "POST /xcoms/dag_a/" + runID + "/t1/key"},
	{denied, "POST /xcoms/dag_a/" + runID + "/t2/key"},
	{denied, "GET /xcoms/dag_b/" + runID + "/t1/key"},
	{self, "PATCH /task-instances/" + taskA + "/state"},
}

// wants are the statuses that a kind of request may have; 0 is no answer.
type wants map[kind][]int

// unharmed is what a fault that nobody notices leaves.
var unharmed = wants{allowed: {200}, denied: {403}, self: {200}}

// report is how rounds of requests went.
type report struct {
	mu      sync.Mutex
	sent    map[string]kind // by request id
	answers map[kind]map[int]int
	took    []time.Duration
}

const workers = 4

// rounds sends n rounds from each of four workers, ten a second each, each as a
// task instance of its own, which a volley then knows. It holds
// the answers to what is wanted, and upstream to this: nothing has arrived that
// should have been denied, and nothing twice.
func (f *fence) rounds(t *testing.T, n int, want wants) *report {
	t.Helper()
	r := newReport()
	f.upstream.Take()
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			pace := time.NewTicker(100 * ms)
			defer pace.Stop()
			for range n {
				number := f.round.Add(1) % names
				for i := range round {
					f.shoot(t, r, attempt(worker), number, i)
				}
				<-pace.C
			}
		})
	}
	all.Wait()
	f.check(t, r, want)
	return r
}

// volley sends all requests of n rounds at once, each round as another task
// instance, and holds them to the same.
func (f *fence) volley(t *testing.T, n int, want wants) *report {
	t.Helper()
	r := newReport()
	f.upstream.Take()
	var all sync.WaitGroup
	for worker := range n {
		number := f.round.Add(1) % names
		for i := range round {
			all.Go(func() { f.shoot(t, r, attempt(worker), number, i) })
		}
	}
	all.Wait()
	f.check(t, r, want)
	return r
}

// shoot sends the ith request of a round.
func (f *fence) shoot(t *testing.T, r *report, task string, number int64, i int) {
	t.Helper()
	id := fmt.Sprintf("%d.%d", number, i)
	a := f.sendAs(t, task, id, strings.ReplaceAll(round[i].request, "{n}", fmt.Sprint(number)))
	r.add(id, round[i].kind, a)
	if a.status == http.StatusServiceUnavailable {
		wantRetry(t, a)
	}
}

// check holds a report to what is wanted, and to what arrived.
func (f *fence) check(t *testing.T, r *report, want wants) {
	t.Helper()
	r.check(t, want)
	arrived := make(map[string]int)
	for _, a := range f.upstream.Take() {
		id := a.Header.Get("X-Request-Id")
		if arrived[id]++; arrived[id] > 1 || r.sent[id] == denied || r.sent[id] == "" {
			t.Errorf("%s request %q has arrived: %s %s", r.sent[id], id, a.Method, a.Target)
		}
	}
}

// wantRetry checks that an answer makes the Task SDK retry.
func wantRetry(t *testing.T, a answer) {
	t.Helper()
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" || a.header.Get("Content-Type") != "application/json" ||
		!strings.Contains(a.body, `"owner_unavailable"`) {
		t.Errorf("%d %v %s (%v), want a 503 that says when to come back", a.status, a.header, a.body, a.err)
	}
}

func newReport() *report {
	return &report{sent: make(map[string]kind), answers: make(map[kind]map[int]int)}
}

func (r *report) add(id string, k kind, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[id] = k
	if r.answers[k] == nil {
		r.answers[k] = make(map[int]int)
	}
	r.answers[k][a.status]++
	r.took = append(r.took, a.took)
}

// check holds the answers to what is wanted: only that, and each of it.
func (r *report) check(t *testing.T, want wants) {
	t.Helper()
	slices.Sort(r.took)
	t.Logf("%d requests: %v; half within %v, 99%% within %v, all within %v", len(r.took), r.answers,
		r.quantile(0.5), r.quantile(0.99), r.quantile(1))
	for k, statuses := range want {
		for status := range maps.Keys(r.answers[k]) {
			if !slices.Contains(statuses, status) {
				t.Errorf("%d %s requests were answered %d, want %v", r.answers[k][status], k, status, statuses)
			}
		}
	}
	if slowest := r.quantile(1); slowest > deadline+slack {
		t.Errorf("a request took %v, want at most %v", slowest, deadline)
	}
}

// quantile is how long the given share of the requests took at most.
func (r *report) quantile(share float64) time.Duration {
	return r.took[int(share*float64(len(r.took)-1))].Round(100 * time.Microsecond)
}
