//go:build !race

package resolver_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

const (
	herd = 10_000
	// herdMemory is what a herd may take while it waits, stacks included.
	herdMemory = 64 << 20
)

// The race detector takes memory too, so this is not built with it; and no test
// here runs beside another.

// inUse is the memory in use, stacks included.
func inUse() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc + stats.StackInuse
}

func TestHerd_OnOneKeyMakesOneCall(t *testing.T) {
	for _, question := range []resolver.Question{
		ask(resolver.KindVariable, variableKey), as(resolver.Recent, ask(resolver.KindVariable, variableKey)), ask(resolver.KindTask, task1),
	} {
		synctest.Test(t, func(t *testing.T) {
			world := owned()
			slow(world, 50*ms)
			observer := new(counts)
			chain := newChain(t, resolver.Options{Source: world, Observer: observer})
			before, started := inUse(), time.Now()
			var group sync.WaitGroup
			for range herd {
				group.Go(func() {
					if answer := resolve(t, chain, question); answer.Outcome != resolver.Found {
						t.Errorf("the answer is %v (%v)", answer.Outcome, answer.Err)
					}
				})
			}
			synctest.Wait()
			if grown := int64(inUse()) - int64(before); grown > herdMemory {
				t.Errorf("10,000 that wait take %d MiB", grown>>20)
			}
			group.Wait()
			if took := time.Since(started); took != 50*ms {
				t.Errorf("the last is answered after %v: want one lookup", took)
			}
			expectCalls(t, world, 1)
			resolve(t, chain, question)
			expectCalls(t, world, 0) // and it is kept
			if misses := observer.result("memory", "miss"); misses != herd {
				t.Errorf("%d missed", misses)
			}
		})
	}
}

func TestHerd_OverManyKeysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most, refused atomic.Int64
		world := new(resolvertest.World)
		world.Before = func(context.Context, []resolver.Question) error {
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			defer running.Add(-1)
			time.Sleep(50 * ms)
			return nil
		}
		chain := newChain(t, resolver.Options{Source: world})
		before := inUse()
		var group sync.WaitGroup
		for i := range herd {
			group.Go(func() {
				answer := resolve(t, chain, ask(resolver.KindDag, strconv.Itoa(i)))
				switch {
				case answer.Outcome == resolver.Unavailable && errors.Is(answer.Err, resolver.ErrUnavailable) && strings.Contains(answer.Err.Error(), "overload"):
					refused.Add(1)
				case answer.Outcome != resolver.NotFound:
					t.Errorf("the answer is %v (%v)", answer.Outcome, answer.Err)
				}
			})
		}
		synctest.Wait()
		if grown := int64(inUse()) - int64(before); grown > herdMemory {
			t.Errorf("10,000 that wait take %d MiB", grown>>20)
		}
		group.Wait()
		if most.Load() != resolver.MaxCalls || refused.Load() != herd-resolver.MaxCalls {
			t.Errorf("%d calls at once, %d refused: want %d and the rest", most.Load(), refused.Load(), resolver.MaxCalls)
		}
		expectCalls(t, world, resolver.MaxCalls)
		expect(t, resolve(t, chain, ask(resolver.KindDag, "afterwards")), resolver.NotFound, "")
	})
}

func TestUnknownNames_TakeNoMoreMemoryWithTime(t *testing.T) {
	now := newClock()
	nobody := resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		answers := make([]resolver.Answer, len(questions))
		for i := range answers {
			answers[i] = resolver.Answer{Outcome: resolver.NotFound, AsOf: now.Now()}
		}
		return answers
	})
	chain := newChain(t, resolver.Options{Source: nobody, Size: 2000}.At(now.Now))
	n, long := 0, strings.Repeat("x", 8<<10) // no such name is kept at all
	flood := func(names int) {
		for range names {
			n++
			for _, name := range []string{strconv.Itoa(n) + long[:480], strconv.Itoa(n) + long} {
				expect(t, resolve(t, chain, ask(resolver.KindVariable, name)), resolver.NotFound, "")
			}
			now.pass(ms)
		}
	}
	flood(2_000)
	early := inUse()
	flood(10_000)
	if late := inUse(); late > early+early/10 {
		t.Errorf("%d KiB after 2,000 names, %d KiB after 12,000", early>>10, late>>10)
	}
}

func TestName_KeepsNothingOfItsRequest(t *testing.T) {
	chain := newChain(t, resolver.Options{Source: resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		answers := make([]resolver.Answer, len(questions))
		for i := range answers {
			answers[i] = resolver.Answer{Outcome: resolver.Outcome(2 + len(questions[i].Name)%2), AsOf: time.Now()}
		}
		return answers
	})})
	const names = 2000
	before := inUse()
	for i := range names {
		target := strconv.Itoa(1_000_000+i) + strings.Repeat("?", 8<<10)
		for _, length := range []int{7, 8} { // one is found, the other is not
			resolve(t, chain, ask(resolver.KindVariable, target[:length]))
		}
	}
	if grown := int64(inUse()) - int64(before); grown > names<<11 {
		t.Errorf("%d names of 8 bytes take %d KiB", 2*names, grown>>10)
	}
}
