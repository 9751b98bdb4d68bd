// Package services starts the real servers that tests need: each test gets its
// own, on a loopback address ([Address]) or a unix socket in its own directory, and
// it is gone when the test ends.
//
// Where a server is not installed the test is skipped with a word that says
// what is missing; with DAGFENCE_TEST_SERVERS=required, as `make test` sets it,
// it fails instead.
package services

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// startTimeout is longer than any server takes until it answers, on a busy machine
// too.
const startTimeout = 5 * time.Minute

// debianPath holds the places where Debian keeps servers that are not on PATH.
var debianPath = []string{"/usr/lib/postgresql/*/bin", "/usr/sbin", "/usr/local/sbin"}

// Program finds an installed program, or skips the test (fails it where
// servers are required).
func Program(tb testing.TB, name string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, pattern := range debianPath {
		found, err := filepath.Glob(filepath.Join(pattern, name))
		if err == nil && len(found) > 0 {
			slices.Sort(found)
			return found[len(found)-1]
		}
	}
	Missing(tb, name+" is not installed")
	return ""
}

// Missing skips the test because something it needs can't be had here, or fails
// it where servers are required.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		tb.Fatalf("%s, and DAGFENCE_TEST_SERVERS=required", what)
	}
	tb.Skipf("skipped: %s (make test installs it)", what) //nolint:forbidigo // the one place that may
}

// Process is a program that a test started. One that ends without having been
// signalled to fails the test at once.
type Process struct {
	cmd       *exec.Cmd
	output    *lockedBuffer
	done      chan struct{}
	signalled atomic.Bool
}

// Start runs a program until the test ends, as the owner of its directory.
// Its output is shown if the test fails. Where cmd has a Stderr, that gets
// standard error in its place.
func Start(tb testing.TB, cmd *exec.Cmd) *Process {
	tb.Helper()
	p := &Process{cmd: cmd, output: new(lockedBuffer), done: make(chan struct{})}
	cmd.Stdout = p.output
	if cmd.Stderr == nil {
		cmd.Stderr = p.output
	}
	cmd.WaitDelay = 5 * time.Second
	if cmd.Cancel != nil { // the test's context ends before its cleanups: end gently then too
		cmd.Cancel = func() error { return p.signal(syscall.SIGTERM) }
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	// The server must not outlive a test binary that was killed.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	if err := cmd.Start(); err != nil {
		tb.Fatalf("starting %s: %v", cmd.Path, err)
	}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		if !p.signalled.Load() {
			tb.Errorf("%s ended by itself: %v\n%s", filepath.Base(cmd.Path), err, p.output)
		}
	}()
	tb.Cleanup(func() {
		p.Stop()
		if tb.Failed() {
			tb.Logf("output of %s:\n%s", cmd.Path, p.output)
		}
	})
	return p
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what the process has printed so far, both streams.
func (p *Process) Output() string { return p.output.String() }

// Ended is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Signal sends a signal. After one that ends a process, the test does not fail
// because it ends.
func (p *Process) Signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.signal(s); err != nil {
		tb.Errorf("sending %v: %v", s, err)
	}
}

func (p *Process) signal(s syscall.Signal) error {
	if slices.Contains([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL}, s) {
		p.signalled.Store(true)
	}
	return p.cmd.Process.Signal(s)
}

// MayEnd says that the test does not fail where the process ends from now on.
func (p *Process) MayEnd() { p.signalled.Store(true) }

// Wait returns the exit code once the process has ended, and fails the test
// where that takes longer than the limit.
func (p *Process) Wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Fatalf("%s still runs after %v", filepath.Base(p.cmd.Path), limit)
		return -1
	}
}

// Stop ends the process: SIGTERM, then SIGKILL after ten seconds. It may be
// called more than once.
func (p *Process) Stop() {
	_ = p.signal(syscall.SIGTERM) // it may have ended already
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// WaitReady calls ready until it returns nil, and fails the test when the process
// ends or startTimeout passes first.
func (p *Process) WaitReady(tb testing.TB, ready func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.done:
			tb.Fatalf("%s ended before it was ready: %v\n%s", p.cmd.Path, err, p.output)
		case <-ctx.Done():
			tb.Fatalf("%s was not ready in time: %v\n%s", p.cmd.Path, err, p.output)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Dial is a readiness probe: something accepts connections at the address.
func Dial(network, address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// dir returns a short directory (a unix socket's path has room for 107 bytes)
// that belongs to the named user when tests run as root, and the credential to
// run a server as that user: PostgreSQL refuses to run as root.
func dir(tb testing.TB, owner string) (string, *syscall.SysProcAttr) {
	tb.Helper()
	path, err := os.MkdirTemp("", "dagfence-") //nolint:usetesting // TempDir's path is too long for a socket
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(path) })
	if os.Getuid() != 0 {
		return path, nil
	}
	account, err := user.Lookup(owner)
	if err != nil {
		tb.Fatalf("running a server as %s: %v", owner, err)
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if errUID != nil || errGID != nil {
		tb.Fatalf("user %s has uid %q, gid %q", owner, account.Uid, account.Gid)
	}
	if err := os.Chown(path, int(uid), int(gid)); err != nil {
		tb.Fatal(err)
	}
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return path, &syscall.SysProcAttr{Credential: credential}
}

// run runs a program to its end, and fails the test with its output.
func run(tb testing.TB, attr *syscall.SysProcAttr, workdir, name string, args ...string) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	cmd.SysProcAttr, cmd.Dir = attr, workdir
	if output, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", name, err, output)
	}
}

// lockedBuffer collects the output of a process while a test reads it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
