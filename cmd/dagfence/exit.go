package main

import (
	"errors"
	"strings"
)

// The exit codes of commands, beside 0. Caddy and Go also end with 2 what is ended by
// a second signal or panics.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is an error in how a command was called: nothing was tried, and the same
// call fails again.
type usageError struct{ error }

// Unwrap implements what errors.Is looks for.
func (e usageError) Unwrap() error { return e.error }

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// sentence returns the error as one line, without the position of our handler in
// Caddy's JSON, which does not help authors of Caddyfiles or flags. To an error of
// Caddy's tracing, which names no variable of the environment, it adds those.
func sentence(err error) string {
	text := err.Error()
	if at := strings.LastIndex(text, ": provision "); at >= 0 {
		module, words, _ := strings.Cut(text[at+len(": provision "):], ": ")
		switch {
		case strings.Contains(module, "dagfence"):
			text = words
		case module == "http.handlers.tracing":
			text = words + ": OTEL_TRACES_EXPORTER must be otlp, console or none, and OTEL_EXPORTER_OTLP_PROTOCOL http/protobuf or grpc"
		}
	}
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}
