package resolver_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

// clock stands still until it is told to pass.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(1) // as time does between any two looks at it
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// counts is an Observer that counts.
type counts struct {
	mu          sync.Mutex
	results     map[string]int
	lookups     []string
	invalidated int
}

func (c *counts) CacheRequest(tier resolver.Tier, result string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = make(map[string]int)
	}
	c.results[tier.String()+" "+result]++
}

func (c *counts) Lookup(source string, outcome resolver.Outcome, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookups = append(c.lookups, source+" "+outcome.String())
}

func (c *counts) Invalidated(keys int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.invalidated += keys
}

func (c *counts) result(tier, result string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.results[tier+" "+result]
}

func (c *counts) told() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.invalidated
}

// worldAt is a world whose clock is the test's.
func worldAt(now *clock) *resolvertest.World { return &resolvertest.World{Clock: now.Now} }

// expectCalls fails unless the world was asked that often since the last look.
func expectCalls(tb testing.TB, world *resolvertest.World, calls int) {
	tb.Helper()
	if got := world.Calls(); got != calls {
		tb.Fatalf("the source was asked %d times, %v: want %d", got, world.Asked(), calls)
	}
	world.Forget()
}

// eventually waits for what another goroutine or process is about to do.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for until := time.Now().Add(10 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// openTo lets a server that runs as another user into a directory.
func openTo(tb testing.TB, dir string) {
	tb.Helper()
	if err := os.Chmod(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
}
