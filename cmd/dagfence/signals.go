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

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The
// second one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	signals := endSignals()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		quitAgain(<-signals)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// quitAtFirstSignal ends the process at the first signal, until over is called.
// before is what has not happened by then, for the message.
func quitAtFirstSignal(before string) (over func()) {
	signals := endSignals()
	go func() {
		if first, ok := <-signals; ok {
			quitBefore(first, before)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

const started = "the start was over"

// heedSignals is for commands that run Caddy, which ignores a second SIGTERM, and
// any before a configuration has started or failed to.
func heedSignals() {
	signals := endSignals()
	go func() {
		first, again := <-signals, make(chan os.Signal, 1)
		go func() {
			// Caddy starts to handle signals in a goroutine, and may have missed this
			// one. It accepts SIGTERM any number of times.
			for time.Sleep(handoff); !caddy.Exiting(); time.Sleep(handoff) {
				_ = syscall.Kill(syscall.Getpid(), syscall.SIGTERM) // a process may signal itself
				<-signals
			}
			again <- <-signals
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

// handoff is how long Caddy has to start shutting down.
const handoff = 50 * time.Millisecond

func endSignals() chan os.Signal {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	return signals
}

func quitBefore(sig os.Signal, before string) {
	caddymodule.LastWords(fmt.Sprintf("Error: signal (%v) received before %s", sig, before))
	os.Exit(exitFailed)
}

func quitAgain(sig os.Signal) {
	caddymodule.LastWords(fmt.Sprintf("Error: ended at once by a second signal (%v): what was under way is not over", sig))
	os.Exit(caddy.ExitCodeForceQuit)
}
