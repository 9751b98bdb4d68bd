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
	// maxPending is how many bytes of log may wait for standard error: some ten
	// thousand refusals.
	maxPending = 4 << 20
	// patience is how long entries are waited for, once one finds the queue empty.
	// Where somebody reads, a write takes microseconds (more where the machine is
	// busy), and nothing is pending when the process is killed or panics; where
	// nobody does, this is lost once.
	patience = 100 * time.Millisecond
	// flushTime is how long the end of the process waits, in all.
	flushTime = time.Second
)

// StderrQueue is a log writer to standard error that holds nobody up. Caddy's
// own writes while the request does, so where nobody reads the pipe any more, no
// request is answered that is logged. Here entries wait in a bounded queue; what
// finds it full is dropped, and how many were is logged once there is room again.
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

// LastWords writes a line to standard error as the process ends, behind what was
// logged, and waits for all of it: for a second at most, since nobody may read.
// With "" it only waits.
func LastWords(line string) {
	q := stderrQueue()
	if line != "" {
		_, _ = q.Write([]byte(line + "\n")) // it never fails
	}
	q.end()
}

// stderrQueue is one for the process: Caddy logs before a configuration has
// opened its writers, and after it was stopped.
var stderrQueue = sync.OnceValue(func() *queue {
	signal.Ignore(syscall.SIGPIPE) // who reads the log may go
	q := newQueue(os.Stderr)
	go q.run()
	// Caddy logs once more behind this, and exits.
	caddy.OnExit(func(context.Context) { q.end() })
	return q
})

// queue writes entries in order, each whole and with a write of its own: a pipe
// takes one of up to PIPE_BUF (4 KiB) in one piece, also where others write to it.
type queue struct {
	out io.Writer
	// wanted has room for one word that there is something to do.
	wanted chan struct{}

	mu      sync.Mutex
	pending []entry
	size    int // of what is pending, in bytes
	dropped int
	// unwritten is how many entries are pending or being written, and patient until
	// when those are waited for.
	unwritten int
	patient   time.Time
	// deadline is until when the end of the process waits. Zero before the end.
	deadline time.Time
}

// entry is one of a log's.
type entry struct {
	text []byte
	// written is closed once all up to here is out. Nil where nobody waits.
	written chan struct{}
}

func newQueue(out io.Writer) *queue { return &queue{out: out, wanted: make(chan struct{}, 1)} }

// Write implements io.Writer, and always takes p.
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

// end waits for what is pending, as does whoever writes from now on: until
// flushTime is over.
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

// add needs the lock, and returns what is closed once the text is out: nil
// unless somebody is to wait.
func (q *queue) add(text []byte, waits bool) (written chan struct{}) {
	if waits {
		written = make(chan struct{})
	}
	q.pending = append(q.pending, entry{text, written})
	q.size += len(text)
	q.unwritten++
	return written
}

// noteDropped needs the lock.
func (q *queue) noteDropped() {
	if q.dropped == 0 {
		return
	}
	q.add(fmt.Appendf(nil, `{"level":"warn","ts":%.3f,"logger":%q,"msg":"entries of the log were dropped while nobody read it","dropped":%d}`+"\n",
		float64(time.Now().UnixMilli())/1000, moduleID, q.dropped), false)
	q.dropped = 0
}

// wait has run write what is pending, and waits for it unless written is nil.
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

// run writes what is pending, over and over.
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

// next returns the entry to write now, and false where nothing is pending.
func (q *queue) next() (entry, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size < maxPending/2 { // at the first room, there would be a notice for each entry
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
