package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// started is a process of either command before an upstream, whose owners come
// from a lookup service: proxy, or run with the example of a Caddyfile.
func started(t *testing.T, command string, upstream *sidecar.Recorder) *process {
	t.Helper()
	lookup, _ := processOwners(t)
	p := newProcess(t)
	if command == "proxy" {
		p.run(t, "proxy", "--listen", p.Addr, "--upstream", "http://"+upstream.Addr, "--lookup", lookup, "--status", p.Status)
		return p
	}
	example, err := os.ReadFile("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Caddyfile")
	content := strings.NewReplacer(
		":8081 {\n", sidecar.Site(p.Addr), ":8083 {\n", sidecar.Site(p.Status),
		"\tdagfence\n", "\tdagfence {\n\t\tlookup "+lookup+"\n\t}\n", "{$AIRFLOW_API_SERVER:127.0.0.1:8080}", upstream.Addr,
	).Replace(string(example))
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, "run", "--config", file, "--adapter", "caddyfile")
	return p
}

func TestSIGTERM_EndsRequestsInFlight(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"proxy", "run"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			upstream := sidecar.NewRecorder(t)
			p := started(t, command, upstream)
			release := make(chan struct{})
			upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet { // a stream, until it is released
					for line := 0; ; line++ {
						fmt.Fprintf(w, "line %d\n", line)
						_ = http.NewResponseController(w).Flush()
						select {
						case <-release:
							fmt.Fprintln(w, "the end")
							return
						case <-time.After(50 * time.Millisecond):
						}
					}
				}
				fmt.Fprintln(w, "ok")
			})
			token := processToken(t)
			answered, err := http.DefaultClient.Do(p.request(t, token, http.MethodPut, "/variables/var_a", strings.NewReader("{}")))
			if err != nil {
				t.Fatal(err)
			}
			defer answered.Body.Close()
			stream := bufio.NewReader(answered.Body)
			if _, err := stream.ReadString('\n'); err != nil {
				t.Fatal(err)
			}

			told := time.Now()
			p.Signal(t, syscall.SIGTERM)
			sidecar.Eventually(t, time.Second, func() error {
				if code, why := p.Probe(t.Context(), "/ready"); code != http.StatusServiceUnavailable || !strings.Contains(why, "shutting down") {
					return fmt.Errorf("/ready is %d %s after SIGTERM", code, why)
				}
				return nil
			})
			if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusOK {
				t.Errorf("a request right after SIGTERM is answered %d", code)
			}
			if code := p.answer(t, token, http.MethodGet, "/variables/var_b"); code != http.StatusForbidden {
				t.Errorf("one that is to be denied is answered %d", code)
			}
			sidecar.Eventually(t, 10*time.Second, func() error {
				if conn, err := net.Dial("tcp", p.Addr); err == nil {
					conn.Close()
					return fmt.Errorf("it still takes connections")
				}
				return nil
			})
			select {
			case <-p.Ended():
				t.Error("it ended before the stream did")
			default:
			}
			close(release)
			rest, err := io.ReadAll(stream)
			if err != nil || !strings.HasSuffix(string(rest), "the end\n") {
				t.Errorf("the stream ends with %q: %v", tail(string(rest), 20), err)
			}
			if code := p.Wait(t, 5*time.Second); code != 0 {
				t.Errorf("it ends with code %d", code)
			}
			t.Logf("%v from SIGTERM to the end", time.Since(told).Round(time.Millisecond))
			if strings.Contains(p.Output(), token) {
				t.Error("the token is in the log")
			}
		})
	}
}

func TestSecondSignal_EndsTheProcessAtOnce(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"proxy", "run"} {
		for _, second := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
			upstream := sidecar.NewRecorder(t)
			p := started(t, command, upstream)
			hung := make(chan struct{})
			upstream.Answer(func(_ http.ResponseWriter, r *http.Request) {
				close(hung)
				<-r.Context().Done()
			})
			go p.answer(t, processToken(t), http.MethodGet, "/variables/var_a")
			<-hung
			p.Signal(t, syscall.SIGTERM)
			sidecar.Eventually(t, time.Second, func() error {
				if code, _ := p.Probe(t.Context(), "/ready"); code == http.StatusOK {
					return fmt.Errorf("%s does not heed SIGTERM", command)
				}
				return nil
			})
			p.Signal(t, second)
			if code := p.Wait(t, time.Second); code != 2 {
				t.Errorf("%s: %v after SIGTERM ends it with code %d, want 2", command, second, code)
			}
		}
	}
}

func TestSlowUpstream_AndClientsThatDisconnect(t *testing.T) {
	t.Parallel()
	upstream := sidecar.NewRecorder(t)
	p := started(t, "proxy", upstream)
	token := processToken(t)
	if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusOK {
		t.Fatalf("answered %d", code)
	}
	sidecar.Eventually(t, 10*time.Second, func() error { // of the start
		if p.goroutines(t) > 200 {
			return fmt.Errorf("%d goroutines", p.goroutines(t))
		}
		return nil
	})
	before := p.goroutines(t)
	const clients = 100
	arrived, gone := make(chan struct{}, clients), make(chan struct{}, clients)
	upstream.Answer(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for i := range clients {
		group.Go(func() {
			token, path := sidecar.Token(t, secret, attempt(i), nil), "/task-instances/"+attempt(i)+"/heartbeat"
			answered, err := transport.RoundTrip(p.request(t, token, http.MethodPut, path, nil).WithContext(ctx)) //nolint:contextcheck // it gets ctx
			if err == nil {
				answered.Body.Close()
				t.Errorf("answered %d", answered.StatusCode)
			}
		})
	}
	for range clients {
		<-arrived
	}
	// Longer than the 5 s of the Task SDK ([workers] execution_api_timeout), and nothing gives up.
	select {
	case <-gone:
		t.Error("the proxy gave up on upstream")
	case <-time.After(6 * time.Second):
	}
	cancel()
	group.Wait()
	left := time.After(time.Second)
	for range clients {
		select {
		case <-gone:
		case <-left:
			t.Fatal("a request at upstream outlives its client by a second")
		}
	}
	sidecar.Eventually(t, time.Second, func() error {
		if now := p.goroutines(t); now > before+5 {
			return fmt.Errorf("%d goroutines, %d before", now, before)
		}
		return nil
	})
}

func TestSlowConnections_DelayNoOther(t *testing.T) {
	upstream := sidecar.NewRecorder(t)
	p := started(t, "proxy", upstream)
	token := processToken(t)
	median := func() time.Duration {
		var took []time.Duration
		for range 200 {
			begun := time.Now()
			if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusOK {
				t.Fatalf("answered %d", code)
			}
			took = append(took, time.Since(begun))
		}
		slices.Sort(took)
		return took[len(took)/2]
	}
	alone := median()
	const slow = 1000
	conns := make([]net.Conn, slow)
	for i := range conns {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	begun := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { // a byte a second on each
		for _, b := range []byte("GET /execution/variables/var_a HTTP/1.1\r\n") {
			for _, conn := range conns {
				_, _ = conn.Write([]byte{b})
			}
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	})
	time.Sleep(2 * time.Second)
	beside := median()
	t.Logf("median of a request: %v alone, %v beside %d slow connections", alone, beside, slow)
	if beside > 3*alone+5*time.Millisecond {
		t.Errorf("median of a request: %v alone, %v beside %d slow connections", alone, beside, slow)
	}
	for _, conn := range conns {
		_ = conn.SetReadDeadline(begun.Add(15 * time.Second))
		if _, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("a slow connection is still there 15 s on")
		}
	}
	stop()
	group.Wait()
}

// Nobody reads the pipe that it logs to.
func TestBlockedLog_DelaysNoRequest(t *testing.T) {
	t.Parallel()
	lookup, _ := processOwners(t)
	upstream := sidecar.NewRecorder(t)
	p := newProcess(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	p.stderr = writer
	p.run(t, "proxy", "--listen", p.Addr, "--upstream", "http://"+upstream.Addr, "--lookup", lookup, "--status", p.Status)
	writer.Close()
	token := processToken(t)
	refused := sidecar.Token(t, "another secret", taskA, nil)
	begun := time.Now()
	const rounds = 2000 // 64 KiB, which a pipe takes, are some 150 entries
	for range rounds {
		for path, want := range map[string]int{"/variables/var_a": http.StatusOK, "/variables/var_b": http.StatusForbidden} {
			if code := p.answer(t, token, http.MethodGet, path); code != want {
				t.Fatalf("%s is answered %d", path, code)
			}
		}
	}
	if code := p.answer(t, refused, http.MethodGet, "/variables/var_a"); code != http.StatusForbidden {
		t.Errorf("a forged token is answered %d", code)
	}
	t.Logf("%d requests in %v", 2*rounds, time.Since(begun).Round(time.Millisecond))
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t, 10*time.Second); code != 0 {
		t.Errorf("it ends with code %d", code)
	}
	log, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), `"msg":"request refused"`) {
		t.Errorf("the log has no refusal: %s", tail(string(log), 500))
	}
	for name, secret := range map[string]string{"the token": token, "the forged token": refused, "the secret": secret} {
		if strings.Contains(string(log), secret) {
			t.Errorf("%s is in the log", name)
		}
	}
}
