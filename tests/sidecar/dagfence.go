package sidecar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
)

// Secret is what the tokens of tests are signed with, and what every dagfence
// of theirs verifies them with.
const Secret = "the-secret-that-airflow-signs-with"

// Dagfence is a running dagfence binary.
type Dagfence struct {
	*services.Process

	// Addr and Status are where it listens, host:port; Status is that of its
	// /live, /ready and /metrics.
	Addr, Status string
}

// Proxy runs `dagfence proxy` before the upstream at a URL, and waits until it
// is live.
func Proxy(tb testing.TB, upstream string, args ...string) *Dagfence {
	tb.Helper()
	return ProxyTo(tb, nil, upstream, args...)
}

// ProxyTo is [Proxy] with standard error in a file, unless that is nil.
func ProxyTo(tb testing.TB, log *os.File, upstream string, args ...string) *Dagfence {
	tb.Helper()
	addr, status := services.Address(tb), services.Address(tb)
	cmd := Command(tb, append([]string{"proxy", "--listen", addr, "--status", status, "--upstream", upstream}, args...)...)
	if log != nil {
		cmd.Stderr = log
	}
	d := Start(tb, cmd, addr, status)
	d.WaitLive(tb)
	return d
}

// Lookup runs `dagfence lookup`, and waits until it is live. Its status is on
// the address of its questions.
func Lookup(tb testing.TB, args ...string) *Dagfence {
	tb.Helper()
	addr := services.Address(tb)
	d := Start(tb, Command(tb, append([]string{"lookup", "--listen", addr}, args...)...), addr, addr)
	d.WaitLive(tb)
	return d
}

// Command is the dagfence binary with arguments. Its environment has [Secret]
// and a home of its own, and nothing else.
func Command(tb testing.TB, args ...string) *exec.Cmd {
	tb.Helper()
	// The test's own context ends before its cleanups, and would end it early.
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), Build(tb), args...)
	home := tb.TempDir()
	cmd.Env = []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home, "AIRFLOW__API_AUTH__JWT_SECRET=" + Secret}
	return cmd
}

// Start runs a [Command] that listens on the addresses until the test ends.
func Start(tb testing.TB, cmd *exec.Cmd, addr, status string) *Dagfence {
	tb.Helper()
	return &Dagfence{Process: services.Start(tb, cmd), Addr: addr, Status: status}
}

// client waits no longer than anything here should take, and keeps no
// connection that would keep a dagfence from ending.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Probe asks the status listener, and returns status and body; 0 is no answer.
func (d *Dagfence) Probe(ctx context.Context, path string) (status int, body string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.Status+path, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	answered, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answered.Body.Close() //nolint:errcheck // read only
	var text strings.Builder
	_, err = bufio.NewReader(answered.Body).WriteTo(&text)
	if err != nil {
		return 0, err.Error()
	}
	return answered.StatusCode, text.String()
}

// WaitLive waits until it serves.
func (d *Dagfence) WaitLive(tb testing.TB) { tb.Helper(); d.waitFor(tb, "/live") }

// WaitReady waits until it can judge requests.
func (d *Dagfence) WaitReady(tb testing.TB) { tb.Helper(); d.waitFor(tb, "/ready") }

func (d *Dagfence) waitFor(tb testing.TB, path string) {
	tb.Helper()
	d.Process.WaitReady(tb, func(ctx context.Context) error {
		if status, body := d.Probe(ctx, path); status != http.StatusOK {
			return fmt.Errorf("%s: %d %s", path, status, body)
		}
		return nil
	})
}

// Metric returns the sum of the series whose line holds all these words.
func (d *Dagfence) Metric(tb testing.TB, words ...string) (sum float64) {
	tb.Helper()
	status, body := d.Probe(context.WithoutCancel(tb.Context()), "/metrics")
	if status != http.StatusOK {
		tb.Fatalf("/metrics: %d %s", status, body)
	}
lines:
	for line := range strings.Lines(body) {
		for _, word := range words {
			if !strings.Contains(line, word) || line[0] == '#' {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += value
	}
	return sum
}

// Descriptors returns how many files and sockets it has open.
func (d *Dagfence) Descriptors(tb testing.TB) int {
	tb.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		tb.Fatal(err)
	}
	return len(open)
}

// Goroutines returns how many it has.
func (d *Dagfence) Goroutines(tb testing.TB) int {
	tb.Helper()
	return int(d.Metric(tb, "go_goroutines "))
}

// Eventually waits until the condition holds, and returns how long that took. It
// fails the test with the condition's last error where that is longer than the
// limit, and waits no longer once the test has failed.
func Eventually(tb testing.TB, limit time.Duration, condition func() error) time.Duration {
	tb.Helper()
	started := time.Now()
	for {
		err := condition()
		took := time.Since(started)
		switch {
		case err == nil:
			return took.Round(time.Millisecond)
		case took > limit:
			tb.Errorf("not within %v: %v", limit, err)
			return took
		case tb.Failed():
			return took
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Within is [Eventually] for a condition that is described by what.
func Within(tb testing.TB, limit time.Duration, what string, condition func() bool) time.Duration {
	tb.Helper()
	return Eventually(tb, limit, func() error {
		if condition() {
			return nil
		}
		return errors.New(what)
	})
}
