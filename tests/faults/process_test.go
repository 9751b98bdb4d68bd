package faults_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// processClient waits no longer than anything here should take.
var processClient = &http.Client{Timeout: 20 * time.Second}

// process is a dagfence of any command, which may have an admin endpoint.
type process struct {
	*sidecar.Dagfence

	admin string
	// args are those of its command line.
	args []string
	// stderr gets its standard error, if set before it is run.
	stderr *os.File
}

// newProcess prepares a dagfence with addresses of its own.
func newProcess(tb testing.TB) *process {
	tb.Helper()
	return &process{
		Dagfence: &sidecar.Dagfence{Addr: services.Address(tb), Status: services.Address(tb)}, admin: services.Address(tb),
	}
}

// run starts the program and waits until it is ready.
func (p *process) run(tb testing.TB, args ...string) {
	tb.Helper()
	p.args = args
	cmd := sidecar.Command(tb, args...)
	if p.stderr != nil { // or the interface is not nil
		cmd.Stderr = p.stderr
	}
	p.Dagfence = sidecar.Start(tb, cmd, p.Addr, p.Status)
	p.WaitReady(tb)
}

// goroutines counts its goroutines, as its admin endpoint returns them where its
// configuration has no metrics.
func (p *process) goroutines(tb testing.TB) int {
	tb.Helper()
	if status, _ := p.Probe(tb.Context(), "/metrics"); status == http.StatusOK {
		return p.Goroutines(tb)
	}
	answered, err := http.Get("http://" + p.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		tb.Fatal(err)
	}
	defer answered.Body.Close()
	var count int
	if _, err := fmt.Fscanf(answered.Body, "goroutine profile: total %d", &count); err != nil {
		tb.Fatal(err)
	}
	return count
}

// request makes a request to the fence with the token.
func (p *process) request(tb testing.TB, token, method, path string, body io.Reader) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(tb.Context()), method, "http://"+p.Addr+"/execution"+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// answer sends a request without a body, and returns the answer's status; 0 where
// there is none.
func (p *process) answer(tb testing.TB, token, method, path string) int {
	tb.Helper()
	answered, err := processClient.Do(p.request(tb, token, method, path, nil))
	if err != nil {
		return 0
	}
	defer answered.Body.Close()
	_, _ = io.Copy(io.Discard, answered.Body)
	return answered.StatusCode
}

// processOwners is a lookup service that knows a task of team_a, its dag, and
// variables: of team_a var_a and warm_0 to warm_49, of team_b var_b.
func processOwners(tb testing.TB) (url string, world *resolvertest.World) {
	tb.Helper()
	world = new(resolvertest.World)
	world.Run(taskA, resolver.Task{DagID: "dag_a", RunID: "r", TaskID: "t1", MapIndex: -1})
	world.Own(resolver.KindDag, "dag_a", "team_a")
	world.Own(resolver.KindDag, "dag_b", "team_b")
	world.Own(resolver.KindVariable, "var_a", "team_a")
	world.Own(resolver.KindVariable, "var_b", "team_b")
	for i := range 50 {
		world.Own(resolver.KindVariable, fmt.Sprintf("warm_%d", i), "team_a")
	}
	service := httptest.NewServer(resolvertest.Service(world))
	tb.Cleanup(service.Close)
	return service.URL, world
}

// processToken is the token of the task of team_a.
func processToken(tb testing.TB) string {
	tb.Helper()
	return sidecar.Token(tb, secret, taskA, nil)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
