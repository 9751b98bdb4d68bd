package resolver

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// shards is how many stamps each kind has. Keys that share one also share its
// invalidations, which costs a look-up and nothing else.
const shards = 1024

// epoch lies this far before the start, so that no instant which an entry may
// still have is 0 or less, the stamp of what was never forgotten.
const epoch = 24 * time.Hour

// forgotten remembers when each key was last invalidated. An answer learnt at
// or before that instant may have been read before the change that caused it,
// so no tier uses it. That is checked when an entry is read, not when it is
// stored: a fill that began before an invalidation may finish whenever it likes.
type forgotten struct {
	now   func() time.Time
	start time.Time
	seed  maphash.Seed
	at    [len(kindNames)][shards]atomic.Int64
	// lastDag is the last invalidation of any dag: a flight that asks for a
	// task does not know yet whose dag it is.
	lastDag atomic.Int64
}

func newForgotten(now func() time.Time) *forgotten {
	return &forgotten{now: now, start: now().Add(-epoch), seed: maphash.MakeSeed()}
}

// instant is a time as nanoseconds since the start, monotonic where the clock
// is; it fits an atomic, and a third of a [time.Time].
type instant int64

func (f *forgotten) instant(t time.Time) instant { return instant(t.Sub(f.start)) }

func (f *forgotten) time(i instant) time.Time { return f.start.Add(time.Duration(i)) }

func (f *forgotten) hash(name string) uint64 { return maphash.String(f.seed, name) }

// since gives the instant of the last invalidation of a key whose name has the
// given hash.
func (f *forgotten) since(kind Kind, hash uint64) instant {
	return instant(f.at[kind][hash%shards].Load())
}

// sinceFor is [forgotten.since] for a question that is still under way.
func (f *forgotten) sinceFor(key Key) instant {
	if !key.known() {
		return 0
	}
	last := f.since(key.Kind, f.hash(key.Name))
	if key.Kind == KindTask {
		last = max(last, instant(f.lastDag.Load()))
	}
	return last
}

func (f *forgotten) forget(keys ...Key) {
	now := int64(f.instant(f.now()))
	for _, key := range keys {
		if !key.known() {
			continue
		}
		raise(&f.at[key.Kind][f.hash(key.Name)%shards], now)
		if key.Kind == KindDag {
			raise(&f.lastDag, now)
		}
	}
}

// raise stores the later of two instants.
func raise(stamp *atomic.Int64, now int64) {
	for {
		old := stamp.Load()
		if old >= now || stamp.CompareAndSwap(old, now) {
			return
		}
	}
}

// known tells whether the key's kind is one of those listed.
func (k Key) known() bool { return k.Kind != 0 && int(k.Kind) < len(kindNames) }
