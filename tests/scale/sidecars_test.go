package scale_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	fleetKeys = 50
	// fleetTTL is shorter than the default, so that entries lapse often.
	fleetTTL     = 2 * time.Second
	fleetTimeout = 2 * time.Second
	fleetLength  = 4 * time.Second
)

// asks counts what the sidecars' sources were asked.
type asks struct {
	calls atomic.Int64
	hits  map[resolver.Tier]*atomic.Int64
}

func newAsks() *asks {
	return &asks{hits: map[resolver.Tier]*atomic.Int64{resolver.TierMemory: new(atomic.Int64), resolver.TierRedis: new(atomic.Int64)}}
}

// CacheRequest implements [resolver.Observer].
func (a *asks) CacheRequest(tier resolver.Tier, result string) {
	if result == resolver.ResultHit {
		a.hits[tier].Add(1)
	}
}

// Lookup implements [resolver.Observer].
func (a *asks) Lookup(string, resolver.Outcome, time.Duration) { a.calls.Add(1) }

// Invalidated implements [resolver.Observer].
func (a *asks) Invalidated(int) {}

// lookupServices runs two, each over a directory of its own, until stop.
func (db *metadata) lookupServices(t *testing.T) (urls [2]string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range urls {
		directory, err := lookup.New(lookup.Options{Database: db.URL("fence", db.name), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		at := services.Address(t)
		urls[i] = "http://" + at
		all.Go(func() {
			defer directory.Close()
			if err := lookup.Run(ctx, directory, lookup.ServerOptions{Listen: at, Logger: slog.New(slog.DiscardHandler)}); err != nil {
				t.Error(err)
			}
		})
	}
	for _, url := range urls {
		sidecar.Within(t, 10*time.Second, "the lookup services listen", func() bool {
			return services.Dial("tcp", strings.TrimPrefix(url, "http://"))(ctx) == nil
		})
	}
	return urls, func() { cancel(); all.Wait() }
}

// fleet asks through so many sidecars, that share a Redis and two lookup
// services, and returns the questions, what of them reached the lookup services,
// and what the database.
func (db *metadata) fleet(t *testing.T, sidecars int, redis string, ask resolver.Question, perSecond int) (questions, calls, queries int, seen *asks) {
	t.Helper()
	before := db.reads(t)
	urls, stop := db.lookupServices(t)
	seen = newAsks()
	done := time.Now().Add(fleetLength)
	var all sync.WaitGroup
	var asked atomic.Int64
	for n := range sidecars {
		source, err := resolver.NewLookup(resolver.LookupOptions{URL: urls[n%len(urls)], Timeout: fleetTimeout})
		if err != nil {
			t.Fatal(err)
		}
		chain, err := resolver.New(resolver.Options{
			Source: resolver.Observe(source, resolver.SourceLookup, seen), Redis: resolver.RedisOptions{URL: redis, Secret: []byte(secret)},
			Size: fleetKeys, Lifetimes: resolver.Lifetimes{Owner: fleetTTL, Task: fleetTTL}, Timeout: fleetTimeout, Observer: seen,
		})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer source.Close()
			defer func() { _ = chain.Close() }()
			random, question := rand.New(rand.NewPCG(uint64(sidecars), uint64(n))), ask
			pace := time.NewTicker(time.Second / time.Duration(perSecond))
			defer pace.Stop()
			for time.Now().Before(done) {
				question.Name = fmt.Sprintf("var_%d", random.IntN(fleetKeys))
				asked.Add(1)
				if answer := chain.Resolve(t.Context(), []resolver.Question{question})[0]; answer.Outcome != resolver.Found {
					t.Errorf("%s: %v (%v)", question.Name, answer.Outcome, answer.Err)
				}
				<-pace.C
			}
		})
	}
	all.Wait()
	stop()
	return int(asked.Load()), int(seen.calls.Load()), db.reads(t).byIndex - before.byIndex, seen
}

func TestSidecars_MoreDoNotAskTheDatabaseMore(t *testing.T) {
	server := services.Postgres(t)
	execute(t, (&metadata{server, "airflow"}).session(t), "CREATE ROLE fence LOGIN SUPERUSER")
	db := newMetadata(t, server, few)
	redis, _ := services.RedisCluster(t)
	for _, of := range []struct {
		name      string
		freshness resolver.Freshness
		perSecond int // of each sidecar
		sidecars  []int
		// shared: what one has fetched serves all.
		shared bool
	}{
		{"reads", resolver.Cached, 200, []int{1, 2, 5, 10}, true},
		{"writes, that Redis does not judge", resolver.Recent, 20, []int{1, 10}, false},
	} {
		if testing.Short() { // what the race detector looks at
			of.sidecars = []int{2}
		}
		for _, sidecars := range of.sidecars {
			questions, calls, queries, seen := db.fleet(t, sidecars, redis, resolver.Question{
				Key: resolver.Key{Kind: resolver.KindVariable}, Freshness: of.freshness,
			}, of.perSecond)
			most := fleetKeys * int(fleetLength/fleetTTL)
			t.Logf("%s, %d sidecars: %d questions; %d answered by memory, %d by Redis, %d by a lookup service, with %d queries",
				of.name, sidecars, questions, seen.hits[resolver.TierMemory].Load(), seen.hits[resolver.TierRedis].Load(), calls, queries)
			if queries < calls || queries > calls+calls/10+10 {
				t.Errorf("%d calls made %d queries", calls, queries)
			}
			// One a name and time to live, with as much again for names that lapse
			// a tenth early, and are asked for by two at the same time.
			if of.shared && queries > 2*(most+fleetKeys) {
				t.Errorf("%s, %d sidecars: %d queries, where %d names lapse %d times", of.name, sidecars, queries, fleetKeys, most/fleetKeys)
			}
			if !of.shared && queries > questions+questions/10+10 {
				t.Errorf("%s, %d sidecars: %d queries for %d questions", of.name, sidecars, queries, questions)
			}
		}
	}
}
