package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// processClient waits no longer than anything here should take.
var processClient = &http.Client{Timeout: 20 * time.Second}

// process is a running dagfence.
type process struct {
	cmd    *exec.Cmd
	stderr string // the file that its standard error goes to
	ended  chan struct{}
	// addr, status and admin are where it listens, if it does.
	addr, status, admin string
}

// newProcess prepares a dagfence that listens on free ports.
func newProcess(tb testing.TB) *process {
	tb.Helper()
	free := func() string { return fmt.Sprintf("127.0.0.1:%d", services.FreePort(tb)) }
	return &process{addr: free(), status: free(), admin: free(), ended: make(chan struct{})}
}

// run starts the program and waits until it is ready. It is killed when the
// test ends, if it has not ended before.
func (p *process) run(tb testing.TB, args ...string) {
	tb.Helper()
	log, err := os.Create(filepath.Join(tb.TempDir(), "stderr"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	p.stderr = log.Name()
	p.runWith(tb, log, args...)
}

func (p *process) runWith(tb testing.TB, stderr *os.File, args ...string) {
	tb.Helper()
	// The test's own context ends before its cleanups, and would kill it early.
	p.cmd = exec.CommandContext(context.WithoutCancel(tb.Context()), sidecar.Build(tb), args...)
	p.cmd.Stderr = stderr
	p.cmd.Env = append(os.Environ(), "AIRFLOW__API_AUTH__JWT_SECRET="+secret, "XDG_CONFIG_HOME="+tb.TempDir(), "XDG_DATA_HOME="+tb.TempDir())
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is in its ProcessState
	}()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if tb.Failed() {
			tb.Logf("the end of its log:\n%s", tail(p.log(tb), 4000))
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		code, why := p.ready(tb)
		if code == http.StatusOK {
			return
		}
		select {
		case <-p.ended:
			tb.Fatalf("it ended with code %d", p.cmd.ProcessState.ExitCode())
		default:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not ready in time: %d %s", code, why)
		}
	}
}

// ready gives the answer of /ready; 0 where nobody listens.
func (p *process) ready(tb testing.TB) (int, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(tb.Context()), http.MethodGet, "http://"+p.status+"/ready", http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	r.Close = true
	answered, err := processClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answered.Body.Close()
	body, _ := io.ReadAll(answered.Body)
	return answered.StatusCode, string(body)
}

// log is what it has written to its standard error.
func (p *process) log(tb testing.TB) string {
	tb.Helper()
	if p.stderr == "" {
		return ""
	}
	content, err := os.ReadFile(p.stderr)
	if err != nil {
		tb.Error(err)
	}
	return string(content)
}

// signal sends the signal.
func (p *process) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Error(err)
	}
}

// wait gives the exit code once it has ended.
func (p *process) wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Fatalf("it still runs after %v", limit)
		return -1
	}
}

// descriptors counts its open files.
func (p *process) descriptors(tb testing.TB) int {
	tb.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	return len(open)
}

// goroutines counts its goroutines, as its metrics or else its admin endpoint
// tells them.
func (p *process) goroutines(tb testing.TB) int {
	tb.Helper()
	for _, url := range []string{"http://" + p.status + "/metrics", "http://" + p.admin + "/debug/pprof/goroutine?debug=1"} {
		answered, err := http.Get(url)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(answered.Body)
		answered.Body.Close()
		if err != nil {
			tb.Fatal(err)
		}
		for line := range strings.Lines(string(body)) {
			var count int
			for _, form := range []string{"go_goroutines %d", "goroutine profile: total %d"} {
				if n, err := fmt.Sscanf(line, form, &count); n == 1 && err == nil {
					return count
				}
			}
		}
	}
	tb.Fatal("nobody tells the number of goroutines")
	return 0
}

// request makes a request to the fence with the token.
func (p *process) request(tb testing.TB, token, method, path string, body io.Reader) *http.Request {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(tb.Context()), method, "http://"+p.addr+"/execution"+path, body)
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// answer sends a request without a body, and gives the answer's status; 0 where
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

// eventually waits until the condition holds.
func eventually(tb testing.TB, limit time.Duration, condition func() error) {
	tb.Helper()
	err := errors.New("not tried")
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err = condition(); err == nil {
			return
		}
	}
	tb.Errorf("after %v: %v", limit, err)
}
