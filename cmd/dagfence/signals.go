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
		quit(<-told)
	}()
	return ctx, func() {
		signal.Stop(told)
		cancel()
	}
}

// quitAtSecondSignal is the same for what runs Caddy, which heeds no second
// SIGTERM itself.
func quitAtSecondSignal() {
	told := toldToEnd()
	go func() {
		<-told
		// Caddy begins to heed signals in a goroutine, so that it may have missed
		// this one. It takes SIGTERM any number of times.
		for time.Sleep(handoff); !caddy.Exiting(); time.Sleep(handoff) {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM) // a process may signal itself
			<-told
		}
		quit(<-told)
	}()
}

// handoff is how long Caddy has to begin to end.
const handoff = 50 * time.Millisecond

func toldToEnd() chan os.Signal {
	told := make(chan os.Signal, 2)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	return told
}

func quit(told os.Signal) {
	caddymodule.LastWords(fmt.Sprintf("Error: ended at once by a second signal (%v): what was under way is not over", told))
	os.Exit(caddy.ExitCodeForceQuit)
}
