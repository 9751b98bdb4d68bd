// Package scale_test holds the fence to what it may take as rows, sidecars,
// bodies, slow clients and hours grow: memory, descriptors, queries.
package scale_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret = "the-secret-that-airflow-signs-with"
	taskA  = "018f0000-0000-7000-8000-00000000000a" // dag_a, r, t1
	ms     = time.Millisecond
	mib    = 1 << 20
)

// process is a running dagfence.
type process struct {
	*services.Process

	// url is where it serves, status where its metrics are.
	url, status string
}

// address is free, on loopback.
func address(tb testing.TB) string {
	tb.Helper()
	return fmt.Sprintf("127.0.0.1:%d", services.FreePort(tb))
}

// start runs a command of dagfence, and waits until it is ready.
func start(tb testing.TB, url, status string, args ...string) *process {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), sidecar.Build(tb), args...)
	cmd.Env = []string{"HOME=" + tb.TempDir(), "AIRFLOW__API_AUTH__JWT_SECRET=" + secret}
	p := &process{Process: services.Start(tb, cmd), url: "http://" + url, status: "http://" + status}
	p.WaitReady(tb, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.status+"/ready", http.NoBody)
		if err != nil {
			return err
		}
		answered, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answered.Body.Close()
		if answered.StatusCode != http.StatusOK {
			return fmt.Errorf("ready: %d", answered.StatusCode)
		}
		return nil
	})
	return p
}

// proxy runs `dagfence proxy` before an upstream.
func proxy(tb testing.TB, upstream string, args ...string) *process {
	tb.Helper()
	url, status := address(tb), address(tb)
	return start(tb, url, status, append([]string{"proxy", "--listen", url, "--status", status, "--upstream", upstream}, args...)...)
}

// lookupService runs `dagfence lookup`.
func lookupService(tb testing.TB, args ...string) *process {
	tb.Helper()
	url := address(tb)
	return start(tb, url, url, append([]string{"lookup", "--listen", url}, args...)...)
}

// memory is a line of the process's status, such as VmRSS, in bytes.
func (p *process) memory(tb testing.TB, line string) int {
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
func (p *process) forgetPeak(tb testing.TB) {
	tb.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.Pid()), []byte("5"), 0); err != nil {
		tb.Fatal(err)
	}
}

// descriptors is how many files and sockets the process has open.
func (p *process) descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// metric is the sum of the series whose line holds all these words.
func (p *process) metric(tb testing.TB, words ...string) (sum float64) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, p.status+"/metrics", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer answered.Body.Close()
lines:
	for scanner := bufio.NewScanner(answered.Body); scanner.Scan(); {
		text := scanner.Text()
		for _, word := range words {
			if !strings.Contains(text, word) || text[0] == '#' {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(text[strings.LastIndexByte(text, ' ')+1:], 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += value
	}
	return sum
}

// eventually waits until the condition holds.
func eventually(tb testing.TB, limit time.Duration, what string, condition func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(50 * ms) {
		if time.Now().After(deadline) {
			tb.Errorf("%s: not within %v", what, limit)
			return
		}
	}
}
