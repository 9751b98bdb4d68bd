package scale_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	slowClients = 1000
	// slowMemory is how much more the fence may have resident for them: 128 KiB each.
	slowMemory = slowClients * 128 << 10
)

// slowUpstream answers the path "never" when the test is over, "big" with more
// than a client reads, and else at once.
type slowUpstream struct{ over chan struct{} }

// ServeHTTP implements [http.Handler].
func (s *slowUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch _, name, _ := strings.Cut(r.URL.Path, "/t1/"); name {
	case "never":
		select {
		case <-s.over:
		case <-r.Context().Done():
		}
	case "big":
		part := make([]byte, firstPart)
		for range bodySize / firstPart {
			if _, err := w.Write(part); err != nil {
				return
			}
		}
	default:
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func TestSlowClients_DelayNoOther(t *testing.T) {
	upstream := &slowUpstream{make(chan struct{})}
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(upstream.over) })
	lookup := owners(t)
	fence := proxy(t, server.URL, "--lookup", lookup.URL)
	answered, err := http.DefaultClient.Do(request(t.Context(), t, taskA, http.MethodGet, "http://"+fence.Addr+"/execution/variables/var_a", nil))
	if err != nil || answered.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", answered, err)
	}
	answered.Body.Close()
	fence.forgetPeak(t)
	before, open := fence.memory(t, "VmRSS"), fence.Descriptors(t)

	const head = "Host: fence\r\nAuthorization: Bearer {token}\r\n"
	kinds := []string{
		"GET /execution/variables/var_a HTTP/1.1\r\n" + head,                                   // and no end of the headers
		"PUT /execution/variables/var_a HTTP/1.1\r\n" + head + "Content-Length: 1000\r\n\r\n{", // and no end of the body
		"GET /execution/xcoms/dag_a/r/t1/big HTTP/1.1\r\n" + head + "\r\n",                     // and nothing is read
		"GET /execution/xcoms/dag_a/r/t1/never HTTP/1.1\r\n" + head + "\r\n",
	}
	var conns []net.Conn
	t.Cleanup(func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
	})
	for i := range slowClients {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", fence.Addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		token := sidecar.Token(t, secret, taskNumber(i/len(kinds)), nil)
		if _, err := io.WriteString(conn, strings.ReplaceAll(kinds[i%len(kinds)], "{token}", token)); err != nil {
			t.Fatal(err)
		}
	}
	// All that reach upstream have a second connection. On a busy machine a few are
	// answered 503 instead, so what counts is that no more come.
	most, since := 0, time.Now()
	sidecar.Within(t, time.Minute, "most are under way, and no more come", func() bool {
		if now := fence.Descriptors(t); now > most {
			most, since = now, time.Now()
		}
		return most >= open+slowClients*3/2 && time.Since(since) > time.Second
	})

	client := &http.Client{Timeout: 10 * time.Second}
	var slowest time.Duration
	for i := range 300 {
		started := time.Now()
		for _, of := range []struct {
			request string
			want    int
		}{
			{"GET /variables/var_a", 200},
			{"GET /variables/var_b", 403},
			{fmt.Sprintf("GET /variables/none_%d", i), 200}, // has to be asked for
		} {
			method, path, _ := strings.Cut(of.request, " ")
			answered, err := client.Do(request(t.Context(), t, taskA, method, "http://"+fence.Addr+"/execution"+path, nil))
			if err != nil {
				t.Fatal(err)
			}
			answered.Body.Close()
			if answered.StatusCode != of.want {
				t.Errorf("%s: %d, want %d", of.request, answered.StatusCode, of.want)
			}
		}
		slowest = max(slowest, time.Since(started))
	}
	grown := fence.memory(t, "VmHWM") - before
	t.Logf("%d slow clients take %d MiB; three requests beside them took at most %v", slowClients, grown/mib, slowest)
	if grown > slowMemory {
		t.Errorf("it has grown by %d MiB, want at most %d", grown/mib, slowMemory/mib)
	}

	for _, conn := range conns {
		_ = conn.Close()
	}
	client.CloseIdleConnections()
	// What is left is idle connections: to upstream for 3 s, to the lookup service
	// until that closes them, or for 30 s.
	lookup.CloseClientConnections()
	sidecar.Within(t, 15*time.Second, "what the slow clients held is free again", func() bool { return fence.Descriptors(t) <= open+10 })
}

func TestDenial_DoesNotWaitForABigBody(t *testing.T) {
	server := httptest.NewServer(new(slowUpstream))
	t.Cleanup(server.Close)
	fence := proxy(t, server.URL, "--lookup", owners(t).URL)
	body, writer := io.Pipe() // nothing is written to it before the answer is there
	t.Cleanup(func() { _ = writer.Close() })
	r := request(t.Context(), t, taskA, http.MethodPost, "http://"+fence.Addr+"/execution/xcoms/dag_a/r/another/key", body)
	r.ContentLength = bodySize
	client := &http.Client{Timeout: 10 * time.Second}
	answered, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answered.Body.Close()
	if answered.StatusCode != http.StatusForbidden || !answered.Close {
		t.Errorf("%d, the connection is closed: %v; want 403, and true", answered.StatusCode, answered.Close)
	}
}
