package caddymodule_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
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
	read   bytes.Buffer
	writes int
	full   chan struct{} // nobody reads until it is closed
}

func (p *pipe) Write(b []byte) (int, error) {
	<-p.full
	p.Lock()
	defer p.Unlock()
	p.writes++
	return p.read.Write(b)
}

func (p *pipe) String() string {
	p.Lock()
	defer p.Unlock()
	return p.read.String()
}

func TestStderrQueue_DoesNotBlockWhenUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &pipe{full: make(chan struct{})}
		log := caddymodule.NewQueue(t, out)
		entry := strings.Repeat("x", 1023) + "\n"
		start := time.Now()
		const entries = 10_000 // more than twice what may wait
		for range entries {
			fmt.Fprint(log, entry)
		}
		if waited := time.Since(start); waited > 100*time.Millisecond {
			t.Errorf("writing waited %v", waited)
		}
		start = time.Now()
		log.End()
		fmt.Fprint(log, entry)
		log.End()
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("the end waited %v, want a second", waited)
		}
		close(out.full) // somebody reads again
		synctest.Wait()
		fmt.Fprint(log, "the last word\n")
		synctest.Wait()
		got := out.String()
		kept := strings.Count(got, entry)
		if kept < 4000 || kept > 4097 {
			t.Errorf("%d entries were kept, want 4 MiB of them, and the one that was on its way", kept)
		}
		dropped := 0
		notices := regexp.MustCompile(`"dropped":(\d+)}`).FindAllStringSubmatch(got, -1)
		for _, notice := range notices {
			n, _ := strconv.Atoi(notice[1])
			dropped += n
		}
		if dropped != entries+1-kept || len(notices) > 2 {
			t.Errorf("%d notices say that %d entries were dropped, want %d", len(notices), dropped, entries+1-kept)
		}
		if !strings.HasSuffix(got, "the last word\n") {
			t.Errorf("it ends with %q", got[len(got)-40:])
		}
	})
}

// So it is out however the process ends.
func TestStderrQueue_HasNothingPendingWhenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &pipe{full: make(chan struct{})}
		close(out.full)
		log := caddymodule.NewQueue(t, out)
		var want strings.Builder
		for i := range 1000 {
			fmt.Fprintln(log, i)
			fmt.Fprintln(&want, i)
			if got := out.String(); got != want.String() {
				t.Fatalf("%q is out, want %q", got, want.String())
			}
		}
		if out.writes != 1000 {
			t.Errorf("%d writes, want one for each entry", out.writes)
		}
	})
}

func TestStderrQueue_KeepsTheOrderOfEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &pipe{full: make(chan struct{})}
		log := caddymodule.NewQueue(t, out)
		var want strings.Builder
		for i := range 1000 {
			fmt.Fprintln(log, i)
			fmt.Fprintln(&want, i)
		}
		go func() {
			time.Sleep(500 * time.Millisecond)
			close(out.full)
		}()
		log.End()
		if out.String() != want.String() {
			t.Errorf("%d bytes came out, want %d in order", len(out.String()), want.Len())
		}
	})
}
