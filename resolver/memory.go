package resolver

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unique"

	"github.com/maypok86/otter/v2"
	"go.opentelemetry.io/otel/trace"
)

const (
	// maxCachedName is the longest name that is cached. Airflow's own keys and ids
	// have at most 250 characters.
	maxCachedName = 512
	// notFoundShare is the part of the size that answers of NotFound may take, so
	// that random keys can't push out the owners in use.
	notFoundShare = 8
	// jitterShare is the part of a time to live by which it may be shortened.
	jitterShare = 10
)

// memoryTier keeps the answers of the next tier in this process. What is Found or
// NotFound is kept, Unavailable and Denied never are. A hit takes no lock.
//
// A task's identity and its dag's owner are separate entries, so a team is
// known in one place only: what forgets a dag also takes the team from all of
// its tasks.
type memoryTier struct {
	next          Resolver
	invalidations *invalidations
	lifetimes     Lifetimes
	observer      Observer
	found         *otter.Cache[Key, *entry]
	notFound      *otter.Cache[Key, *entry]
}

// entry is what is kept about a key. It is small, as there may be a million; so
// the name of a team is held once, whatever it owns.
type entry struct {
	asOf instant
	// owner of anything but a task. Zero in a dag's entry that comes from one of
	// its tasks, which named no team: so a global dag and one
	// without a row look the same.
	owner unique.Handle[owner]
	// task of a KindTask entry, else nil.
	task *Task
	// failed is the last instant at which the source could not confirm this.
	failed atomic.Int64
}

// owner is a team, and what it grants of the thing: held once for all things with
// the same. The lists are those of [Grants], with a NUL between two names.
type owner struct{ team, read, trigger string }

func ownerOf(answer *Answer) owner {
	o := owner{team: answer.Team}
	if g := answer.Grants; g != nil {
		o.read, o.trigger = strings.Join(g.Read, "\x00"), strings.Join(g.Trigger, "\x00")
	}
	return o
}

// grants returns what the owner grants; nil for nothing, without an allocation.
func (o owner) grants() *Grants {
	if o.read == "" && o.trigger == "" {
		return nil
	}
	split := func(list string) []string {
		if list == "" {
			return nil
		}
		return strings.Split(list, "\x00")
	}
	return &Grants{Read: split(o.read), Trigger: split(o.trigger)}
}

// inferred reports whether a found entry says no more than that there is a task.
func (e *entry) inferred() bool { return e.task == nil && e.owner == unique.Handle[owner]{} }

func (e *entry) owned() owner {
	if e.owner == (unique.Handle[owner]{}) {
		return owner{}
	}
	return e.owner.Value()
}

// newMemoryTier keeps up to size answers of next.
func newMemoryTier(next Resolver, known *invalidations, size int, lifetimes Lifetimes, observer Observer) (*memoryTier, error) {
	m := &memoryTier{next: next, invalidations: known, lifetimes: lifetimes, observer: observer}
	var err error
	if m.found, err = otter.New(&otter.Options[Key, *entry]{MaximumSize: size}); err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	share := max(1, size/notFoundShare)
	if m.notFound, err = otter.New(&otter.Options[Key, *entry]{MaximumSize: share}); err != nil {
		return nil, fmt.Errorf("making the cache of what is not found: %w", err)
	}
	return m, nil
}

// Resolve implements [Resolver]. What it does not know it asks next, in one
// call.
func (m *memoryTier) Resolve(ctx context.Context, questions []Question) []Answer {
	answers := make([]Answer, len(questions))
	now := m.invalidations.instant(m.invalidations.now())
	var missed []int
	for i := range questions {
		result := m.look(&questions[i], now, &answers[i])
		m.observer.CacheRequest(TierMemory, result)
		if result != ResultHit && result != ResultStale {
			missed = append(missed, i)
		}
	}
	if missed == nil {
		return answers
	}
	ctx, span := StartSpan(ctx, "dagfence.resolve", trace.SpanKindInternal)
	asked := ask(ctx, m.next, pick(questions, missed))
	endSpan(span, asked)
	for i := range asked {
		m.store(ctx, &questions[missed[i]], &asked[i])
		answers[missed[i]] = asked[i]
	}
	return answers
}

// Invalidate forgets the keys, and every answer to them that is still under
// way. What is kept of them stays until something needs its place, unused.
func (m *memoryTier) Invalidate(keys ...Key) { m.invalidations.add(keys...) }

// look answers a question from what is kept, if that is fresh enough for it.
func (m *memoryTier) look(q *Question, now instant, answer *Answer) string {
	if !q.known() || len(q.Name) > maxCachedName || q.bypasses() {
		return ResultBypass
	}
	kept := m.recall(q, now, answer)
	switch {
	case kept == nil:
		return ResultMiss
	case q.Freshness == Cached, now-kept.asOf <= instant(RecentAge), kept.task != nil:
		return ResultHit
	case q.Freshness == Confirm && now-instant(kept.failed.Load()) <= instant(RecentAge):
		return ResultStale
	}
	*answer = Answer{}
	return ResultMiss
}

// recall returns what is kept within its time to live, however fresh the question
// wants it: the answer, and the entry that the answer's age is of. A task's
// identity is of any age that is kept; its team is as old as its dag's entry.
func (m *memoryTier) recall(q *Question, now instant, answer *Answer) *entry {
	kept := m.valid(m.found, q.Key, now)
	if kept == nil || kept.inferred() {
		if kept = m.valid(m.notFound, q.Key, now); kept != nil {
			*answer = Answer{Outcome: NotFound, Tier: TierMemory, AsOf: m.invalidations.time(kept.asOf)}
		}
		return kept
	}
	if q.Kind == KindTask {
		task := kept.task
		if !q.IdentityOnly {
			if kept = m.valid(m.found, Key{KindDag, task.DagID}, now); kept == nil {
				return nil
			}
		}
		answer.Task = *task
	}
	owned := kept.owned()
	answer.Outcome, answer.Team, answer.Grants = Found, owned.team, owned.grants()
	answer.Tier, answer.AsOf = TierMemory, m.invalidations.time(kept.asOf)
	return kept
}

// valid returns a key's entry, unless it is past its time to live or was
// invalidated. Each key has its own jitter, so that what was fetched together
// does not expire together.
func (m *memoryTier) valid(cache *otter.Cache[Key, *entry], key Key, now instant) *entry {
	kept, ok := cache.GetIfPresent(key)
	if !ok {
		return nil
	}
	ttl := m.lifetimes.Owner
	if kept.task != nil {
		ttl = m.lifetimes.Task
	}
	hash := m.invalidations.hash(key.Name)
	ttl -= ttl / jitterShare / 1024 * time.Duration(hash>>54)
	if kept.asOf <= m.invalidations.since(key) || kept.asOf > now || now-kept.asOf > instant(ttl) {
		return nil
	}
	return kept
}

// store keeps an answer of the next tier, and replaces it by what the caller gets.
func (m *memoryTier) store(ctx context.Context, q *Question, answer *Answer) {
	if !q.known() || len(q.Name) > maxCachedName || q.Kind == KindAssetAlias {
		return
	}
	// A name is cut from a request's target, and must not keep all of it in memory.
	key := Key{q.Kind, strings.Clone(q.Name)}
	switch answer.Outcome {
	case Found:
		if len(answer.Others) > 0 { // an older answer may know of one owner only
			m.Invalidate(key)
			return
		}
		m.keepFound(key, q.IdentityOnly, answer)
	case NotFound:
		m.keep(m.notFound, m.found, key, &entry{asOf: m.invalidations.instant(answer.AsOf)})
	case Denied:
		m.forgetDenied(q)
	case Unavailable:
		if q.Freshness == Confirm {
			m.serveStale(ctx, q, answer)
		}
	}
}

func (m *memoryTier) keepFound(key Key, identityOnly bool, answer *Answer) {
	asOf := m.invalidations.instant(answer.AsOf)
	if key.Kind != KindTask {
		m.keep(m.found, m.notFound, key, &entry{asOf: asOf, owner: unique.Make(ownerOf(answer))})
		return
	}
	task := answer.Task
	m.keep(m.found, m.notFound, key, &entry{asOf: asOf, task: &task})
	if dag := (Key{KindDag, task.DagID}); !identityOnly && len(task.DagID) <= maxCachedName {
		owned := &entry{asOf: asOf}
		if answer.Team != "" {
			owned.owner = unique.Make(ownerOf(answer))
		}
		m.keep(m.found, m.notFound, dag, owned)
	}
}

// keep stores an entry unless a younger one is there, and lets only the
// younger of what was found and what was not found stay. Each of two writers
// stores before it looks at the other's cache, so one of them sees both.
func (m *memoryTier) keep(cache, other *otter.Cache[Key, *entry], key Key, fresh *entry) {
	cache.Compute(key, func(old *entry, found bool) (*entry, otter.ComputeOp) {
		if found && (old.asOf > fresh.asOf || old.asOf == fresh.asOf && fresh.inferred()) {
			return old, otter.CancelOp
		}
		return fresh, otter.WriteOp
	})
	rival, ok := other.GetIfPresent(key)
	if !ok {
		return
	}
	if rival.asOf > fresh.asOf {
		other = cache
	}
	other.ComputeIfPresent(key, func(old *entry) (*entry, otter.ComputeOp) {
		if old.asOf > fresh.asOf {
			return old, otter.CancelOp
		}
		return nil, otter.InvalidateOp
	})
}

// forgetDenied leaves no entry in use, here or in Redis, that an authority
// refused to repeat.
func (m *memoryTier) forgetDenied(q *Question) {
	if kept, ok := m.found.GetIfPresent(q.Key); ok && kept.task != nil {
		m.Invalidate(Key{KindDag, kept.task.DagID})
	}
	m.Invalidate(q.Key)
}

// serveStale replaces the failure by the entry that the source could not confirm,
// while that is within its time to live, and remembers the attempt: unless it was the
// asker who gave up, which says nothing about the source.
func (m *memoryTier) serveStale(ctx context.Context, q *Question, failure *Answer) {
	now := m.invalidations.instant(m.invalidations.now())
	var answer Answer
	kept := m.recall(q, now, &answer)
	if kept == nil {
		return
	}
	if ctx.Err() == nil {
		kept.failed.Store(int64(now))
	}
	*failure = answer
}
