package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// metrics are the collectors of one loaded configuration, which its handlers share.
// All labels are closed sets.
type metrics struct {
	decisions      *prometheus.CounterVec
	duration       prometheus.Histogram
	cacheRequests  *prometheus.CounterVec
	lookups        *prometheus.HistogramVec
	invalidations  *prometheus.CounterVec
	ignoredDenials map[string]*ignoredDenials // by the Task SDK's version
	// cache holds cacheRequests' counters: each request increases several.
	cache map[cacheRequest]prometheus.Counter
}

// cacheRequest is how a tier dealt with a question.
type cacheRequest struct {
	tier   resolver.Tier
	result string
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	// A hit takes microseconds, a lookup milliseconds, the deadline is 2 s.
	buckets := []float64{5e-6, 1e-5, 2.5e-5, 1e-4, 5e-4, 2.5e-3, 0.01, 0.05, 0.25, 1, 2.5}
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dagfence_decisions_total",
			Help: "Requests to the Execution API by resource kind, action, outcome, reason and mode.",
		}, []string{"kind", "action", "outcome", "reason", "mode"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dagfence_decision_duration_seconds", Buckets: buckets,
			Help: "Time to decide a request, without upstream's own.",
		}),
		cacheRequests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dagfence_cache_requests_total",
			Help: "Cache requests for owners by tier and result.",
		}, []string{"tier", "result"}),
		lookups: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dagfence_lookup_duration_seconds", Buckets: buckets,
			Help: "Time of lookups in the source of owners, by outcome.",
		}, []string{"source", "outcome"}),
		invalidations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dagfence_invalidations_total",
			Help: "Owners that were invalidated before their TTL, by cause.",
		}, []string{"cause"}),
	}
	var errs [7]error
	m.decisions, errs[0] = registered(registry, m.decisions)
	m.duration, errs[1] = registered(registry, m.duration)
	m.cacheRequests, errs[2] = registered(registry, m.cacheRequests)
	m.lookups, errs[3] = registered(registry, m.lookups)
	m.invalidations, errs[4] = registered(registry, m.invalidations)
	m.ignoredDenials, errs[5] = newIgnoredDenials(registry)
	_, errs[6] = registered(registry, lookup.OwnershipFileGauge(func() error { return ownershipError(registry) }))
	m.cache = make(map[cacheRequest]prometheus.Counter)
	for _, tier := range []resolver.Tier{resolver.TierMemory, resolver.TierRedis} {
		for _, result := range []string{
			resolver.ResultHit, resolver.ResultMiss, resolver.ResultStale, resolver.ResultError, resolver.ResultBypass,
		} {
			m.cache[cacheRequest{tier, result}] = m.cacheRequests.WithLabelValues(tier.String(), result)
		}
	}
	return m, errors.Join(errs[:]...)
}

// registered registers a collector, or returns the one that another handler of the
// same configuration has registered.
func registered[C prometheus.Collector](registry *prometheus.Registry, collector C) (C, error) {
	err := registry.Register(collector)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := known.ExistingCollector.(C); ok {
			return existing, nil
		}
	}
	if err != nil {
		return collector, fmt.Errorf("registering metrics: %w", err)
	}
	return collector, nil
}

// decided counts a decision.
func (m *metrics) decided(j *result, took time.Duration) {
	kind, action := route.Kind(0), route.Action(0)
	if j.Reading != nil {
		kind, action = j.Reading.Route.Kind, j.Reading.Route.Action
	}
	m.decisions.WithLabelValues(kind.String(), action.String(), j.Outcome.String(), string(j.Reason), j.Mode.String()).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *metrics) invalidated(cause string, keys int) {
	m.invalidations.WithLabelValues(cause).Add(float64(keys))
}

// CacheRequest implements resolver.Observer.
func (m *metrics) CacheRequest(tier resolver.Tier, result string) {
	if counter, known := m.cache[cacheRequest{tier, result}]; known {
		counter.Inc()
	}
}

// Lookup implements resolver.Observer.
func (m *metrics) Lookup(source string, outcome resolver.Outcome, took time.Duration) {
	m.lookups.WithLabelValues(source, outcome.String()).Observe(took.Seconds())
}

// Invalidated implements resolver.Observer.
func (m *metrics) Invalidated(keys int) { m.invalidated("message", keys) }

var _ resolver.Observer = (*metrics)(nil)
