//go:build !race

package resolver_test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

const (
	million = 1_000_000
	// millionEnv makes the test binary the process that is measured.
	millionEnv = "DAGFENCE_TEST_MILLION"
	// millionHeap is what a million entries take, millionLimit what Go is told to
	// stay within, and millionResident what the process may take in all: with its
	// program text, and what is allocated while the collector runs. All MiB.
	millionHeap, millionLimit, millionResident = 208, 240, 288
)

// The race detector takes memory too, so this is not built with it.

func TestMillionEntries_StayWithinTheirMemory(t *testing.T) {
	if os.Getenv(millionEnv) != "" {
		holdAMillion(t)
		return
	}
	// A process of its own, that holds nothing of other tests.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), millionEnv+"=1", fmt.Sprintf("GOMEMLIMIT=%dMiB", millionLimit))
	output, err := cmd.CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Error(err)
	}
}

func holdAMillion(t *testing.T) {
	t.Helper()
	calls := 0
	memory := newMemory(t, resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		calls++
		answers := make([]resolver.Answer, len(questions))
		for i := range questions {
			// As a source has read it: a text of its own.
			answers[i] = resolver.Answer{Outcome: resolver.Found, Team: fmt.Sprintf("team_%04d", calls%1000), AsOf: time.Now()}
		}
		return answers
	}), resolver.Options{Size: million, Lifetimes: resolver.Lifetimes{Owner: time.Hour}})
	askAll := func() (took time.Duration) {
		name, question := []byte(strings.Repeat("k", 64)), []resolver.Question{ask(resolver.KindVariable, "")}
		before := cpuTime(t)
		for i := range million {
			strconv.AppendInt(name[:54], million+int64(i), 10)
			question[0].Name = string(name)
			if answer := memory.Resolve(t.Context(), question)[0]; answer.Outcome != resolver.Found {
				t.Fatalf("%s: %v (%v)", name, answer.Outcome, answer.Err)
			}
		}
		return cpuTime(t) - before
	}
	first := askAll()
	filled := calls
	second := askAll()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	runtime.KeepAlive(memory)
	half, most := pauses()
	t.Logf("heap %d MiB (%d B an entry), resident %d MiB at most; CPU %v a miss, %v a hit; %d collections, half paused %v at most, 99%% %v",
		stats.HeapAlloc>>20, stats.HeapAlloc/million, resident(t)>>20, first/million, second/million, stats.NumGC, half, most)
	if again := calls - filled; again > million/100 {
		t.Errorf("%d of a million were asked for again", again)
	}
	if got := stats.HeapAlloc >> 20; got > millionHeap {
		t.Errorf("the heap holds %d MiB, want at most %d", got, millionHeap)
	}
	if got := resident(t); got > millionResident<<20 {
		t.Errorf("%d MiB were resident, want at most %d", got>>20, millionResident)
	}
	if half > ms {
		t.Errorf("half of the pauses took up to %v, want 1 ms at most", half)
	}
}

// cpuTime is the CPU time that the process has taken.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resident is the most memory that the process has had resident.
func resident(t *testing.T) int {
	t.Helper()
	status, err := os.Open("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == "VmHWM:" {
			kib, _ := strconv.Atoi(fields[1])
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// pauses returns how long the collector has stopped the world at most, in half of
// the cases and in 99 of 100.
func pauses() (half, most time.Duration) {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	histogram := sample[0].Value.Float64Histogram()
	var total uint64
	for _, count := range histogram.Counts {
		total += count
	}
	quantile := func(share float64) time.Duration {
		var seen uint64
		for i, count := range histogram.Counts {
			if seen += count; float64(seen) >= share*float64(total) {
				return time.Duration(math.Min(histogram.Buckets[i+1], math.MaxInt32) * float64(time.Second))
			}
		}
		return 0
	}
	return quantile(0.5), quantile(0.99)
}
