// Package rotate follows credentials and certificates that change while they
// are in use.
package rotate

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// interval is how often a value that works is looked at: it keeps the reading of
	// files, some 10 µs each, away from most uses.
	interval = 10 * time.Millisecond
	// patience is how long a use waits for the source to be read. Only a file system
	// that hangs takes longer.
	patience = 250 * time.Millisecond
)

var errSlow = fmt.Errorf("reading takes longer than %v", patience)

// Source says what a [Value] is made of.
type Source[T any] struct {
	// Name is what the log calls it, such as "database".
	Name string
	// Text returns the setting as it is now. Its errors hold no secret.
	Text func() (string, error)
	// Files returns the files that the text names; one need not exist. Nil for
	// none.
	Files func(text string) []string
	// Make makes the value of the text and of what the files hold. Its errors hold
	// no secret.
	Make func(text string) (T, error)
	// Retire is called with a value that no use begins with any more. Nil for
	// nothing.
	Retire func(T)
	// Logger logs values that are replaced, or can't be. Nil for none.
	Logger *slog.Logger
}

// Text is a setting that does not change.
func Text(text string) func() (string, error) {
	return func() (string, error) { return text, nil }
}

// Value is made again when its source changes, which is looked at as it is used.
// Files are read whole: that notices what their times and sizes miss, and
// needs no thought for the symbolic links that Kubernetes swaps. While a source
// can't be read, or makes no sense, such as half of a rotation, the last good
// value stays. It also stays while reading takes long: one use waits for a moment,
// and the others, until it is read in time again, not at all. Safe for concurrent
// use.
type Value[T any] struct {
	source Source[T]

	mu      sync.Mutex
	reading bool
	read    time.Time
	slow    bool // the reading under way, or the last one, outlasts patience
	closed  bool
	failure string
	// latest is what the source makes; proven is what last worked. They differ
	// from when the source changes until its value has worked.
	latest, proven *version[T]
}

type version[T any] struct {
	value  T
	source [sha256.Size]byte
}

// New makes a value of the source.
func New[T any](source Source[T]) (*Value[T], error) {
	if source.Logger == nil {
		source.Logger = slog.New(slog.DiscardHandler)
	}
	v := &Value[T]{source: source}
	var err error
	if v.latest, err = v.make(nil); err != nil {
		return nil, err
	}
	return v, nil
}

// Fixed is a value that never changes.
func Fixed[T any](value T) *Value[T] {
	v, _ := New(Source[T]{Text: Text(""), Make: func(string) (T, error) { return value, nil }}) // neither can fail
	return v
}

// Get returns the value that the source makes now.
func (v *Value[T]) Get() T {
	current := v.current(0)
	v.prove(current)
	return current.value
}

// Use calls use with the value that the source makes now. Where that fails, and
// another value has worked before, it calls use with that one too: a server may
// take the new credentials later than we read them. The error is that of the
// first call.
func (v *Value[T]) Use(use func(T) error) error {
	current := v.current(interval)
	err := use(current.value)
	if err == nil {
		v.prove(current)
		return nil
	}
	latest := v.current(0)
	v.mu.Lock()
	proven := v.proven
	v.mu.Unlock()
	for _, other := range []*version[T]{latest, proven} {
		if other != nil && other != current && use(other.value) == nil {
			v.prove(other)
			return nil
		}
	}
	return err
}

// Close retires what there is. The value must not be used afterwards.
func (v *Value[T]) Close() {
	v.mu.Lock()
	v.closed = true
	latest, proven := v.latest, v.proven
	v.mu.Unlock()
	v.retire(latest)
	if proven != latest {
		v.retire(proven)
	}
}

// current returns the latest version, as it was no longer ago than age. One caller
// at a time reads the source, and the others use what there is.
func (v *Value[T]) current(age time.Duration) *version[T] {
	v.mu.Lock()
	latest, slow := v.latest, v.slow
	if v.reading || age > 0 && time.Since(v.read) < age {
		v.mu.Unlock()
		return latest
	}
	v.reading = true
	v.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.reread(latest)
	}()
	if slow {
		return latest
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		v.overdue()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.latest
}

// overdue lets no use wait until the source is read in time again.
func (v *Value[T]) overdue() {
	v.mu.Lock()
	overdue := v.reading
	if overdue {
		v.slow = true
	}
	v.mu.Unlock()
	if overdue {
		v.warn(errSlow)
	}
}

// reread makes the version that comes after old, and retires the version that is no
// longer used.
func (v *Value[T]) reread(old *version[T]) {
	began := time.Now()
	next, err := v.make(old)
	v.mu.Lock()
	var unused *version[T]
	switch {
	case err != nil || next == old:
	case v.closed:
		unused = next
	default:
		if old != v.proven {
			unused = old
		}
		v.latest = next
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	news := failure != v.failure
	v.reading, v.read, v.slow, v.failure = false, time.Now(), time.Since(began) > patience, failure
	v.mu.Unlock()
	v.retire(unused)
	if err != nil && news {
		v.warn(err)
	}
}

// make returns old where the source is as it was then.
func (v *Value[T]) make(old *version[T]) (*version[T], error) {
	text, err := v.source.Text()
	if err != nil {
		return nil, err
	}
	source := v.contents(text)
	if old != nil && old.source == source {
		return old, nil
	}
	value, err := v.source.Make(text)
	if err != nil {
		return nil, err
	}
	return &version[T]{value, source}, nil
}

// contents is a hash of the text and of what the files hold.
func (v *Value[T]) contents(text string) [sha256.Size]byte {
	first := sha256.Sum256([]byte(text))
	sums := first[:]
	if v.source.Files != nil {
		for _, path := range v.source.Files(text) {
			content, err := ReadFile(path)
			if err != nil {
				content = fmt.Append(nil, err)
			}
			part := sha256.Sum256(content)
			sums = append(sums, part[:]...)
		}
	}
	return sha256.Sum256(sums)
}

// prove marks a version as one that works, and retires the one before it.
func (v *Value[T]) prove(current *version[T]) {
	v.mu.Lock()
	before := v.proven
	if before == current || v.latest != current {
		v.mu.Unlock()
		return
	}
	v.proven = current
	v.mu.Unlock()
	if before != nil {
		v.source.Logger.Info("credentials replaced", "option", v.source.Name)
		v.retire(before)
	}
}

func (v *Value[T]) retire(old *version[T]) {
	if old != nil && v.source.Retire != nil {
		v.source.Retire(old.value)
	}
}

func (v *Value[T]) warn(err error) {
	v.source.Logger.Warn("reading credentials again failed; the last good ones stay in use", "option", v.source.Name, "error", err)
}
