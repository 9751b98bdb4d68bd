package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
)

func TestUpstream_RefusingIsABadGatewayAtOnce(t *testing.T) {
	t.Parallel()
	f := startBefore(t, services.Address(t), "--lookup", newService(t).URL)
	var slowest time.Duration
	for i := range 100 {
		shot := round[i%len(round)]
		want := http.StatusBadGateway
		if shot.kind == denied {
			want = http.StatusForbidden
		}
		a := f.send(t, "", strings.ReplaceAll(shot.request, "{n}", fmt.Sprint(i)))
		if a.status != want {
			t.Errorf("%s: %d %s, want %d", shot.request, a.status, a.body, want)
		}
		slowest = max(slowest, a.took)
	}
	t.Logf("all within %v", slowest)
	if slowest > slack {
		t.Errorf("an answer took %v", slowest)
	}
}

// What upstream may have done is not asked of it again.
func TestUpstream_HangingUpGetsNoRequestTwice(t *testing.T) {
	t.Parallel()
	var arrived sync.Map
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count, _ := arrived.LoadOrStore(r.Header.Get("X-Request-Id"), new(atomic.Int64))
		count.(*atomic.Int64).Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Request-Id") == "" { // keeps the connection, for others to hang up on
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(upstream.Close)
	f := startBefore(t, upstream.Listener.Addr().String(), "--lookup", newService(t).URL)
	requests := []string{
		"PUT /variables/a_1", "DELETE /variables/a_1", "POST /xcoms/dag_a/" + runID + "/t1/key",
		"PATCH /task-instances/" + taskA + "/state", "PUT /task-instances/" + taskA + "/heartbeat",
	}
	for i := range 50 {
		f.get(t, "a_2")
		id := fmt.Sprint(i)
		if a := f.send(t, id, requests[i%len(requests)]); a.status != http.StatusBadGateway {
			t.Errorf("%s: %d %s", requests[i%len(requests)], a.status, a.body)
		}
		count, ok := arrived.Load(id)
		if !ok || count.(*atomic.Int64).Load() != 1 {
			t.Errorf("%s has not arrived once", requests[i%len(requests)])
		}
	}
}

// An answer that breaks off is never one that seems to end.
func TestUpstream_BreakingOffIsVisibleToTheClient(t *testing.T) {
	t.Parallel()
	const size, trials = 100_000, 250
	body := strings.Repeat("x", size)
	for name, whole := range map[string]string{
		"of a length": fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", size, body),
		"in chunks":   fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", size, body),
	} {
		for _, reset := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reset %v", name, reset), func(t *testing.T) {
				t.Parallel()
				var sent atomic.Int64 // bytes of an answer, before the end of the connection
				f := startBefore(t, breaksOff(t, whole, &sent, reset), "--lookup", newService(t).URL)
				for i := range trials {
					sent.Store(rand.Int64N(int64(len(whole))))
					if a := f.get(t, "a_1"); a.err == nil && a.status != http.StatusBadGateway {
						t.Errorf("trial %d, after %d bytes: %d with %d bytes, and no error", i, sent.Load(), a.status, len(a.body))
					}
				}
				sent.Store(int64(len(whole)))
				if a := f.get(t, "a_1"); !reset && (a.status != http.StatusOK || a.body != body) {
					t.Errorf("a whole answer: %d with %d bytes, %v", a.status, len(a.body), a.err)
				}
			})
		}
	}
}

// breaksOff is an upstream that sends so many bytes of an answer, and then
// closes the connection or resets it.
func breaksOff(t *testing.T, whole string, sent *atomic.Int64, reset bool) (addr string) {
	t.Helper()
	return services.Accept(t, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, whole[:sent.Load()])
		if reset {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	})
}

// uvicorn closes a connection that was idle for 5 s, and a request that crosses
// the close is lost; so the fence lets go of one after 3 s.
func TestUpstream_ClosingIdleConnectionsLosesNothing(t *testing.T) {
	t.Parallel()
	type idle struct{ since atomic.Pointer[time.Time] }
	var reused, conns atomic.Int64
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(idle{}).(*idle)
		if since := conn.since.Load(); since != nil {
			reused.Add(1)
			if time.Since(*since) > 4*time.Second {
				panic(http.ErrAbortHandler) // as if the close had crossed the request
			}
		}
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(100 * ms) // so that each of a burst takes a connection of its own
		now := time.Now()
		conn.since.Store(&now)
	}))
	upstream.Config.IdleTimeout = 5 * time.Second
	upstream.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		conns.Add(1)
		return context.WithValue(ctx, idle{}, new(idle))
	}
	upstream.Start()
	t.Cleanup(upstream.Close)
	f := startBefore(t, upstream.Listener.Addr().String(), "--lookup", newService(t).URL)
	for _, gap := range []time.Duration{0, time.Second, 4500 * ms, 2900 * ms, 4900 * ms} {
		time.Sleep(gap)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if a := f.sendAs(t, attempt(i), "", "PUT /task-instances/"+taskA+"/heartbeat"); a.status != http.StatusOK {
					t.Errorf("after a gap of %v: %d %s (%v)", gap, a.status, a.body, a.err)
				}
			})
		}
		all.Wait()
	}
	t.Logf("200 requests over %d connections, %d of them reused", conns.Load(), reused.Load())
	if reused.Load() == 0 {
		t.Error("no connection was used again")
	}
}
