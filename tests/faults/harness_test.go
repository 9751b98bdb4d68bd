// Package faults_test breaks what the fence leans on (Redis, the lookup service,
// the database, upstream) while the dagfence binary serves, reloads it, rotates
// its keys and tells it to end, and holds it to the answer that each has.
package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret = "the-secret-that-airflow-signs-with"
	ms     = time.Millisecond
	// deadline is what a resolve may take, and slack what a busy machine adds.
	deadline, slack = 2 * time.Second, time.Second
)

// fence is a running `dagfence proxy`.
type fence struct {
	*services.Process

	url, status string
	// upstream is what it forwards to; nil where a test has its own.
	upstream *sidecar.Recorder
	token    string
	client   *http.Client
	// round numbers the rounds of requests, so that each asks for new names.
	round atomic.Int64
}

// start runs a fence with these flags before a recording upstream.
func start(tb testing.TB, args ...string) *fence {
	tb.Helper()
	upstream := sidecar.NewRecorder(tb)
	f := startBefore(tb, upstream.Addr, args...)
	f.upstream = upstream
	return f
}

// startBefore runs a fence before the upstream at an address, and waits until it
// is live.
func startBefore(tb testing.TB, upstream string, args ...string) *fence {
	tb.Helper()
	f := &fence{
		url:    fmt.Sprintf("http://127.0.0.1:%d", services.FreePort(tb)),
		status: fmt.Sprintf("http://127.0.0.1:%d", services.FreePort(tb)),
		token:  sidecar.Token(tb, secret, taskA, nil),
		client: newClient(),
	}
	args = append([]string{
		"proxy", "--listen", strings.TrimPrefix(f.url, "http://"), "--status", strings.TrimPrefix(f.status, "http://"),
		"--upstream", "http://" + upstream,
	}, args...)
	cmd := exec.CommandContext(tb.Context(), sidecar.Build(tb), args...)
	cmd.Env = []string{"HOME=" + tb.TempDir(), "AIRFLOW__API_AUTH__JWT_SECRET=" + secret}
	f.Process = services.Start(tb, cmd)
	tb.Cleanup(f.client.CloseIdleConnections) // or the fence waits for requests on those that were never used
	f.WaitReady(tb, func(ctx context.Context) error {
		if status := f.probe(ctx, "/live"); status != http.StatusOK {
			return fmt.Errorf("live: %d", status)
		}
		return nil
	})
	return f
}

// probe asks the status listener. 0 is no answer.
func (f *fence) probe(ctx context.Context, path string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.status+path, nil)
	if err != nil {
		return 0
	}
	answered, err := f.client.Do(r)
	if err != nil {
		return 0
	}
	_ = answered.Body.Close()
	return answered.StatusCode
}

// metric is the sum of the series whose line holds all these words.
func (f *fence) metric(tb testing.TB, words ...string) float64 {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, f.status+"/metrics", nil)
	if err != nil {
		tb.Fatal(err)
	}
	answered, err := f.client.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer answered.Body.Close()
	var sum float64
lines:
	for scanner := bufio.NewScanner(answered.Body); scanner.Scan(); {
		for _, word := range words {
			if !strings.Contains(scanner.Text(), word) || scanner.Text()[0] == '#' {
				continue lines
			}
		}
		value, err := strconv.ParseFloat(scanner.Text()[strings.LastIndexByte(scanner.Text(), ' ')+1:], 64)
		if err != nil {
			tb.Fatal(err)
		}
		sum += value
	}
	return sum
}

// newClient follows no redirects, and waits longer than the fence may take.
func newClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
}

// answer is what came back for one request. Its status is 0 where nothing, or
// only a part, came back.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
	err    error
}

// send sends "METHOD /path" below the mount as taskA, under an id.
func (f *fence) send(tb testing.TB, id, request string) answer {
	tb.Helper()
	method, path, _ := strings.Cut(request, " ")
	var body io.Reader
	if method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch {
		body = strings.NewReader(`{"value":"v"}`)
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, f.url+"/execution"+path, body)
	if err != nil {
		tb.Error(err)
		return answer{err: err}
	}
	r.Header.Set("Authorization", "Bearer "+f.token)
	r.Header.Set("X-Request-Id", id)
	started := time.Now()
	answered, err := f.client.Do(r)
	if err != nil {
		return answer{err: err, took: time.Since(started)}
	}
	defer answered.Body.Close()
	content, err := io.ReadAll(answered.Body)
	if err != nil {
		return answer{err: err, took: time.Since(started)}
	}
	return answer{status: answered.StatusCode, header: answered.Header, body: string(content), took: time.Since(started)}
}

// get reads a variable, under no id.
func (f *fence) get(tb testing.TB, name string) answer {
	tb.Helper()
	return f.send(tb, "", "GET /variables/"+name)
}

// within waits until the condition holds and gives how long that took; it fails
// the test where that is longer than the limit.
func within(tb testing.TB, limit time.Duration, what string, condition func() bool) time.Duration {
	tb.Helper()
	started := time.Now()
	for !condition() {
		if time.Since(started) > limit {
			tb.Errorf("%s: not within %v", what, limit)
			break
		}
		time.Sleep(20 * ms)
	}
	return time.Since(started).Round(ms)
}
