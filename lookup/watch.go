package lookup

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"time"

	"github.com/dagfence/dagfence/resolver"
)

const (
	// watchEvery is how long the watch rests between two looks, or watchShare
	// times as long as a look took that was no more than usual: so where each
	// reads everything, as without snapshots, it takes a twentieth of a core at most.
	watchEvery = 500 * time.Millisecond
	watchShare = 20
	// fullEvery is how often everything is read anew, so that what is gone from
	// the database does not stay in memory.
	fullEvery = time.Hour
	// maxForget is how many keys are forgotten in one call.
	maxForget = 1024
)

// Forget makes every cache forget the keys. [resolver.Bus.Invalidate] is one.
type Forget func(ctx context.Context, keys ...resolver.Key) error

// Watch calls forget with the keys that got another owner, in the database or
// the ownership file, until ctx ends. What it finds at first is how things are,
// and is not published. While the database can't be asked the last known is kept,
// and is compared with when it answers again; what forget failed to publish is
// not repeated, as caches know better after their time to live.
//
// Not published are a variable, connection or dag that is gone, and names
// that a prefix in the file covers and the database does not have.
func (d *Directory) Watch(ctx context.Context, logger *slog.Logger, forget Forget) {
	w := newWatch(d, logger, forget)
	for {
		started := time.Now()
		rest := watchEvery
		if usual := w.look(ctx); usual {
			rest = max(rest, watchShare*time.Since(started))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(rest):
		}
	}
}

// watch is what was last known of all owners.
type watch struct {
	directory *Directory
	forget    Forget
	logger    *slog.Logger

	// owners is the version of the file that seen was made with.
	owners *ownershipRules
	// seen maps the hash of each key to the hash of who owns it: 40 bytes or so
	// for each, whatever the names.
	seen map[uint64]uint64
	seed maphash.Seed
	// bundles maps each bundle to its team, as the database writes it.
	bundles map[string]string
	// read is when everything was last read; zero wants it read at once.
	read   time.Time
	schema *schema
	// snapshot is the last. Tables that lock the team were last scanned while the transaction
	// scanned was the oldest; those before until may have changed teamLocks last, so
	// the scans go on until all of them have ended.
	snapshot       snapshot
	scanned, until int64

	changed                     []resolver.Key
	readFailing, publishFailing bool
}

func newWatch(d *Directory, logger *slog.Logger, forget Forget) *watch {
	return &watch{directory: d, forget: forget, logger: logger, seed: maphash.MakeSeed(), owners: d.owners()}
}

// report logs when something begins and ends to fail.
func (w *watch) report(failing *bool, err error, fails, works string) {
	switch {
	case err != nil && !*failing:
		w.logger.Error(fails, "error", err)
	case err == nil && *failing:
		w.logger.Info(works)
	}
	*failing = err != nil
}

// look finds what has changed, and publishes it. A look that read more than the
// next one will, because it had nothing to compare with, is not usual.
func (w *watch) look(ctx context.Context) (usual bool) {
	owners, read := w.directory.owners(), w.read
	if owners != w.owners {
		w.changed = renamed(w.owners, owners)
		w.owners, w.read = owners, time.Time{}
	}
	var err error
	if w.directory.metadata != nil {
		err = w.lookIntoDatabase(ctx)
	}
	w.publish(ctx)
	if ctx.Err() != nil {
		return true // it is to end, and what it ended in is no fault
	}
	if err != nil {
		w.read = time.Time{}
	}
	w.report(&w.readFailing, err, "failed to read changed owners; cached owners expire by their time to live", "changed owners are read again")
	return err != nil || w.read.Equal(read)
}

// publish invalidates what has changed.
func (w *watch) publish(ctx context.Context) {
	for len(w.changed) > 0 {
		n := min(len(w.changed), maxForget)
		err := w.forget(ctx, w.changed[:n]...)
		w.report(&w.publishFailing, err, "failed to publish invalidations; cached owners expire by their time to live", "invalidations are published again")
		w.changed = w.changed[n:]
	}
	w.changed = nil
}

// lookIntoDatabase compares the database with what is known of it.
func (w *watch) lookIntoDatabase(ctx context.Context) error {
	m := w.directory.metadata
	s, err := m.currentSchema(ctx)
	if err != nil {
		return err
	}
	if w.schema != s.schema { // Airflow was upgraded: what is known can't be compared
		w.schema, w.seen, w.bundles, w.read = s.schema, nil, nil, time.Time{}
	}
	now, err := m.currentSnapshot(ctx, s.schema)
	if err != nil {
		return err
	}
	switch {
	case now.teamLocks != w.snapshot.teamLocks: // by a transaction that may be younger than the snapshot's next
		w.until = math.MaxInt64
	case w.until == math.MaxInt64:
		w.until = now.next
	}
	started, seen := m.now(), w.seen
	// A database whose transactions count from before was restored.
	full := w.read.IsZero() || started.Sub(w.read) > fullEvery || now.next < w.snapshot.next
	if full {
		seen, w.read = make(map[uint64]uint64, len(w.seen)), started
	}
	all := full || !m.dialect.snapshots
	scan := all || w.scanned < w.until
	for i := range s.watched {
		table, since := &s.watched[i], w.snapshot.oldest
		switch {
		case all:
			since = 0
		case table.locksTeam && !scan:
			continue
		case table.locksTeam:
			since = w.scanned
		}
		if err := m.rowsSince(ctx, table, since, func(name, value string) { w.compare(seen, resolver.Key{Kind: table.kind, Name: name}, value) }); err != nil {
			return err
		}
	}
	w.seen, w.snapshot = seen, now
	if scan {
		w.scanned = now.oldest
	}
	return w.lookIntoBundles(ctx, m)
}

// compare compares a row with what is known of it.
func (w *watch) compare(seen map[uint64]uint64, key resolver.Key, value string) {
	owner := "database " + value
	if team, named := w.owners.of(key); named {
		owner = "file " + team
	} else if key.Kind == resolver.KindDag {
		if team, named := w.owners.ofBundle(value); named {
			owner = "bundle " + team
		}
	}
	if granted := w.owners.grantsOf(key); granted != nil {
		owner += fmt.Sprintf(" %q", *granted)
	}
	id, hash := maphash.Comparable(w.seed, key), maphash.String(w.seed, owner)
	if last, known := w.seen[id]; w.seen != nil && (!known || last != hash) {
		w.changed = append(w.changed, key)
	}
	seen[id] = hash
}

// lookIntoBundles finds the dags of the bundles that changed hands.
func (w *watch) lookIntoBundles(ctx context.Context, m *metadata) error {
	if w.schema.bundles == "" {
		return nil
	}
	bundles := make(map[string]string, len(w.bundles))
	if err := m.pairs(ctx, m.adapt(w.schema.bundles), nil, func(name, team string) { bundles[name] += team + "\n" }); err != nil {
		return err
	}
	if w.bundles != nil {
		named := make(map[string]struct{})
		addNames(named, w.bundles)
		addNames(named, bundles)
		for name := range named {
			if w.bundles[name] == bundles[name] {
				continue
			}
			if err := m.pairs(ctx, m.adapt(dagsOfBundle), []any{name}, func(dag, _ string) {
				w.changed = append(w.changed, resolver.Key{Kind: resolver.KindDag, Name: dag})
			}); err != nil {
				return err
			}
		}
	}
	w.bundles = bundles
	return nil
}
