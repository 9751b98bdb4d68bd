package edge_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
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

func TestOneTaskInstance_HasNoMoreRequestsInFlightByAReloadOrAnotherSite(t *testing.T) {
	other := &edge{addr: services.Address(t)}
	block := "%[1]s\nreverse_proxy UPSTREAM\n}\n" + sidecar.Site(other.addr) + "%[1]s\nreverse_proxy UPSTREAM"
	e := startSite(t, block, "")
	arrived, release := make(chan struct{}, 2*most), make(chan struct{})
	var hold sync.Once
	t.Cleanup(func() { hold.Do(func() { close(release) }) })
	e.upstream.Answer(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	var group sync.WaitGroup
	for range most {
		group.Go(func() { e.do(t, taskA, "PUT /task-instances/"+taskA+"/heartbeat") })
	}
	for range most {
		<-arrived
	}
	if answered := other.do(t, taskA, "GET /variables/var_a"); answered.reason() != "too_many_requests" {
		t.Errorf("one more at another site is answered %d %s", answered.StatusCode, answered.body)
	}
	reloaded := make(chan error, 1)
	go func() { // it ends when the requests do
		reloaded <- tryLoad(t, sidecar.Site(other.addr)+"header Reloaded yes\ndagfence {\n token {\n  secret "+secret+
			"\n }\n lookup http://127.0.0.1:1\n on_unavailable deny\n}\nreverse_proxy "+e.upstream.Addr+"\n}\n")
	}()
	sidecar.Eventually(t, 10*time.Second, func() error {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+other.addr+"/execution/variables/var_a", http.NoBody)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+sign(t, taskA, nil))
		answered, err := client.Do(r)
		if err != nil { // a reload may reset a connection
			return err
		}
		defer answered.Body.Close()
		if answered.StatusCode != http.StatusServiceUnavailable || answered.Header.Get("Retry-After") != "1" {
			t.Errorf("one more while it is reloaded is answered %d", answered.StatusCode)
		}
		if answered.Header.Get("Reloaded") == "" {
			return errors.New("the new configuration does not answer yet")
		}
		return nil
	})
	hold.Do(func() { close(release) })
	group.Wait()
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	if answered := other.do(t, taskA, "PUT /task-instances/"+taskA+"/heartbeat"); answered.StatusCode != http.StatusOK {
		t.Errorf("one afterwards is answered %d %s", answered.StatusCode, answered.body)
	}
}
