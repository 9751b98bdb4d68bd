package sidecar

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// An Arrival is a request that upstream got.
type Arrival struct {
	Method, Target string
	Header         http.Header
	Body           string
}

// A Recorder is an upstream that remembers what arrived.
type Recorder struct {
	// Addr is its host:port.
	Addr string

	mu      sync.Mutex
	arrived []Arrival
	handler http.HandlerFunc // answers; 200 and a body where nil
}

// NewRecorder starts an upstream, for as long as the test runs.
func NewRecorder(tb testing.TB) *Recorder {
	tb.Helper()
	rec := new(Recorder)
	server := httptest.NewServer(rec)
	tb.Cleanup(server.Close)
	rec.Addr = server.Listener.Addr().String()
	return rec
}

// ServeHTTP implements [http.Handler].
func (rec *Recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	rec.mu.Lock()
	rec.arrived = append(rec.arrived, Arrival{r.Method, r.RequestURI, r.Header.Clone(), string(body)})
	handler := rec.handler
	rec.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"from":"upstream"}`)
}

// Answer lets the handler answer from now on, after the request was recorded
// and its body read.
func (rec *Recorder) Answer(with http.HandlerFunc) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.handler = with
}

// Take returns what has arrived since the last call.
func (rec *Recorder) Take() []Arrival {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	arrived := rec.arrived
	rec.arrived = nil
	return arrived
}
