package caddymodule

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dagfence/dagfence/resolver"
)

// noStacktrace is above every level: an error of a source's is no bug.
const noStacktrace = slog.Level(127)

// outlets are where what outlives a configuration logs and counts: with the
// newest configuration that is in use. One that fails to load is so only until
// it is cleaned up.
var outlets outletSet

type outletSet struct {
	mu     sync.Mutex
	all    []*outlet
	newest atomic.Pointer[outlet]
}

// outlet is one handler's.
type outlet struct {
	logger  *zap.Logger
	metrics *metrics
}

func (s *outletSet) add(o *outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, o)
	s.newest.Store(o)
}

func (s *outletSet) remove(o *outlet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(other *outlet) bool { return other == o })
	s.newest.Store(nil)
	if len(s.all) > 0 {
		s.newest.Store(s.all[len(s.all)-1])
	}
}

// outletObserver counts with the newest configuration.
type outletObserver struct{}

// CacheRequest implements resolver.Observer.
func (outletObserver) CacheRequest(tier, result string) {
	if o := outlets.newest.Load(); o != nil {
		o.metrics.CacheRequest(tier, result)
	}
}

// Lookup implements resolver.Observer.
func (outletObserver) Lookup(source string, outcome resolver.Outcome, took time.Duration) {
	if o := outlets.newest.Load(); o != nil {
		o.metrics.Lookup(source, outcome, took)
	}
}

// Invalidated implements resolver.Observer.
func (outletObserver) Invalidated(keys int) {
	if o := outlets.newest.Load(); o != nil {
		o.metrics.Invalidated(keys)
	}
}

// outletCore logs with the newest configuration.
type outletCore struct{ fields []zapcore.Field }

// Enabled implements zapcore.Core.
func (outletCore) Enabled(level zapcore.Level) bool {
	o := outlets.newest.Load()
	return o != nil && o.logger.Core().Enabled(level)
}

// With implements zapcore.Core.
func (c outletCore) With(fields []zapcore.Field) zapcore.Core {
	return outletCore{slices.Concat(c.fields, fields)}
}

// Check implements zapcore.Core.
func (c outletCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c outletCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	if o := outlets.newest.Load(); o != nil {
		if checked := o.logger.Core().Check(entry, nil); checked != nil {
			checked.Write(slices.Concat(c.fields, fields)...)
		}
	}
	return nil
}

// Sync implements zapcore.Core. Nothing is held back here.
func (outletCore) Sync() error { return nil }

var (
	_ resolver.Observer = outletObserver{}
	_ zapcore.Core      = outletCore{}
)
