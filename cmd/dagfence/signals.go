package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/caddymodule/startup"
)

// untilTold returns a context that ends when the process is told to end. Told a
// second time, it ends at once.
func untilTold() (context.Context, context.CancelFunc) {
	told := toldToEnd()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-told:
		case <-ctx.Done():
			return
		}
		cancel()
		quitAgain(<-told)
	}()
	return ctx, func() {
		signal.Stop(told)
		cancel()
	}
}

// quitAtFirstSignal ends the process as soon as it is told to, until over is called.
// before is what has not happened by then.
func quitAtFirstSignal(before string) (over func()) {
	told := toldToEnd()
	go func() {
		if first, ok := <-told; ok {
			quitBefore(first, before)
		}
	}()
	return func() {
		signal.Stop(told)
		close(told)
	}
}

const started = "the start was over"

// heedSignals is for what runs Caddy, which heeds no second SIGTERM itself, and no
// first one before a configuration has started or failed to.
func heedSignals() {
	told := toldToEnd()
	go func() {
		first, again := <-told, make(chan os.Signal, 1)
		go func() {
			// Caddy begins to heed signals in a goroutine, so that it may have missed
			// this one. It takes SIGTERM any number of times.
			for time.Sleep(handoff); !caddy.Exiting(); time.Sleep(handoff) {
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM) // a process may signal itself
				<-told
			}
			again <- <-told
		}()
		for {
			select {
			case second := <-again:
				quitAgain(second)
			case <-time.After(handoff):
				if startup.Starting() {
					quitBefore(first, started)
				}
			}
		}
	}()
}

// handoff is how long Caddy has to begin to end.
const handoff = 50 * time.Millisecond

func toldToEnd() chan os.Signal {
	told := make(chan os.Signal, 2)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	return told
}

func quitBefore(told os.Signal, before string) {
	caddymodule.LastWords(fmt.Sprintf("Error: told to end (%v) before %s", told, before))
	os.Exit(caddy.ExitCodeFailedStartup)
}

func quitAgain(told os.Signal) {
	caddymodule.LastWords(fmt.Sprintf("Error: ended at once by a second signal (%v): what was under way is not over", told))
	os.Exit(caddy.ExitCodeForceQuit)
}
