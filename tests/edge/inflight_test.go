package edge_test

import (
	"net/http"
	"sync"
	"testing"
)

// most is how many requests of one task instance may be under way.
const most = 16

func TestOneTaskInstance_HasBoundedRequestsInFlight(t *testing.T) {
	for mode, beyond := range map[string]int{"": http.StatusServiceUnavailable, "mode audit": http.StatusServiceUnavailable} {
		e := start(t, mode)
		arrived, release := make(chan struct{}, 2*most), make(chan struct{})
		var hold sync.Once
		e.upstream.Answer(func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				arrived <- struct{}{}
				<-release
			}
		})
		t.Cleanup(func() { hold.Do(func() { close(release) }) })
		var group sync.WaitGroup
		for range most {
			group.Go(func() {
				if answered := e.do(t, taskA, "PUT /task-instances/"+taskA+"/heartbeat"); answered.StatusCode != http.StatusOK {
					t.Errorf("%q: one of %d is answered %d %s", mode, most, answered.StatusCode, answered.body)
				}
			})
		}
		for range most {
			<-arrived
		}
		answered := e.do(t, taskA, "GET /variables/var_a")
		if answered.StatusCode != beyond {
			t.Errorf("%q: one more is answered %d %s, want %d", mode, answered.StatusCode, answered.body, beyond)
		}
		if beyond != http.StatusOK && (answered.reason() != "too_many_requests" || answered.Header.Get("Retry-After") != "1") {
			t.Errorf("%q: %s, Retry-After %q", mode, answered.body, answered.Header.Get("Retry-After"))
		}
		if answered := e.do(t, taskB, "GET /variables/var_b"); answered.StatusCode != http.StatusOK {
			t.Errorf("%q: another task's is answered %d %s", mode, answered.StatusCode, answered.body)
		}
		if answered := e.send(t, "GET /health"); answered.StatusCode != http.StatusOK {
			t.Errorf("%q: one without a token is answered %d %s", mode, answered.StatusCode, answered.body)
		}
		hold.Do(func() { close(release) })
		group.Wait()
		if answered := e.do(t, taskA, "GET /variables/var_a"); answered.StatusCode != http.StatusOK {
			t.Errorf("%q: one afterwards is answered %d %s", mode, answered.StatusCode, answered.body)
		}
	}
}
