package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/caddyserver/caddy/v2"
)

// quitAtSecondSignal ends the process at once when it is told to end a second
// time. At the first, Caddy lets requests in flight end; it then heeds no second
// SIGTERM.
func quitAtSecondSignal() {
	told := make(chan os.Signal, 2)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-told
		<-told
		os.Exit(caddy.ExitCodeForceQuit)
	}()
}
