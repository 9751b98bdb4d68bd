package faults_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// service is a lookup service of the world, which can be made to answer
// something else.
type service struct {
	*httptest.Server

	handler atomic.Pointer[http.HandlerFunc]
}

func newService(t *testing.T) *service {
	t.Helper()
	s, well := new(service), resolvertest.Service(newWorld())
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if faulty := s.handler.Load(); faulty != nil {
			(*faulty)(w, r)
			return
		}
		well.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// says answers with this status, content type and body.
func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// writes writes these bytes instead of an answer, again and again, until the
// client has had enough; then nothing more.
func writes(first, again string, every time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		for _, err = io.WriteString(conn, first); err == nil && again != ""; _, err = io.WriteString(conn, again) {
			time.Sleep(every)
		}
	}
}

// An answer to one question, which would let the task pass.
const (
	plain    = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	teamA    = `{"answers":[{"outcome":"found","team":"team_a","age_ms":0}]}`
	jsonType = "application/json"
)

// lookupFaults are answers of the lookup service that are invalid.
var lookupFaults = map[string]http.HandlerFunc{
	"500":                        says(500, jsonType, teamA),
	"502 in HTML":                says(502, "text/html", "<html>"),
	"503":                        says(503, jsonType, ""),
	"404":                        says(404, jsonType, teamA),
	"407":                        says(407, jsonType, teamA),
	"429":                        says(429, jsonType, teamA),
	"201":                        says(201, jsonType, teamA),
	"204":                        says(204, jsonType, ""),
	"206":                        says(206, jsonType, teamA),
	"another content type":       says(200, "text/plain", teamA),
	"no content type":            says(200, "", teamA),
	"no body":                    says(200, jsonType, ""),
	"HTML":                       says(200, jsonType, "<html>"),
	"half of a document":         says(200, jsonType, teamA[:50]),
	"two documents":              says(200, jsonType, teamA+teamA),
	"null":                       says(200, jsonType, "null"),
	"an array":                   says(200, jsonType, "[]"),
	"no answers":                 says(200, jsonType, `{"answers":[]}`),
	"an answer too many":         says(200, jsonType, strings.Replace(teamA, "[", `[{"outcome":"not_found"},`, 1)),
	"an outcome that is none":    says(200, jsonType, strings.ReplaceAll(teamA, `"found"`, `"granted"`)),
	"arrays without an end":      says(200, jsonType, strings.Repeat("[", 60_000)),
	"gzip that nobody asked for": writes(plain+"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00", "", 0),
	"a body without an end":      writes(plain+"\r\n", strings.Repeat(" ", 1<<10), 0),
	"a length of 2^63 - 1":       writes(plain+"Content-Length: 9223372036854775807\r\n\r\n", " ", ms),
	"a body that breaks off":     writes(plain+"Content-Length: 1000\r\n\r\n"+teamA, "", 0),
	"chunks that are none":       writes(plain+"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"+teamA, "", 0),
	"headers without an end":     writes(plain, "X-A: b\r\n", 0),
	"slow headers":               writes(plain, "X-A: b\r\n", 100*ms),
	"a slow body":                writes(plain+"\r\n", " ", 100*ms),
	"1xx without an end":         writes("", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", 0),
	"another protocol":           writes("-ERR\r\n", "", 0),
	"nothing":                    writes("", "", 0),
	"silence":                    func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
	"a panic":                    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
}

// wireFaults are toxics between the fence and a lookup service that is well.
var wireFaults = map[string]map[string]int{
	"slicer":     {"average_size": 1, "delay": 20_000},
	"limit_data": {"bytes": 40},
	"latency":    {"latency": 3000},
	"bandwidth":  {"rate": 0},
	"timeout":    {"timeout": 0},
	"reset_peer": {"timeout": 0},
}

func TestLookupFaults_DelayOnlyUncachedOwners(t *testing.T) {
	t.Parallel()
	for name, faulty := range lookupFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			f := start(t, "--lookup", s.URL)
			f.outlives(t, func() { s.handler.Store(&faulty) }, func() { s.handler.Store(nil) })
		})
	}
	for toxic, attributes := range wireFaults {
		t.Run(toxic, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, newService(t).Listener.Addr().String())
			f := start(t, "--lookup", "http://"+w.Listen)
			f.outlives(t, func() { w.poison(t, toxic, attributes) }, func() { w.cure(t) })
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		w := newWire(t, newService(t).Listener.Addr().String())
		f := start(t, "--lookup", "http://"+w.Listen)
		f.outlives(t, w.cut, func() { w.repair(t) })
	})
}

// Or else the faults above would be none.
func TestLookup_ValidAnswerIsTaken(t *testing.T) {
	t.Parallel()
	for name, right := range map[string]http.HandlerFunc{
		"said":            says(200, jsonType, teamA),
		"written":         writes(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", plain, len(teamA), teamA), "", 0),
		"until the close": writes(plain+"\r\n"+teamA, "", 0),
	} {
		s := newService(t)
		f := start(t, "--lookup", s.URL)
		f.rounds(t, 1, unharmed)
		s.handler.Store(&right)
		if a := f.get(t, "a_10000"); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestLookup_SlowCloseChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t, newService(t).Listener.Addr().String())
	w.poison(t, "slow_close", map[string]int{"delay": 3000})
	f := start(t, "--lookup", "http://"+w.Listen)
	f.rounds(t, 2, unharmed)
}

func TestLookup_RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s has followed", r.Method, r.URL)
		says(200, jsonType, teamA)(w, r)
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := newService(t)
		faulty := http.RedirectHandler(elsewhere.URL, status).ServeHTTP
		f := start(t, "--lookup", s.URL)
		f.outlives(t, func() { s.handler.Store((*http.HandlerFunc)(&faulty)) }, func() { s.handler.Store(nil) })
	}
}

func TestLookup_RefusalIsADenialThatIsNotCached(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			f := start(t, "--lookup", s.URL)
			f.rounds(t, 1, unharmed)
			faulty := says(status, jsonType, teamA)
			s.handler.Store(&faulty)
			if a := f.get(t, "a_10000"); a.status != http.StatusForbidden || !strings.Contains(a.body, "access_denied") {
				t.Errorf("%d %s", a.status, a.body)
			}
			f.volley(t, 4, wants{allowed: {200, 403}, denied: {403}, self: {200}})
			sidecar.Within(t, deadline, "not ready", func() bool { return f.probe(t.Context(), "/ready") == http.StatusServiceUnavailable })
			s.handler.Store(nil)
			if a := f.get(t, "a_10000"); a.status != http.StatusOK {
				t.Errorf("after the refusal: %d %s", a.status, a.body)
			}
			f.volley(t, 4, unharmed)
		})
	}
}

// newWorld is the same world as a lookup service has it.
func newWorld() *resolvertest.World {
	world := new(resolvertest.World)
	task := resolver.Task{DagID: "dag_a", RunID: runID, TaskID: "t1", MapIndex: -1}
	for n := range attempts {
		world.Run(attempt(n), task)
	}
	for _, l := range []string{"a", "b"} {
		world.Own(resolver.KindDag, "dag_"+l, "team_"+l)
		world.Own(resolver.KindConnection, "conn_"+l, "team_"+l)
		for n := range names {
			world.Own(resolver.KindVariable, fmt.Sprintf("%s_%d", l, n), "team_"+l)
		}
	}
	return world
}
