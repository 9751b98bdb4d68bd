package faults_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// At twice what the database can answer, as much is answered as at its capacity,
// nothing waits for longer than the deadline, and heartbeats pass.
func TestDatabaseOverload_IsShed(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	w := newWire(t, db.Addr)
	f := start(t, "--database", db.through(w))
	f.rounds(t, 1, unharmed)
	for n := range attempts { // known, as taskA is
		f.getAs(t, attempt(n), "a_1")
	}
	// Eight connections that take 50 ms an answer: 160 a second.
	w.poison(t, "latency", map[string]int{"latency": 50})
	var capacity, answered float64
	for range 3 { // what else the machine does may slow one of them
		capacity = f.flood(t, 16, 4*time.Second) / 4
		t.Logf("capacity: %.0f a second", capacity)
		rate := int(2 * capacity)
		answered = f.pour(t, rate, 6*time.Second)
		t.Logf("at %d a second: %.0f a second answered", rate, answered)
		if answered >= 0.8*capacity {
			return
		}
	}
	t.Errorf("at twice the capacity %.0f requests a second were answered, want about %.0f", answered, capacity)
}

// flood keeps so many requests under way, and returns how many were answered 200.
func (f *fence) flood(t *testing.T, clients int, took time.Duration) float64 {
	t.Helper()
	var answered atomic.Int64
	var all sync.WaitGroup
	until := time.Now().Add(took)
	for client := range clients {
		all.Go(func() {
			for time.Now().Before(until) {
				if f.getAs(t, attempt(client), fmt.Sprintf("a_%d", f.round.Add(1)%names)).status == http.StatusOK {
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	return float64(answered.Load())
}

// pour sends so many requests a second, whatever becomes of them, and returns how
// many a second were answered 200 in the second half of the time.
func (f *fence) pour(t *testing.T, rate int, took time.Duration) float64 {
	t.Helper()
	var answered, shed, selfs atomic.Int64
	var slowest, slowestSelf atomic.Int64
	var all sync.WaitGroup
	started := time.Now()
	pace := time.NewTicker(time.Second / time.Duration(rate))
	defer pace.Stop()
	for n := 0; time.Since(started) < took; n++ {
		<-pace.C
		all.Go(func() {
			a := f.getAs(t, attempt(n), fmt.Sprintf("a_%d", f.round.Add(1)%names))
			atomicMax(&slowest, int64(a.took))
			switch {
			case a.status == http.StatusServiceUnavailable:
				wantRetry(t, a)
				shed.Add(1)
			case a.status != http.StatusOK:
				t.Errorf("%d %s (%v)", a.status, a.body, a.err)
			default:
				if at := time.Since(started); at > took/2 && at < took {
					answered.Add(1)
				}
			}
		})
		if n%10 == 0 {
			all.Go(func() {
				a := f.send(t, "", "PUT /task-instances/"+taskA+"/heartbeat")
				atomicMax(&slowestSelf, int64(a.took))
				if a.status != http.StatusOK {
					t.Errorf("a heartbeat: %d %s (%v)", a.status, a.body, a.err)
				}
				selfs.Add(1)
			})
		}
	}
	all.Wait()
	t.Logf("%d were shed; the slowest took %v, the slowest of %d heartbeats %v", shed.Load(),
		time.Duration(slowest.Load()).Round(ms), selfs.Load(), time.Duration(slowestSelf.Load()).Round(ms))
	if time.Duration(slowest.Load()) > deadline+slack {
		t.Errorf("a request took %v", time.Duration(slowest.Load()))
	}
	return float64(answered.Load()) / (took / 2).Seconds()
}

func atomicMax(most *atomic.Int64, n int64) {
	for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
	}
}
