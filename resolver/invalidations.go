package resolver

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	// shards is how many instants each kind has. Keys that share one also share its
	// invalidations, which costs a lookup and nothing else.
	shards = 1024
	// anyShard has the last invalidation of any key of the kind.
	anyShard = shards
)

// epoch lies this far before the start, so that no instant which an entry may
// still have is 0 or less, the value of a key that was never invalidated.
const epoch = 24 * time.Hour

// invalidations remembers when each key was last invalidated. An answer fetched at
// or before that instant may have been read before the change that caused it,
// so no tier uses it. That is checked when an entry is read, not when it is
// stored: a fill that began before an invalidation may finish whenever it likes.
type invalidations struct {
	now   func() time.Time
	start time.Time
	seed  maphash.Seed
	at    [len(kindNames)][shards + 1]atomic.Int64
}

func newInvalidations(now func() time.Time) *invalidations {
	return &invalidations{now: now, start: now().Add(-epoch), seed: maphash.MakeSeed()}
}

// instant is a time as nanoseconds since the start, monotonic where the clock
// is; it fits an atomic, and a third of a [time.Time].
type instant int64

func (v *invalidations) instant(t time.Time) instant { return instant(t.Sub(v.start)) }

func (v *invalidations) time(i instant) time.Time { return v.start.Add(time.Duration(i)) }

func (v *invalidations) hash(name string) uint64 { return maphash.String(v.seed, name) }

// shard returns the shard of a name in every spelling that a database may take for the same:
// collations of MySQL's and MariaDB's equate case, trailing spaces, letters beyond ASCII with
// any others, and within ASCII, by language, i, j and y (Lithuanian, Roman), u and v (Roman),
// c and ch (Lithuanian), and a backtick with nothing (Ukrainian).
func (v *invalidations) shard(name string) int {
	var onStack [128]byte
	folded := onStack[:0]
	for _, c := range []byte(name) {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		switch {
		case c >= utf8.RuneSelf:
			return anyShard
		case c == 'h', c == '`':
			continue
		case c == 'j', c == 'y':
			c = 'i'
		case c == 'v':
			c = 'u'
		}
		folded = append(folded, c)
	}
	return int(maphash.Bytes(v.seed, bytes.TrimRight(folded, " ")) % shards)
}

// since returns the instant of the last invalidation of a key in any spelling.
func (v *invalidations) since(key Key) instant {
	return instant(v.at[key.Kind][v.shard(key.Name)].Load())
}

// sinceFor is [invalidations.since] for a question that is still under way. One that
// asks for a task does not know yet whose dag it is.
func (v *invalidations) sinceFor(key Key) instant {
	if !key.known() {
		return 0
	}
	last := v.since(key)
	if key.Kind == KindTask {
		last = max(last, instant(v.at[KindDag][anyShard].Load()))
	}
	return last
}

func (v *invalidations) add(keys ...Key) {
	now := int64(v.instant(v.now()))
	for _, key := range keys {
		if !key.known() {
			continue
		}
		latest := &v.at[key.Kind]
		storeMax(&latest[anyShard], now)
		if shard := v.shard(key.Name); shard != anyShard {
			storeMax(&latest[shard], now)
			continue
		}
		for i := range latest {
			storeMax(&latest[i], now)
		}
	}
}

// storeMax stores the later of two instants.
func storeMax(latest *atomic.Int64, now int64) {
	for {
		old := latest.Load()
		if old >= now || latest.CompareAndSwap(old, now) {
			return
		}
	}
}

// known reports whether the key's kind is one of those listed.
func (k Key) known() bool { return k.Kind != 0 && int(k.Kind) < len(kindNames) }
