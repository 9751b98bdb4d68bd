// Package faults_test breaks the fence's dependencies (Redis, the lookup service,
// the database, upstream) while the dagfence binary serves, reloads it, rotates
// its keys and signals it, and checks the answer to each.
package faults_test

import (
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret = sidecar.Secret
	ms     = time.Millisecond
	// deadline is what a resolve may take, and slack what a busy machine adds.
	deadline, slack = 2 * time.Second, time.Second
	// waitLong is longer than anything takes that happens sooner or later.
	waitLong = 30 * time.Second
)

// TestMain lets more tests run beside each other than there are CPUs, unless
// -parallel is given: most of the time they wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		if err := n.Value.Set("6"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// fence is a running `dagfence proxy`.
type fence struct {
	*sidecar.Dagfence

	// upstream is what it forwards to; nil where a test has its own.
	upstream *sidecar.Recorder
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
		Dagfence: sidecar.Proxy(tb, "http://"+upstream, args...),
		client:   newClient(),
	}
	tb.Cleanup(f.client.CloseIdleConnections) // or the fence waits for requests on those that were never used
	return f
}

// probe asks the status listener. 0 is no answer.
func (f *fence) probe(ctx context.Context, path string) int {
	status, _ := f.Probe(ctx, path)
	return status
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
	return f.sendAs(tb, taskA, id, request)
}

// sendAs sends it as another task instance, whose id is in the path in place
// of taskA's.
func (f *fence) sendAs(tb testing.TB, task, id, request string) answer {
	tb.Helper()
	method, path, _ := strings.Cut(strings.ReplaceAll(request, taskA, task), " ")
	var body io.Reader
	if method == http.MethodPut || method == http.MethodPost || method == http.MethodPatch {
		body = strings.NewReader(`{"value":"v"}`)
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, "http://"+f.Addr+"/execution"+path, body)
	if err != nil {
		tb.Error(err)
		return answer{err: err}
	}
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(tb, secret, task, nil))
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
	return f.getAs(tb, taskA, name)
}

// getAs reads it as another task instance.
func (f *fence) getAs(tb testing.TB, task, name string) answer {
	tb.Helper()
	return f.sendAs(tb, task, "", "GET /variables/"+name)
}
