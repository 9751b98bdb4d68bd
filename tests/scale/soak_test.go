package scale_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dagfence/dagfence/tests/services"
)

// soakLength is how long the soak takes: DAGFENCE_SOAK says, else half a minute
// where servers are required, in which everything happens twice at least, and
// seconds where they are not.
func soakLength(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("DAGFENCE_SOAK")
	switch {
	case text != "":
	case os.Getenv("DAGFENCE_TEST_SERVERS") == "required":
		return 30 * time.Second
	default:
		return 5 * time.Second
	}
	length, err := time.ParseDuration(text)
	if err != nil || length <= 0 {
		t.Fatalf("DAGFENCE_SOAK is %q: give a duration, such as 30m", text)
	}
	return length
}

// soakRows are owners in Airflow's tables. Variable flip_n changes hands while
// the soak runs.
const soakRows = `
INSERT INTO team VALUES ('team_a'), ('team_b');
INSERT INTO dag_bundle VALUES ('bundle_a'), ('bundle_b');
INSERT INTO dag_bundle_team VALUES ('bundle_a', 'team_a'), ('bundle_b', 'team_b');
INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_a', false, 'bundle_a'), ('dag_b', false, 'bundle_b');
INSERT INTO task_instance (id, task_id, dag_id, run_id) VALUES ('` + taskA + `', 't1', 'dag_a', 'r');
INSERT INTO variable (key, val, team_name) SELECT l || '_' || n, 'v', 'team_' || l FROM unnest(ARRAY['a', 'b']) l, generate_series(0, 999) n;
INSERT INTO variable (key, val, team_name) VALUES ('flip', 'v', 'team_a');
INSERT INTO connection (conn_id, conn_type, team_name) VALUES ('conn_a', 'http', 'team_a'), ('conn_b', 'http', 'team_b')`

// soak is a fence and all its dependencies, under load.
type soak struct {
	fence, quiet, lookup process
	client               *http.Client
	token                string

	mu      sync.Mutex
	answers map[string]int // how many of each request, by its name and status
	passed  []string       // what has reached upstream and was not to
}

// ServeHTTP is upstream: it notes what should have been denied.
func (s *soak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(denyHeader) != "" {
		s.mu.Lock()
		s.passed = append(s.passed, r.Method+" "+r.RequestURI)
		s.mu.Unlock()
	}
	answerFrom(w, r)
}

// startSoak starts PostgreSQL, Redis, the lookup service, an upstream that
// closes idle connections as uvicorn does (after 5 s), and two fences: one for
// the load, and one whose connections are idle most of the time.
func startSoak(t *testing.T) (s *soak, db *pgx.Conn, redis *services.RedisServer) {
	t.Helper()
	server := services.Postgres(t)
	metadata := &metadata{server, "airflow"}
	db = metadata.session(t)
	execute(t, db, services.AirflowTables(t)+soakRows)
	redis = services.Redis(t)
	s = &soak{answers: make(map[string]int), client: &http.Client{
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, Timeout: 60 * time.Second,
	}}
	upstream := httptest.NewUnstartedServer(s)
	upstream.Config.IdleTimeout = 5 * time.Second
	upstream.Start()
	t.Cleanup(upstream.Close)
	s.lookup = lookupService(t, "--database", server.URL("airflow", "airflow"), "--redis", redis.URL())
	s.fence = proxy(t, upstream.URL, "--lookup", "http://"+s.lookup.Addr, "--redis", redis.URL())
	s.quiet = proxy(t, upstream.URL, "--lookup", "http://"+s.lookup.Addr)
	t.Cleanup(s.client.CloseIdleConnections)
	return s, db, redis
}

func TestSoak(t *testing.T) {
	length := soakLength(t)
	s, db, redis := startSoak(t)
	s.token = tokenFor(t, length)
	done := make(chan struct{})
	time.AfterFunc(length, func() { close(done) })
	var all sync.WaitGroup
	for i := range soakWorkers {
		all.Go(func() { s.ask(t, done, i) })
	}
	all.Go(func() { s.bigBodies(t, done) })
	all.Go(func() { s.slowClients(t, done) })
	all.Go(func() { s.gaps(t, done) })
	all.Go(func() { s.flip(t, done, db) })
	all.Go(func() { restarts(t, done, redis, min(length/3, time.Minute)) })
	samples := s.sample(t, done, max(100*ms, length/100))
	all.Wait()

	s.mu.Lock()
	defer s.mu.Unlock()
	sent := 0
	for _, n := range s.answers {
		sent += n
	}
	t.Logf("%v: %d requests: %v", length, sent, s.answers)
	for _, name := range s.passed {
		t.Errorf("%s has reached upstream", name)
	}
	for i, name := range []string{"the fence", "the quiet fence", "the lookup service"} {
		steady(t, name, samples[i])
	}
}

// use is what a process has at one moment.
type use struct{ goroutines, descriptors, resident int }

// sample looks at the processes now and then.
func (s *soak) sample(t *testing.T, done <-chan struct{}, every time.Duration) (samples [3][]use) {
	t.Helper()
	pace := time.NewTicker(every)
	defer pace.Stop()
	for {
		select {
		case <-done:
			return samples
		case <-pace.C:
		}
		for i, p := range []process{s.fence, s.quiet, s.lookup} {
			samples[i] = append(samples[i], use{p.Goroutines(t), p.Descriptors(t), p.memory(t, "VmRSS")})
		}
	}
}

// steady holds the last fifth of the samples to the second: the middle of each
// is no more than a twentieth above, and a little that a short run needs.
func steady(t *testing.T, name string, samples []use) {
	t.Helper()
	if len(samples) < 10 {
		t.Errorf("%s was looked at %d times", name, len(samples))
		return
	}
	fifth := len(samples) / 5
	for _, of := range []struct {
		what string
		get  func(use) int
		room int
		unit int
	}{
		{"goroutines", func(u use) int { return u.goroutines }, 30, 1},
		{"descriptors", func(u use) int { return u.descriptors }, 15, 1},
		{"MiB resident", func(u use) int { return u.resident }, 12 * mib, mib},
	} {
		from, to := middle(samples[fifth:2*fifth], of.get), middle(samples[len(samples)-fifth:], of.get)
		t.Logf("%s: %d %s, then %d", name, from/of.unit, of.what, to/of.unit)
		if to == 0 || to > from+from/20+of.room {
			t.Errorf("%s: %d %s have become %d", name, from/of.unit, of.what, to/of.unit)
		}
	}
}

func middle(samples []use, get func(use) int) int {
	values := make([]int, len(samples))
	for i := range samples {
		values[i] = get(samples[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// restarts ends Redis again and again, and starts it where it was.
func restarts(t *testing.T, done <-chan struct{}, redis *services.RedisServer, every time.Duration) {
	t.Helper()
	for pause(done, every) {
		redis.Stop()
		if !pause(done, time.Second) {
			return
		}
		redis = services.RedisAt(t, redis.Addr)
	}
}

// pause waits, and reports whether the soak goes on.
func pause(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return false
	case <-time.After(d):
		return true
	}
}

// count notes how a request was answered, and fails the test where that is not
// as wanted.
func (s *soak) count(t *testing.T, name string, status, want int, why string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[fmt.Sprintf("%s %d", name, status)]++
	if status != want {
		t.Errorf("%s: %d %s, want %d", name, status, why, want)
	}
}
