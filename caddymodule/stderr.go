package caddymodule

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func init() {
	caddy.RegisterModule(StderrQueue{})
}

const (
	// maxPending is how many bytes of log may wait for standard error: about ten
	// thousand refusals.
	maxPending = 4 << 20
	// patience is how long writers wait for entries, from the first in an empty
	// queue. If standard error is read, a write takes microseconds, and nothing is
	// pending when the process is killed or panics; if not, this time is lost once.
	patience = 100 * time.Millisecond
	// flushTime is how long the end of the process waits in total.
	flushTime = time.Second
)

// StderrQueue is a log writer to standard error that does not block requests, as
// Caddy's own does once the pipe is not read any more. Entries wait in a bounded
// queue; entries that do not fit are dropped, and their number is logged later. It
// has no settings.
type StderrQueue struct{}

// CaddyModule returns the Caddy module information.
func (StderrQueue) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.writers.dagfence_stderr",
		New: func() caddy.Module { return new(StderrQueue) },
	}
}

// String implements caddy.WriterOpener.
func (StderrQueue) String() string { return "stderr, queued" }

// WriterKey implements caddy.WriterOpener.
func (StderrQueue) WriterKey() string { return "dagfence_stderr" }

// OpenWriter implements caddy.WriterOpener.
func (StderrQueue) OpenWriter() (io.WriteCloser, error) { return stderrQueue(), nil }

// UnmarshalCaddyfile sets up the module from Caddyfile tokens. Syntax:
//
//	log {
//		output dagfence_stderr
//	}
func (*StderrQueue) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the writer's name
	if d.NextArg() || d.NextBlock(d.Nesting()) {
		return d.Err("dagfence_stderr takes no arguments and no block")
	}
	return nil
}

// LastWords writes a line to standard error as the process ends, after the log, and
// waits until all is written, for a second at most. With "" it only waits.
func LastWords(line string) {
	q := stderrQueue()
	if line != "" {
		_, _ = q.Write([]byte(line + "\n")) // it never fails
	}
	q.end()
}

// stderrQueue returns the queue of the process: Caddy logs before a configuration
// has opened its writers, and after it was stopped.
var stderrQueue = sync.OnceValue(func() *queue {
	signal.Ignore(syscall.SIGPIPE) // the reader of the log may end
	q := newQueue(os.Stderr)
	go q.run()
	// Caddy logs once more after this, and exits.
	caddy.OnExit(func(context.Context) { q.end() })
	return q
})

// queue writes entries in order, each with one write: to a pipe, writes of up to
// PIPE_BUF (4 KiB) are atomic.
type queue struct {
	out io.Writer
	// wanted signals that there are entries to write.
	wanted chan struct{}

	mu      sync.Mutex
	pending []entry
	size    int // of pending, in bytes
	dropped int
	// unwritten is how many entries are pending or being written, and patient until
	// when writers wait for them.
	unwritten int
	patient   time.Time
	// deadline is until when the end of the process waits. Zero before it.
	deadline time.Time
}

// entry is one entry of a log.
type entry struct {
	text []byte
	// written is closed once all entries up to this one are written. May be nil.
	written chan struct{}
}

func newQueue(out io.Writer) *queue { return &queue{out: out, wanted: make(chan struct{}, 1)} }

// Write implements io.Writer. It never fails.
func (q *queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	if q.unwritten == 0 {
		q.patient = time.Now().Add(patience)
	}
	limit := time.Until(q.deadline)
	if q.deadline.IsZero() {
		limit = time.Until(q.patient)
	}
	if q.dropped > 0 || q.size+len(p) > maxPending {
		q.dropped++
		q.mu.Unlock()
		return len(p), nil
	}
	written := q.add(bytes.Clone(p), limit > 0)
	q.mu.Unlock()
	q.wait(written, limit)
	return len(p), nil
}

// Close implements io.Closer. The queue stays open, since Caddy logs after it
// has closed its writers.
func (*queue) Close() error { return nil }

// end waits for pending entries, as all later writes do, until flushTime is over.
func (q *queue) end() {
	q.mu.Lock()
	if q.deadline.IsZero() {
		q.deadline = time.Now().Add(flushTime)
	}
	q.noteDropped()
	written, limit := q.add(nil, true), time.Until(q.deadline)
	q.mu.Unlock()
	q.wait(written, limit)
}

// add must be called with the lock. If waits, it returns a channel that is closed
// once the text is written.
func (q *queue) add(text []byte, waits bool) (written chan struct{}) {
	if waits {
		written = make(chan struct{})
	}
	q.pending = append(q.pending, entry{text, written})
	q.size += len(text)
	q.unwritten++
	return written
}

// noteDropped must be called with the lock.
func (q *queue) noteDropped() {
	if q.dropped == 0 {
		return
	}
	q.add(fmt.Appendf(nil, `{"level":"warn","ts":%.3f,"logger":%q,"msg":"log entries were dropped because standard error was not read","dropped":%d}`+"\n",
		float64(time.Now().UnixMilli())/1000, moduleID, q.dropped), false)
	q.dropped = 0
}

// wait makes run write pending entries, and waits for written unless it is nil.
func (q *queue) wait(written chan struct{}, limit time.Duration) {
	select {
	case q.wanted <- struct{}{}:
	default:
	}
	if written == nil {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-written:
	case <-timer.C:
	}
}

// run writes pending entries until wanted is closed.
func (q *queue) run() {
	for range q.wanted {
		for next, ok := q.next(); ok; next, ok = q.next() {
			if len(next.text) > 0 {
				_, _ = q.out.Write(next.text) // there is nowhere else to say it
			}
			q.mu.Lock()
			q.unwritten--
			q.mu.Unlock()
			if next.written != nil {
				close(next.written)
			}
		}
	}
}

// next returns the next entry, and false if none is pending.
func (q *queue) next() (entry, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size < maxPending/2 { // not for each entry that fits again
		q.noteDropped()
	}
	if len(q.pending) == 0 {
		q.pending = nil // whose array may be large
		return entry{}, false
	}
	first := q.pending[0]
	q.pending[0], q.pending = entry{}, q.pending[1:]
	q.size -= len(first.text)
	return first, true
}

var (
	_ caddy.WriterOpener    = StderrQueue{}
	_ caddyfile.Unmarshaler = (*StderrQueue)(nil)
)
