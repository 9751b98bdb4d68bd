package scale_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	bodies   = 20
	bodySize = 100 * mib
	// firstPart is what a body begins with, before its other end was seen to
	// have any of it.
	firstPart = 64 << 10
	// bodyMemory is how much more the fence may have resident, for all of them.
	bodyMemory = 16 * mib
	gateLimit  = 30 * time.Second
)

// owners is a lookup service that knows taskA and other attempts, their dag, and
// the variables that team_a and team_b have.
func owners(tb testing.TB) *httptest.Server {
	tb.Helper()
	world := new(resolvertest.World)
	task := resolver.Task{DagID: "dag_a", RunID: "r", TaskID: "t1", MapIndex: -1}
	world.Run(taskA, task)
	for n := range slowClients {
		world.Run(taskNumber(n), task)
	}
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindVariable, "var_a", "team_a")
	world.Own(resolver.KindVariable, "var_b", "team_b")
	service := httptest.NewServer(resolvertest.Service(world))
	tb.Cleanup(service.Close)
	return service
}

// parted is a body of zeros whose second part begins once gate is closed.
type parted struct {
	left int64
	gate <-chan struct{}
}

// Read implements io.Reader.
func (p *parted) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	room := p.left
	if p.left > bodySize-firstPart {
		room = p.left - (bodySize - firstPart)
	} else {
		select {
		case <-p.gate:
		case <-time.After(gateLimit):
			return 0, fmt.Errorf("the other end has seen nothing of the first %d bytes", firstPart)
		}
	}
	n := int(min(int64(len(b)), room))
	p.left -= int64(n)
	return n, nil
}

// drain reads a body to its end, and closes gate once its first byte is there.
func drain(body io.Reader, gate chan<- struct{}) error {
	first := make([]byte, 1)
	if _, err := io.ReadFull(body, first); err != nil {
		return err
	}
	close(gate)
	n, err := io.Copy(io.Discard, body)
	if err == nil && n != bodySize-1 {
		err = fmt.Errorf("%d bytes have arrived, want %d", n+1, bodySize)
	}
	return err
}

// streams is an upstream that takes and gives big bodies. A body's gate has the
// number that its path ends in.
type streams struct {
	gates [2 * bodies]chan struct{}
}

// ServeHTTP implements [http.Handler].
func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Path[strings.LastIndexByte(r.URL.Path, '_')+1:])
	if err != nil {
		return // the first request, which has no number
	}
	if r.Method == http.MethodPost {
		if err := drain(r.Body, s.gates[number]); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(bodySize))
	_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &parted{bodySize, s.gates[number]}, make([]byte, firstPart))
}

// request makes one as the task instance.
func request(ctx context.Context, tb testing.TB, task, method, url string, body io.Reader) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(tb, secret, task, nil))
	return r
}

func TestBigBodies_TakeLittleMemory(t *testing.T) {
	upstream := new(streams)
	for i := range upstream.gates {
		upstream.gates[i] = make(chan struct{})
	}
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	fence := proxy(t, server.URL, "--lookup", owners(t).URL)
	xcom := func(name string) string { return "http://" + fence.Addr + "/execution/xcoms/dag_a/r/t1/" + name }
	answered, err := http.DefaultClient.Do(request(t.Context(), t, taskA, http.MethodGet, xcom("first"), nil))
	if err != nil || answered.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", answered, err)
	}
	answered.Body.Close()

	fence.forgetPeak(t)
	before := fence.memory(t, "VmRSS")
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	var all sync.WaitGroup
	for i := range bodies {
		gate := upstream.gates[i]
		up := request(t.Context(), t, taskNumber(i), http.MethodPost, xcom(fmt.Sprintf("key_%d", i)), io.NopCloser(&parted{bodySize, gate}))
		up.ContentLength = bodySize
		all.Go(func() { check(t, client, up, func(io.Reader) error { return nil }) })
		down := request(t.Context(), t, taskNumber(i), http.MethodGet, xcom(fmt.Sprintf("key_%d", bodies+i)), nil)
		all.Go(func() {
			check(t, client, down, func(body io.Reader) error { return drain(body, upstream.gates[bodies+i]) })
		})
	}
	all.Wait()
	grown := fence.memory(t, "VmHWM") - before
	t.Logf("%d bodies of %d MiB each way: %.1f MiB resident before, at most %.1f more", bodies, bodySize/mib, float64(before)/mib, float64(grown)/mib)
	if grown > bodyMemory {
		t.Errorf("it has grown by %d MiB, want at most %d", grown/mib, bodyMemory/mib)
	}
}

// check sends a request that is to be answered 200, and reads the answer.
func check(t *testing.T, client *http.Client, r *http.Request, read func(io.Reader) error) {
	t.Helper()
	answered, err := client.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer answered.Body.Close()
	if answered.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(answered.Body, 1000))
		t.Errorf("%s %s: %d %s", r.Method, r.URL.Path, answered.StatusCode, body)
		return
	}
	if err := read(answered.Body); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
	}
}
