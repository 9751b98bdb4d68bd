package airflow_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// wantNothingSmuggled hides a write to another team's variable in the body of
// requests after whose headers uvicorn's parser stops reading HTTP. Headers and
// body go in two pieces, because that is when it takes the second for a request
// of its own.
func wantNothingSmuggled(t *testing.T, w *world, fenced *deployment) {
	t.Helper()
	bearer := "Authorization: " + w.authorization(t, taskA) + "\r\n"
	content := `{"value":"smuggled"}`
	hidden := fmt.Sprintf("PUT /execution/variables/var_b HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		bearer, len(content), content)
	for _, outer := range []string{
		w.fill("PUT /execution/task-instances/{dag_a.t1}/heartbeat HTTP/1.1\r\n" + bearer + "Connection: Upgrade\r\nUpgrade: foo\r\n"),
		"GET /execution/health HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: foo\r\n",
		"POST /outside HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
		"CONNECT /outside HTTP/1.1\r\n",
	} {
		for range 8 {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(fenced.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
			_, _ = fmt.Fprintf(conn, "%sHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", outer, len(hidden))
			time.Sleep(5 * time.Millisecond)
			_, _ = io.WriteString(conn, hidden)
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
	}
	fenced.wantValue(t, `SELECT val FROM variable WHERE key = 'var_b'`, "value of var_b")
}
