package airflow_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// dial connects to the deployment, for as long as a test may take.
func (d *deployment) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// wantNeighboursAnswered sends requests with trailers beside the heartbeats of
// eight clients. uvicorn's parser would swallow heartbeats behind them.
func wantNeighboursAnswered(t *testing.T, w *world, fenced *deployment) {
	t.Helper()
	const behind = "Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n%s\r\n2\r\n{}\r\n0\r\n%s\r\n\r\n"
	attacks := []string{
		"GET /execution/health HTTP/1.1\r\n" + fmt.Sprintf(behind, "Trailer: Connection\r\n", "Connection: close"),
		"POST /outside HTTP/1.1\r\n" + fmt.Sprintf(behind, "Trailer: Proxy-Connection\r\n", "Proxy-Connection: close"),
		"GET /execution/health HTTP/1.1\r\n" + fmt.Sprintf(behind, "", "Connection: close"),
	}
	var group sync.WaitGroup
	over := make(chan struct{})
	target, authorization := fenced.url+w.fill("/execution/task-instances/{dag_a.t1}/heartbeat"), w.authorization(t, taskA)
	for range 8 {
		group.Go(func() {
			for range 10 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, target, strings.NewReader(`{"hostname":"worker","pid":100}`))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header = http.Header{"Authorization": {authorization}, "Content-Type": {"application/json"}}
				answered, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(r)
				if err != nil {
					t.Errorf("a heartbeat: %v", err)
					return
				}
				_ = answered.Body.Close()
				if answered.StatusCode != http.StatusNoContent {
					t.Errorf("a heartbeat: %d", answered.StatusCode)
				}
			}
		})
	}
	go func() {
		group.Wait()
		close(over)
	}()
	for sent := 0; ; sent++ {
		select {
		case <-over:
			if sent < len(attacks) {
				t.Errorf("%d requests with trailers are too few", sent)
			}
			return
		default:
			conn := fenced.dial(t)
			_, _ = io.WriteString(conn, attacks[sent%len(attacks)])
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}
}

// wantNothingOverwritten keeps the last byte of a write back until another team
// has made the variable.
func wantNothingOverwritten(t *testing.T, w *world, fenced *deployment) {
	t.Helper()
	const path, content = "/variables/raced", `{"value":"taken"}`
	conn := fenced.dial(t)
	_, _ = fmt.Fprintf(conn, "PUT /execution%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, w.authorization(t, taskA), len(content), content[:len(content)-1])
	time.Sleep(300 * time.Millisecond) // it is judged, and upstream has all but the last byte
	stays := &deployment{url: fenced.url}
	if made := stays.send(t, w, taskB, put(path, `{"value":"theirs"}`)); made.status != http.StatusCreated {
		t.Errorf("team_b makes the variable: %d %s", made.status, made.body)
	}
	_, _ = io.WriteString(conn, content[len(content)-1:])
	answered, _ := io.ReadAll(conn)
	if !strings.HasPrefix(string(answered), "HTTP/1.1 403 ") {
		t.Errorf("team_a's write: %.200s", answered)
	}
	if read := stays.send(t, w, taskB, get(path)); !strings.Contains(read.body, `"theirs"`) {
		t.Errorf("team_b reads %d %s", read.status, read.body)
	}
	stays.send(t, w, taskB, del(path))
}
