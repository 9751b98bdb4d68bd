// Package check reports what is wrong with a fence, as seen from outside: its
// settings, its dependencies (keys, upstream, owners, Redis), and how it can be
// bypassed. [AtFence] looks from where the fence runs, [AtWorker] from where tasks do.
//
// It sends upstream nothing but GET requests, and reports no secret.
package check

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
)

// patience bounds each check.
const patience = 5 * time.Second

// State is how a check ended. The zero State is [NotChecked].
type State uint8

// The states of a check.
const (
	// NotChecked means that something the check needs was not given, or is a
	// problem itself.
	NotChecked State = iota
	// Problem means that the fence does not work, or does not protect.
	Problem
	// Warning means that the fence works, and could be safer or more useful.
	Warning
	// OK means that it was tried, and is as it should be.
	OK
)

// String returns the state as it is printed.
func (s State) String() string {
	names := [...]string{"not checked", "problem", "warning", "ok"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is the result of one check.
type Finding struct {
	// Check names what was looked at: "upstream", "redis", ...
	Check string `json:"check"`
	State State  `json:"state"`
	// Text is what was found, and the fix for a problem or a warning. It holds no
	// secret.
	Text string `json:"text"`
}

// String returns the finding as one line.
func (f Finding) String() string { return fmt.Sprintf("%-11s  %-14s  %s", f.State, f.Check, f.Text) }

// Options says which fence to check.
type Options struct {
	// Fence is what is configured; it is completed as at start, from the environment
	// and the defaults.
	Fence config.Config
	// Upstream is the api-server, scheme and host alone. Nil leaves out what
	// needs it. Where Socket is set, it is reached by that unix socket.
	Upstream *url.URL
	Socket   string
	// Configured: the settings are those of a configuration file, and Admin is
	// where that has Caddy's admin endpoint listen on TCP; empty where it does not.
	Configured bool
	Admin      string
	// Routes are the findings about the routes of that file.
	Routes []Finding
	// UpstreamHost is the Host header that the fence sends to upstream, and
	// UpstreamCA are the PEM files that it checks upstream's certificate against.
	// Empty, they are upstream's own, and the machine's.
	UpstreamHost string
	UpstreamCA   []string
	// PassesHost means that the fence forwards the client's Host header.
	PassesHost bool
	// ForwardProxy is the environment variable with the forward proxy that the
	// fence reaches upstream through. Empty means that it connects directly.
	ForwardProxy string
	// MaxHeaderBytes is the server's limit in a configuration; 0 is Caddy's default.
	MaxHeaderBytes int
	// Tasks is the URL that tasks are given ([core] execution_api_server_url).
	// Nil leaves it out.
	Tasks *url.URL
	// Token is a task's token. Empty leaves out what needs it.
	Token string

	// environment and addresses are others in tests; nil is [os.LookupEnv] and
	// [interfaceAddresses].
	environment func(string) (string, bool)
	addresses   func() ([]netip.Addr, error)
}

// run is one round of checks: the results that later checks need, and where
// findings go.
type run struct {
	Options

	report func(Finding)

	settings   config.Config
	configured bool
	upstream   *site // nil until it is known to be an Execution API
	apiVersion string
	skew       time.Duration // of upstream's clock, ahead of ours
	dated      bool          // skew is known
	signedAt   bool          // and by the time in a token of upstream's
	keys       *identity.Keys
	owners     resolver.Resolver
	closers    []func()
	// task is what Token was issued to; nil until fence and upstream accept it.
	task *identity.Task
}

// AtFence checks everything that can be seen from where the fence runs, within
// a minute, and reports each finding as it comes.
func AtFence(ctx context.Context, options Options, report func(Finding)) {
	if options.environment == nil {
		options.environment = os.LookupEnv
	}
	if options.addresses == nil {
		options.addresses = interfaceAddresses
	}
	r := &run{Options: options, report: report}
	defer r.close()
	r.each(
		ctx, r.checkConfiguration, r.checkLimits, r.checkAdmin, r.checkRoutes, r.checkUpstream, r.checkKeys, r.checkSignature, r.checkClock, r.checkToken,
		r.checkOwners, r.checkRedis, r.checkVariableKeys, r.checkTasks, r.checkBypass,
	)
}

// AtWorker checks, from where tasks run, that tasks, the URL that they are given,
// leads to the fence, and that direct, the api-server's own URL, cannot be
// reached. Either may be nil.
func AtWorker(ctx context.Context, tasks, direct *url.URL, report func(Finding)) {
	r := &run{Options: Options{Tasks: tasks}, report: report}
	r.each(ctx, r.checkTasks, func(ctx context.Context) { r.checkUnreachable(ctx, direct) })
}

// each runs the checks, each with a deadline of its own.
func (r *run) each(ctx context.Context, checks ...func(context.Context)) {
	for _, check := range checks {
		func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			check(ctx)
		}()
	}
}

func (r *run) close() {
	for _, closer := range r.closers {
		closer()
	}
}

func (r *run) ok(check, format string, args ...any)      { r.add(OK, check, format, args...) }
func (r *run) warn(check, format string, args ...any)    { r.add(Warning, check, format, args...) }
func (r *run) problem(check, format string, args ...any) { r.add(Problem, check, format, args...) }
func (r *run) skip(check, format string, args ...any)    { r.add(NotChecked, check, format, args...) }

func (r *run) add(state State, check, format string, args ...any) {
	r.report(Finding{Check: check, State: state, Text: oneLine(fmt.Sprintf(format, args...))})
}
