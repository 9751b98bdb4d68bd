package faults_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// shaken is what a fault of the source leaves: what is known is answered, what
// is not is to be asked again, and what needs no source passes.
var shaken = wants{allowed: {200, 503}, denied: {403, 503}, self: {200}}

// outlives holds the fence to what it does while nobody can tell owners, and
// to knowing them again.
func (f *fence) outlives(t *testing.T, hurt, repair func()) {
	t.Helper()
	f.rounds(t, 1, unharmed)
	well := f.servesWhatItKnows(t)
	hurt()
	if took := f.servesWhatItKnows(t); took > 3*well+slack {
		t.Errorf("60 requests about what is known took %v, and %v when all was well", took, well)
	}
	cold := f.get(t, "a_10000")
	wantRetry(t, cold)
	if cold.took > deadline+slack {
		t.Errorf("a 503 took %v, want %v", cold.took, deadline)
	}
	for path, want := range map[string]int{"/ready": 503, "/live": 200} {
		if status := f.probe(t.Context(), path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	f.volley(t, 4, shaken)
	repair()
	took := sidecar.Within(t, deadline, "owners are known again", func() bool { return f.get(t, "a_10000").status == http.StatusOK })
	t.Logf("a 503 took %v; owners are known again %v after the repair", cold.took.Round(ms), took)
	sidecar.Within(t, deadline, "ready again", func() bool { return f.probe(t.Context(), "/ready") == http.StatusOK })
	f.volley(t, 4, unharmed)
	if strings.Contains(f.Output(), "panic") {
		t.Error("something panicked")
	}
}

// servesWhatItKnows: the hot names of a round that was just sent pass, and so does
// what needs no owner. It returns how long that took.
func (f *fence) servesWhatItKnows(t *testing.T) time.Duration {
	t.Helper()
	started := time.Now()
	for range 20 {
		for _, request := range []string{"GET /connections/conn_a", "PUT /task-instances/" + taskA + "/heartbeat", "PATCH /task-instances/" + taskA + "/state"} {
			if a := f.send(t, "", request); a.status != http.StatusOK {
				t.Fatalf("%s: %d %s (%v), want it to pass", request, a.status, a.body, a.err)
			}
		}
	}
	return time.Since(started)
}
