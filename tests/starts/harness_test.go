// Package starts_test runs the dagfence binary and looks at how it starts and how
// it ends: that it says why, that it shares no address with another process, and
// that it serves nothing where its start fails.
package starts_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	secret = sidecar.Secret
	// soon is longer than a failing start takes, and shorter than the shutdown_delay of
	// dagfence proxy.
	soon = 1900 * time.Millisecond
	// ready is longer than any start takes, on a busy machine too.
	ready = time.Minute
)

// process is a dagfence that a test started.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	ended chan struct{}
	err   error // of Wait, once it has ended
	reader
}

// stderr makes what a process writes its standard error to, and its reader.
type stderr func(testing.TB) (*os.File, reader)

// reader has read what said returns, and nothing follows once over is closed.
type reader struct {
	said func() string
	over <-chan struct{}
}

// file is a regular file.
func file(tb testing.TB) (*os.File, reader) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "stderr")
	to, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	over := make(chan struct{})
	close(over)
	return to, reader{func() string {
		content, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(content)
	}, over}
}

// drained is a pipe that is read as a container runtime does.
func drained(tb testing.TB) (*os.File, reader) {
	tb.Helper()
	return piped(tb, func(from io.Reader, to io.Writer) { _, _ = io.Copy(to, from) })
}

// slow is a pipe that takes 4 KiB, whose reader takes its time.
func slow(tb testing.TB) (*os.File, reader) {
	tb.Helper()
	out, r := piped(tb, func(from io.Reader, to io.Writer) {
		for err := error(nil); err == nil; time.Sleep(20 * time.Millisecond) {
			_, err = io.CopyN(to, from, 512)
		}
	})
	shrink(tb, out)
	return out, r
}

// unread is a pipe that takes 4 KiB, and that nobody reads.
func unread(tb testing.TB) (*os.File, reader) {
	tb.Helper()
	ended := make(chan struct{})
	tb.Cleanup(func() { close(ended) })
	out, r := piped(tb, func(io.Reader, io.Writer) { <-ended })
	shrink(tb, out)
	return out, r
}

func shrink(tb testing.TB, pipe *os.File) {
	tb.Helper()
	if _, err := unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		tb.Fatal(err)
	}
}

// buffer is a bytes.Buffer for two.
type buffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func (b *buffer) String() string {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.String()
}

func piped(tb testing.TB, read func(from io.Reader, to io.Writer)) (*os.File, reader) {
	tb.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	printed, done := new(buffer), make(chan struct{})
	go func() {
		defer close(done)
		read(from, printed)
		_ = from.Close()
	}()
	return to, reader{printed.String, done}
}

// start runs a program until the test ends.
func start(tb testing.TB, program string, to stderr, env []string, args ...string) *process {
	tb.Helper()
	out, r := to(tb)
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(tb.Context()), program, args...), ended: make(chan struct{}), reader: r}
	p.cmd.Stderr = out
	p.cmd.Env = append([]string{"HOME=" + tb.TempDir()}, env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
	err := p.cmd.Start()
	_ = out.Close() // the process has its own
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if tb.Failed() {
			tb.Logf("%v said:\n%s", args, p.said())
		}
	})
	return p
}

// wait returns the process's exit code, and fails the test where it has not ended
// within the limit.
func (p *process) wait(tb testing.TB, limit time.Duration) int {
	tb.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		tb.Errorf("%v has not ended within %v", p.cmd.Args[1:], limit)
		return -1
	}
}

// endedWithin fails the test where an end took too long. A machine on which a start
// that does nothing takes long may take longer for one that does something.
func (p *process) endedWithin(tb testing.TB, limit, took time.Duration) {
	tb.Helper()
	if took <= limit {
		return
	}
	began := time.Now()
	if output, err := exec.CommandContext(tb.Context(), sidecar.Build(tb), "version").CombinedOutput(); err != nil {
		tb.Fatalf("%v: %s", err, output)
	}
	idle := time.Since(began)
	if idle < limit/8 || took > limit+8*idle {
		tb.Errorf("%v took %v to end, where a start that does nothing takes %v", p.cmd.Args[1:], took, idle)
	}
}

// says waits until the process has said something; it fails the test where it
// ends first.
func (p *process) says(tb testing.TB, words string) {
	tb.Helper()
	for deadline := time.Now().Add(ready); !strings.Contains(p.said(), words); time.Sleep(5 * time.Millisecond) {
		select {
		case <-p.ended:
			if strings.Contains(p.settled(), words) {
				return
			}
			tb.Fatalf("%v ended (%v) without a word of %q:\n%s", p.cmd.Args[1:], p.err, words, p.said())
		default:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%v does not say %q:\n%s", p.cmd.Args[1:], words, p.said())
		}
	}
}

// settled is all that the process has said, once it has ended.
func (p *process) settled() string {
	<-p.over
	return p.said()
}

func (p *process) signal(tb testing.TB, s syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		tb.Fatal(err)
	}
}

// running are the words behind which a configuration serves.
const running = `"msg":"server running"`

// fence starts the binary with the secret, and its log in a drained pipe.
func fence(tb testing.TB, args ...string) *process {
	tb.Helper()
	return start(tb, sidecar.Build(tb), drained, []string{"AIRFLOW__API_AUTH__JWT_SECRET=" + secret}, args...)
}

// proxy are the arguments of a dagfence proxy before an upstream, which knows
// that var_b is another team's.
func proxy(tb testing.TB, upstream, listen string, more ...string) []string {
	tb.Helper()
	return append([]string{
		"proxy", "--listen", listen, "--upstream", "http://" + upstream,
		"--ownership-file", write(tb, "owners.yaml", "dags: {dag_a: team_a}\nvariables: {var_b: team_b}\n"),
	}, more...)
}

func write(tb testing.TB, name, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// caddyfile has these sites, and logs as the shipped one does.
func caddyfile(options, sites string) string {
	return "{\nadmin off\npersist_config off\nauto_https off\n" + options + "\nlog {\noutput dagfence_stderr\n}\n}\n" + sites
}

// site is a site of a Caddyfile, in clear text, with these directives.
func site(listen, directives string) string {
	host, port, _ := net.SplitHostPort(listen)
	return fmt.Sprintf("http://:%s {\nbind %s\n%s\n}\n", port, host, directives)
}

// ask is the status of an answer to a request without a token on a new
// connection, and 0 where there is none.
func ask(tb testing.TB, client *http.Client, url string) int {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(tb.Context()), http.MethodGet, url, nil)
	if err != nil {
		tb.Error(err)
		return 0
	}
	r.Close = true
	answer, err := client.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
