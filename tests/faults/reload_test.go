package faults_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// caddyfile configures a process that can be reloaded.
func (p *process) caddyfile(upstream, lookup, redisURL, cacheOption string) string {
	return fmt.Sprintf(`{
	admin %[1]s {
		origins %[1]s # or localhost and 127.0.0.1 alone
	}
	persist_config off
	auto_https off
	grace_period 10s
}
%s	dagfence {
		lookup %s
		redis %s
		cache {
			ttl 1m
			%s
		}
	}
	reverse_proxy %s {
		transport http {
			keepalive 3s
		}
	}
}
%s	dagfence_status
}
`, p.admin, sidecar.Site(p.Addr), lookup, redisURL, cacheOption, upstream, sidecar.Site(p.Status))
}

// load loads a configuration as `dagfence reload --force` does.
func (p *process) load(tb testing.TB, caddyfile string) (int, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://"+p.admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		tb.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	r.Header.Set("Cache-Control", "must-revalidate") // even if nothing has changed
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer answered.Body.Close()
	body, _ := io.ReadAll(answered.Body)
	return answered.StatusCode, string(body)
}

// traffic is what clients do while something happens to the process: reads,
// writes and denied requests of one task. They send a request again when its
// connection ends without an answer, as the Task SDK does (airflow/sdk/api/client.py,
// five attempts): at a reload, net/http closes idle connections, and a request may
// just be on its way on one.
type traffic struct {
	sent, again, passed, denied atomic.Int64
	failures                    sync.Map // what went wrong -> true
}

const idHeader = "X-Test-Id"

// drive sends requests from several clients, each on a connection of its own,
// until ctx ends.
func (tr *traffic) drive(ctx context.Context, t *testing.T, p *process, clients int, pause time.Duration) *sync.WaitGroup {
	t.Helper()
	token := processToken(t)
	var group sync.WaitGroup
	for client := range clients {
		transport := &http.Transport{MaxIdleConnsPerHost: 1}
		group.Go(func() {
			defer transport.CloseIdleConnections()
			for i := client; ctx.Err() == nil; i++ {
				tr.call(t, p, transport, token, i) //nolint:contextcheck // a request that is under way is let end
				time.Sleep(pause)
			}
		})
	}
	return &group
}

// call sends the i-th request of a client, and checks its answer.
func (tr *traffic) call(t *testing.T, p *process, transport http.RoundTripper, token string, i int) {
	t.Helper()
	method, path, want, body := http.MethodGet, "/variables/warm_"+strconv.Itoa(i%50), http.StatusOK, ""
	switch i % 5 {
	case 0:
		path, want = "/variables/var_b", http.StatusForbidden
	case 1:
		method, path, want, body = http.MethodPut, "/variables/var_b", http.StatusForbidden, `{"value":"stolen"}`
	case 2:
		method, path, body = http.MethodPut, "/variables/var_a", `{"value":"v"}`
	}
	id := strconv.FormatInt(tr.sent.Add(1), 10)
	var answered *http.Response
	var err error
	for range 5 {
		r := p.request(t, token, method, path, strings.NewReader(body))
		r.Header.Set(idHeader, id)
		if answered, err = transport.RoundTrip(r); err == nil {
			break
		}
		tr.again.Add(1)
	}
	if err != nil {
		tr.failures.Store(method+" "+err.Error(), true)
		return
	}
	defer answered.Body.Close()
	if _, err := io.Copy(io.Discard, answered.Body); err != nil {
		tr.failures.Store("the body of "+method+" "+err.Error(), true)
	}
	switch answered.StatusCode {
	case want:
	default:
		tr.failures.Store(fmt.Sprintf("%s %s: %d", method, path, answered.StatusCode), true)
	}
	if want == http.StatusOK {
		tr.passed.Add(1)
	} else {
		tr.denied.Add(1)
	}
}

// check says that every request had the answer that it should, and that each
// that should reach upstream did so once, and no other did at all.
func (tr *traffic) check(t *testing.T, arrived []sidecar.Arrival) {
	t.Helper()
	t.Logf("%d requests, %d passed, %d denied, %d sent again", tr.sent.Load(), tr.passed.Load(), tr.denied.Load(), tr.again.Load())
	tr.failures.Range(func(what, _ any) bool {
		t.Errorf("failed: %v", what)
		return true
	})
	seen := make(map[string]bool, len(arrived))
	for _, a := range arrived {
		if strings.Contains(a.Target, "var_b") {
			t.Errorf("%s %s reached upstream", a.Method, a.Target)
		}
		id := a.Header.Get(idHeader)
		if seen[id] {
			t.Errorf("%s %s reached upstream twice", a.Method, a.Target)
		}
		seen[id] = true
	}
	if len(arrived) != int(tr.passed.Load()) {
		t.Errorf("%d requests reached upstream, %d passed", len(arrived), tr.passed.Load())
	}
}

// redisUse counts what a Redis was asked: reads, and connections in all.
func redisUse(t *testing.T, client *redis.Client) (reads, connections int) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats", "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for pattern, count := range map[string]*int{`cmdstat_getrange:calls=(\d+)`: &reads, `total_connections_received:(\d+)`: &connections} {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(info); found != nil {
			*count, _ = strconv.Atoi(found[1])
		}
	}
	return reads, connections
}

// reloaded is a process under traffic, with a Redis and a lookup service.
type reloaded struct {
	*process
	traffic
	world    *resolvertest.World
	redis    *redis.Client
	upstream *sidecar.Recorder
	// configure writes the Caddyfile, with an option of the cache.
	configure func(option string) string
	// end ends the traffic, and checks what came of it.
	end                                 func()
	goroutinesBefore, descriptorsBefore int
}

func underTraffic(t *testing.T) *reloaded {
	t.Helper()
	server := services.Redis(t)
	lookup, world := processOwners(t)
	r := &reloaded{process: newProcess(t), world: world, redis: server.Client(t), upstream: sidecar.NewRecorder(t)}
	r.configure = func(option string) string { return r.caddyfile(r.upstream.Addr, lookup, server.URL(), option) }
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(r.configure("")), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(t, "run", "--config", file, "--adapter", "caddyfile")
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	clients := r.drive(ctx, t, r.process, 8, 2*time.Millisecond)
	r.end = func() {
		stop()
		clients.Wait()
		r.check(t, r.upstream.Take())
	}
	time.Sleep(2 * time.Second) // all that clients ask for is known then
	r.goroutinesBefore, r.descriptorsBefore = r.goroutines(t), r.Descriptors(t)
	return r
}

// letGo says that what was replaced is let go of, within the 6 s for which it
// may still get requests and some more for connections to end.
func (r *reloaded) letGo(t *testing.T) {
	t.Helper()
	sidecar.Eventually(t, 20*time.Second, func() error {
		if g, d := r.goroutines(t), r.Descriptors(t); g > r.goroutinesBefore+20 || d > r.descriptorsBefore+10 {
			return fmt.Errorf("%d goroutines and %d descriptors, %d and %d before", g, d, r.goroutinesBefore, r.descriptorsBefore)
		}
		return nil
	})
}

// kept says that nothing that was known is asked for again, in Redis or at the
// source, and that no reload makes a connection.
func (r *reloaded) kept(t *testing.T, since time.Time, reads, connections int) {
	t.Helper()
	moreReads, moreConnections := redisUse(t, r.redis)
	asked := r.world.Asked()
	if took := time.Since(since); took > 50*time.Second { // of the minute for which an owner is known, less its jitter
		t.Fatalf("too slow to tell what is kept: %v", took)
	}
	// A connection is also made anew where Redis took more than 50 ms to answer.
	if moreReads != reads || moreConnections-connections > 10 {
		t.Errorf("redis: %d questions and %d connections more after 100 reloads", moreReads-reads, moreConnections-connections)
	}
	for _, questions := range asked {
		for _, question := range questions {
			if strings.HasPrefix(question.Name, "warm_") {
				t.Errorf("the owner of %s was known, and was asked for again", question.Name)
			}
		}
	}
}

func TestReload_UnderLoad(t *testing.T) {
	r := underTraffic(t)
	begun := time.Now()
	reads, connections := redisUse(t, r.redis)
	r.world.Forget()
	same := r.configure("")
	for i := range 200 {
		if i == 100 {
			r.kept(t, begun, reads, connections)
		}
		caddyfile, want := same, http.StatusOK
		if i%10 == 9 { // the old one keeps serving
			caddyfile, want = strings.Replace(same, "lookup http", "lookup ftp", 1), http.StatusBadRequest
		}
		if code, body := r.load(t, caddyfile); code != want {
			t.Errorf("load %d: %d %s", i, code, body)
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.letGo(t)
	r.end()
}

func TestReload_OfOtherSettingsUnderLoad(t *testing.T) {
	r := underTraffic(t)
	for i := range 20 {
		if code, body := r.load(t, r.configure(fmt.Sprintf("size %d", 1000+i))); code != http.StatusOK {
			t.Errorf("load %d: %d %s", i, code, body)
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.letGo(t)
	r.end()
}
