package edge_test

import (
	"bufio"
	"io"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/resolver"
)

// Upstream reads no body of what deletes, and acts at the end of the headers.
func TestDelete_IsJudgedByWhatIsTrueNow_WhateverItsBody(t *testing.T) {
	for name, head := range map[string]string{
		"no body": "\r\n", "a body that never comes": "Content-Length: 1\r\n\r\n", "chunks that never come": "Transfer-Encoding: chunked\r\n\r\n",
		"a body that is there": "Content-Length: 2\r\n\r\n{}",
	} {
		e := start(t, "cache {\n ttl 1m\n}")
		e.allowed(t, taskA, "GET /variables/new") // has no owner a moment ago
		e.allowed(t, taskA, "GET /dags/dag_g")
		e.world.Own(resolver.KindVariable, "new", "team_b")
		e.world.Own(resolver.KindDag, "dag_g", "team_b")
		e.upstream.Take()
		for _, request := range []string{"DELETE /execution/variables/new", "POST /execution/dag-runs/dag_g/" + run + "/clear"} {
			conn := e.dial(t)
			if _, err := io.WriteString(conn, request+" HTTP/1.1\r\nHost: "+e.addr+"\r\nAuthorization: Bearer "+sign(t, taskA, nil)+"\r\n"+head); err != nil {
				t.Fatal(err)
			}
			answered, _ := bufio.NewReader(conn).ReadString('\n')
			if arrived := e.upstream.Take(); !strings.HasPrefix(answered, "HTTP/1.1 403 ") || len(arrived) > 0 {
				t.Errorf("%s: %s is answered %q, and %d arrive", name, request, answered, len(arrived))
			}
		}
	}
}
