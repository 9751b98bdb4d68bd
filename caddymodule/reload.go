package caddymodule

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dagfence/dagfence/resolver"
)

// During a reload the old configuration's handlers and the new one's are both in
// use: Caddy provisions the new one, moves the listeners, and cleans the old one up.

// registry holds the values of a type that this process uses. The zero value is
// empty. Safe for concurrent use.
type registry[T any] struct {
	mu   sync.Mutex
	all  []*T
	last atomic.Pointer[T]
}

func (r *registry[T]) add(one *T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, one)
	r.last.Store(one)
}

func (r *registry[T]) remove(one *T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = slices.DeleteFunc(r.all, func(other *T) bool { return other == one })
	r.last.Store(nil)
	if len(r.all) > 0 {
		r.last.Store(r.all[len(r.all)-1])
	}
}

func (r *registry[T]) list() []*T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// newest returns the value that was added last, or nil. It takes no lock.
func (r *registry[T]) newest() *T { return r.last.Load() }

var (
	// fences are the handlers that may get new requests.
	fences registry[Handler]
	// sinks are those of the configurations in use. What outlives a configuration uses
	// the newest.
	sinks registry[sink]
	// chains are those in the pool. Iterating over the pool itself would wait for
	// chains that are being opened, and no write may wait for that.
	chains registry[sharedChain]
)

// sink is the log and the metrics of one configuration.
type sink struct {
	logger  *zap.Logger
	metrics *metrics
}

// drainDelay is how long a handler that was replaced may still get requests.
// Caddy cleans it up as the shutdown of its server begins, which lets a
// connection that is new send a first request for 5 s (net/http's
// Server.Shutdown), or up to 6.5 s, as it counts and looks.
const drainDelay = 7 * time.Second

// drain counts the requests of a handler, to release it when none is left.
type drain struct {
	inside atomic.Int64
	served atomic.Bool
}

func (d *drain) enter() {
	d.inside.Add(1)
	if !d.served.Load() {
		d.served.Store(true)
	}
}

func (d *drain) leave() { d.inside.Add(-1) }

// afterwards calls release once no request can need it any more: at once if there
// never was one, as in a configuration that failed to load, or if Caddy has waited
// for them, as it does when it exits. (A first request at that moment gets a 503.)
func (d *drain) afterwards(release func()) {
	if !d.served.Load() || caddy.Exiting() {
		release()
		return
	}
	var look func()
	look = func() {
		if d.inside.Load() == 0 || caddy.Exiting() {
			release()
			return
		}
		time.AfterFunc(time.Second, look)
	}
	time.AfterFunc(drainDelay, look)
}

// latestMetrics counts in the metrics of the newest configuration.
type latestMetrics struct{}

// CacheRequest implements resolver.Observer.
func (latestMetrics) CacheRequest(tier resolver.Tier, result string) {
	if s := sinks.newest(); s != nil {
		s.metrics.CacheRequest(tier, result)
	}
}

// Lookup implements resolver.Observer.
func (latestMetrics) Lookup(source string, outcome resolver.Outcome, took time.Duration) {
	if s := sinks.newest(); s != nil {
		s.metrics.Lookup(source, outcome, took)
	}
}

// Invalidated implements resolver.Observer.
func (latestMetrics) Invalidated(keys int) {
	if s := sinks.newest(); s != nil {
		s.metrics.Invalidated(keys)
	}
}

// noStacktrace is above every level: errors of a source are no bugs.
const noStacktrace = slog.Level(127)

// latestLog logs to the log of the newest configuration.
type latestLog struct{ fields []zapcore.Field }

// Enabled implements zapcore.Core.
func (latestLog) Enabled(level zapcore.Level) bool {
	s := sinks.newest()
	return s != nil && s.logger.Core().Enabled(level)
}

// With implements zapcore.Core.
func (l latestLog) With(fields []zapcore.Field) zapcore.Core {
	return latestLog{slices.Concat(l.fields, fields)}
}

// Check implements zapcore.Core.
func (l latestLog) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if l.Enabled(entry.Level) {
		return checked.AddCore(entry, l)
	}
	return checked
}

// Write implements zapcore.Core.
func (l latestLog) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if s := sinks.newest(); s != nil {
		if checked := s.logger.Core().Check(entry, nil); checked != nil {
			checked.Write(slices.Concat(l.fields, fields)...)
		}
	}
	return nil
}

// Sync implements zapcore.Core. Nothing is buffered here.
func (latestLog) Sync() error { return nil }

var (
	_ resolver.Observer = latestMetrics{}
	_ zapcore.Core      = latestLog{}
)
