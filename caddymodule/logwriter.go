package caddymodule

import (
	"fmt"
	"io"
	"os"
	"sync"
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
	// flushTime is how long the end of the process waits for them.
	flushTime = time.Second
)

// StderrQueue is a log writer to standard error for which nothing waits. Caddy's
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
func (StderrQueue) OpenWriter() (io.WriteCloser, error) {
	q := stderrQueue()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = false
	return q, nil
}

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

// stderrQueue is one for the process, whose last words come after Caddy has
// closed its logs.
var stderrQueue = sync.OnceValue(func() *queue {
	q := newQueue(os.Stderr)
	go q.run()
	return q
})

// queue writes what it is given in order, and later. Entries go in and out
// whole.
type queue struct {
	out io.Writer
	// wanted has room for one word that there is something to do.
	wanted chan struct{}

	mu      sync.Mutex
	pending []byte
	dropped int
	flushed []chan struct{} // closed once all that is pending now is out
	closed  bool
}

func newQueue(out io.Writer) *queue { return &queue{out: out, wanted: make(chan struct{}, 1)} }

// Write implements io.Writer, and always takes p. After Close it waits a little
// for p to be out: the process may end with it.
func (q *queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	if len(q.pending)+len(p) > maxPending {
		q.dropped++
	} else {
		q.pending = append(q.pending, p...)
	}
	closed := q.closed
	q.mu.Unlock()
	if closed {
		q.flush(flushTime / 10)
	} else {
		q.want()
	}
	return len(p), nil
}

// Close waits for what is pending, and no longer than that is worth.
func (q *queue) Close() error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.flush(flushTime)
	return nil
}

func (q *queue) flush(limit time.Duration) {
	done := make(chan struct{})
	q.mu.Lock()
	q.flushed = append(q.flushed, done)
	q.mu.Unlock()
	q.want()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

func (q *queue) want() {
	select {
	case q.wanted <- struct{}{}:
	default:
	}
}

// run writes what is pending, over and over.
func (q *queue) run() {
	var batch []byte
	for range q.wanted {
		q.mu.Lock()
		batch, q.pending = q.pending, batch[:0]
		dropped, flushed := q.dropped, q.flushed
		q.dropped, q.flushed = 0, nil
		q.mu.Unlock()
		if dropped > 0 {
			batch = fmt.Appendf(batch, `{"level":"warn","ts":%.3f,"logger":%q,"msg":"entries of the log were dropped while nobody read it","dropped":%d}`+"\n",
				float64(time.Now().UnixMilli())/1000, moduleID, dropped)
		}
		_, _ = q.out.Write(batch) // there is nowhere else to say it
		for _, done := range flushed {
			close(done)
		}
	}
}

var (
	_ caddy.WriterOpener    = StderrQueue{}
	_ caddyfile.Unmarshaler = (*StderrQueue)(nil)
)
