package edge_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// passed returns the Dagfence-Via header of a request that passed the fence.
func (e *edge) passed(t *testing.T, header ...string) []string {
	t.Helper()
	if answered := e.do(t, taskA, "GET /variables/var_a", header...); answered.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, want it to pass", answered.StatusCode, answered.body)
	}
	arrived := e.upstream.Take()
	if len(arrived) != 1 {
		t.Fatalf("%d requests arrived, want one", len(arrived))
	}
	return arrived[0].Header["Dagfence-Via"]
}

func TestLoop_RequestThatComesBackIsRefused(t *testing.T) {
	for _, options := range []string{"", "mode audit", "rules {\n unknown_routes unsafe_allow\n}"} {
		e := start(t, options)
		via := e.passed(t)
		if len(via) != 1 || len(via[0]) < 20 {
			t.Fatalf("Dagfence-Via is %q, want one id that nobody guesses", via)
		}
		for _, header := range [][]string{
			{"Dagfence-Via: " + via[0]},
			{"dagfence-via: another", "DAGFENCE-VIA: " + via[0]},
			{"Dagfence-Via: another, " + via[0] + ",third"}, // as a proxy may join them
		} {
			for _, path := range []string{"/variables/var_a", "/task-instances/" + taskA + "/heartbeat", "/../ui", "/no/such"} {
				e.refused(t, taskA, "GET "+path, http.StatusLoopDetected, "loop", header...)
			}
		}
		bearer := "Authorization: Bearer " + sign(t, taskA, nil) + "\r\n"
		for _, target := range []string{"/ui", "/", "/execution"} {
			status, body := e.raw(t, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nDagfence-Via: "+via[0]+"\r\n"+bearer+"\r\n")
			if status != "508" || len(e.upstream.Take()) != 0 {
				t.Errorf("%s: %s %s, want 508", target, status, body)
			}
		}
	}
}

func TestLoop_OtherFencesAreNoLoop(t *testing.T) {
	e := start(t, "")
	own := e.passed(t)[0]
	via := e.passed(t, "Dagfence-Via: another", "Dagfence-Via: third, "+own[:len(own)-1])
	if want := "another|third, " + own[:len(own)-1] + "|" + own; strings.Join(via, "|") != want {
		t.Errorf("Dagfence-Via is %q, want %q", via, want)
	}
	status, _ := e.raw(t, "GET /ui HTTP/1.1\r\nHost: x\r\nConnection: close\r\nDagfence-Via: another\r\n\r\n")
	arrived := e.upstream.Take()
	if status != "200" || len(arrived) != 1 || strings.Join(arrived[0].Header["Dagfence-Via"], "|") != "another|"+own {
		t.Errorf("outside the mount: %s, arrived %v", status, arrived)
	}
}

// A proxy strips what the Connection header names: the id would not be there
// when the request comes back.
func TestLoop_ConnectionHeaderCannotStripTheID(t *testing.T) {
	e := start(t, "mode audit")
	for _, target := range []string{"/ui", "/execution/variables/var_a"} {
		for _, connection := range []string{"Dagfence-Via", "close, dagfence-via", "close\r\nConnection: x ,\tDAGFENCE-VIA"} {
			conn := e.dial(t)
			if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: x\r\nConnection: "+connection+"\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answered, err := bufio.NewReader(conn).ReadString('\n') // the connection may stay open
			if !strings.HasPrefix(answered, "HTTP/1.1 400 ") || len(e.upstream.Take()) != 0 {
				t.Errorf("%s with Connection: %q: %q (%v), want 400", target, connection, answered, err)
			}
		}
	}
}

// The same request meets a second fence of its site without having left it.
func TestLoop_FenceInHandleErrorsIsNoLoop(t *testing.T) {
	e := startSite(t, "%[1]s\nreverse_proxy 127.0.0.1:1\nhandle_errors {\n%[1]s\nreverse_proxy UPSTREAM\n}", "")
	if via := e.passed(t); len(via) != 1 {
		t.Errorf("Dagfence-Via is %q, want one id", via)
	}
	e.denied(t, taskA, "GET /variables/var_b")
}
