package caddymodule_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dagfence/dagfence/caddymodule"
)

// pipe is a reader of logs that can stop to read.
type pipe struct {
	sync.Mutex
	read bytes.Buffer
	full chan struct{} // nobody reads until it is closed
}

func (p *pipe) Write(b []byte) (int, error) {
	<-p.full
	p.Lock()
	defer p.Unlock()
	return p.read.Write(b)
}

func (p *pipe) String() string {
	p.Lock()
	defer p.Unlock()
	return p.read.String()
}

func TestLogThatNobodyReadsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &pipe{full: make(chan struct{})}
		log, end := caddymodule.NewQueue(out)
		defer end()
		entry := strings.Repeat("x", 1023) + "\n"
		start := time.Now()
		const entries = 10_000 // more than twice what may wait
		for range entries {
			fmt.Fprint(log, entry)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("writing waited %v", waited)
		}
		if err := log.Close(); err != nil || time.Since(start) != time.Second {
			t.Errorf("the end waited %v, want a second: %v", time.Since(start), err)
		}
		close(out.full) // somebody reads again
		synctest.Wait()
		fmt.Fprint(log, "the last word\n")
		got := out.String()
		kept := strings.Count(got, entry)
		if kept < 4000 || kept > 8200 {
			t.Errorf("%d entries were kept, want 4 MiB of them, and a batch that was on its way", kept)
		}
		if want := fmt.Sprintf(`"dropped":%d}`, entries-kept); !strings.Contains(got, want) {
			t.Errorf("the log does not say %s", want)
		}
		if !strings.HasSuffix(got, "the last word\n") {
			t.Errorf("it ends with %q", got[len(got)-40:])
		}
	})
}

func TestLogKeepsTheOrderOfItsEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &pipe{full: make(chan struct{})}
		close(out.full)
		log, end := caddymodule.NewQueue(out)
		defer end()
		var want strings.Builder
		for i := range 1000 {
			fmt.Fprintln(log, i)
			fmt.Fprintln(&want, i)
		}
		if err := log.Close(); err != nil || out.String() != want.String() {
			t.Errorf("%d bytes came out, want %d in order: %v", len(out.String()), want.Len(), err)
		}
	})
}
