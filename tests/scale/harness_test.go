// Package scale_test holds the fence to what it may take as rows, sidecars,
// bodies, slow clients and hours grow: memory, descriptors, queries.
package scale_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret = sidecar.Secret
	taskA  = "018f0000-0000-7000-8000-00000000000a" // dag_a, r, t1
	ms     = time.Millisecond
	mib    = 1 << 20
)

// taskNumber is the id of another attempt of the same task, for tests that have
// more requests under way than one task instance may have.
func taskNumber(n int) string { return fmt.Sprintf("018f0000-0000-7000-8000-%012x", 0x1000+n) }

// process is a running dagfence, whose memory is looked at.
type process struct{ *sidecar.Dagfence }

// proxy runs `dagfence proxy` before an upstream, and waits until it is ready.
func proxy(tb testing.TB, upstream string, args ...string) process {
	tb.Helper()
	p := process{sidecar.Proxy(tb, upstream, args...)}
	p.WaitReady(tb)
	return p
}

// lookupService runs `dagfence lookup`, and waits until it is ready.
func lookupService(tb testing.TB, args ...string) process {
	tb.Helper()
	p := process{sidecar.Lookup(tb, args...)}
	p.WaitReady(tb)
	return p
}

// memory is a line of the process's status, such as VmRSS, in bytes.
func (p process) memory(tb testing.TB, line string) int {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	for text := range strings.Lines(string(status)) {
		if fields := strings.Fields(text); fields[0] == line+":" {
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				tb.Fatal(err)
			}
			return kib << 10
		}
	}
	tb.Fatalf("there is no %s", line)
	return 0
}

// forgetPeak lets VmHWM begin anew.
func (p process) forgetPeak(tb testing.TB) {
	tb.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil {
		tb.Fatal(err)
	}
}
