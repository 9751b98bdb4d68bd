package faults_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	taskOfB = "018f0000-0000-7000-8000-00000000000b" // dag_b, t1
	taskOfC = "018f0000-0000-7000-8000-00000000000c" // is yet to come

	// ttlBound is how long a changed owner may go unnoticed, watchBound how long
	// where it is watched, and busy what a busy machine may add to either.
	ttlBound, watchBound, busy = 5 * time.Second, time.Second, time.Second
)

// coherence is one Airflow's database, and fences that share a Redis and a
// lookup service.
type coherence struct {
	postgres *services.PostgresServer
	redis    *services.RedisServer
	upstream *sidecar.Recorder
	lookup   string
	tokens   map[string]string // by the task
	client   *http.Client
}

const coherentWorld = `
INSERT INTO team VALUES ('team_a'), ('team_b');
INSERT INTO dag_bundle VALUES ('bundle_a'), ('bundle_b');
INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a'), ('bundle_b', 'team_b');
INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_a', false, 'bundle_a'), ('dag_b', false, 'bundle_b');
INSERT INTO task_instance (id, task_id, dag_id, run_id) VALUES ('` + taskA + `', 't1', 'dag_a', 'r1'), ('` + taskOfB + `', 't1', 'dag_b', 'r1');
INSERT INTO variable (key, val, team_name) VALUES ('var_a', 'v', 'team_a'), ('var_b', 'v', 'team_b');
`

func newCoherence(t *testing.T) *coherence {
	t.Helper()
	c := &coherence{
		postgres: services.Postgres(t), redis: services.Redis(t), upstream: sidecar.NewRecorder(t),
		tokens: map[string]string{taskA: "", taskOfB: "", taskOfC: ""},
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: 30 * time.Second},
	}
	t.Cleanup(c.client.CloseIdleConnections)
	for task := range c.tokens {
		c.tokens[task] = "Bearer " + sidecar.Token(t, secret, task, nil)
	}
	c.execute(t, services.AirflowTables(t)+coherentWorld)
	c.lookup = c.directory(t)
	return c
}

// execute changes the database, and returns when it is committed.
func (c *coherence) execute(t *testing.T, script string) {
	t.Helper()
	session, err := pgx.Connect(t.Context(), "postgres://airflow@"+c.postgres.Addr+"/airflow")
	if err != nil {
		t.Error(err) // no Fatal: requests and goroutines call it too
		return
	}
	defer func() { _ = session.Close(context.WithoutCancel(t.Context())) }()
	if _, err := session.Exec(t.Context(), script); err != nil {
		t.Errorf("%v\n%s", err, script)
	}
}

// directory starts a lookup service, and returns its URL.
func (c *coherence) directory(t *testing.T, args ...string) string {
	t.Helper()
	return "http://" + sidecar.Lookup(t, append([]string{"--database", c.postgres.URL("airflow", "airflow")}, args...)...).Addr
}

// sharer is one of the fences.
type sharer struct {
	*coherence
	*sidecar.Dagfence
}

// fence starts a fence on the Redis at the address.
func (c *coherence) fence(t *testing.T, redis string) *sharer {
	t.Helper()
	return &sharer{c, sidecar.Proxy(t, "http://"+c.upstream.Addr, "--lookup", c.lookup, "--redis", "redis://"+redis)}
}

// ask sends a request of the task, and returns the status.
func (s *sharer) ask(t *testing.T, task, method, path string) int {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader(`{"value":"v"}`)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr+"/execution"+path, body)
	if err != nil {
		t.Error(err)
		return 0
	}
	request.Header.Set("Authorization", s.tokens[task])
	response, err := s.client.Do(request)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// until asks again and again, so that the answer is cached whenever it can be,
// until it has the status, and returns how long it took.
func (s *sharer) until(t *testing.T, want int, task, path string) time.Duration {
	t.Helper()
	started := time.Now()
	for ; s.ask(t, task, http.MethodGet, path) != want; time.Sleep(2 * time.Millisecond) {
		if time.Since(started) > 30*time.Second {
			t.Errorf("%s is never answered %d", path, want)
			break
		}
	}
	return time.Since(started)
}

// seenBy returns how long each fence took until it had the status.
func seenBy(t *testing.T, want int, task, path string, fences ...*sharer) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(fences))
	var group sync.WaitGroup
	for i, fence := range fences {
		group.Go(func() { took[i] = fence.until(t, want, task, path) })
	}
	group.Wait()
	return took
}

// link is a relay of TCP that can swallow what it is to pass on.
type link struct {
	addr string
	cut  atomic.Bool

	mu    sync.Mutex
	to    string
	conns []net.Conn
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{addr: listener.Addr().String(), to: to}
	t.Cleanup(func() {
		_ = listener.Close()
		l.lead("")
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.relay(conn)
		}
	}()
	return l
}

// lead leads to another server from now on, and ends what is open.
func (l *link) lead(to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
	for _, conn := range l.conns {
		_ = conn.Close()
	}
	l.conns = nil
}

func (l *link) relay(client net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	server, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = client.Close()
		return
	}
	l.conns = append(l.conns, client, server)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			defer way[1].Close()
			buffer := make([]byte, 32<<10)
			for {
				n, err := way[0].Read(buffer)
				if err != nil {
					return
				}
				if !l.cut.Load() {
					_, _ = way[1].Write(buffer[:n])
				}
			}
		}()
	}
}
