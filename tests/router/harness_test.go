// Package router_test holds the fence against the router it stands before: what
// the fence judges must be what a real Airflow is asked for, to the last byte.
//
// A whole Caddy with the fence in it gets raw bytes, an upstream keeps the raw
// bytes that arrive, and an oracle (oracle.py: Airflow's own app behind uvicorn's
// own parsers) tells what they are. Golden files hold the oracle's answers, so
// that most of it runs without Python.
package router_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/logging"

	_ "github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const (
	mount   = route.Mount("/execution")
	timeout = 20 * time.Second // whatever takes longer hangs
)

// site is a fence with its own rules, before its own upstream.
type site struct {
	name, network, addr string
	upstream            *recorder
	// client sends what is tried, neighbour sends next, which follows on the same
	// connection to upstream.
	client, neighbour client
	next              request
}

// client is a connection to a site.
type client struct {
	conn  net.Conn
	lines *bufio.Reader
}

// startSites runs a Caddy with a site for each set of options of the directive,
// each on its own unix socket or TCP port. Caddy has one configuration in a
// process, so these tests do not run in parallel.
func startSites(t *testing.T, network string, options map[string]string) map[string]*site {
	t.Helper()
	dir := socketDir(t)
	sites := make(map[string]*site)
	config := new(strings.Builder)
	for name, directive := range options {
		s := &site{name: name, network: network, upstream: newRecorder(t, filepath.Join(dir, name+".upstream"))}
		s.addr = services.Address(t)
		head := sidecar.Site(s.addr)
		if network == "unix" {
			s.addr = filepath.Join(dir, name)
			head = "http://:80 {\n bind unix/" + s.addr + "\n"
		}
		fmt.Fprintf(config, "%s %s\n witness %s\n reverse_proxy unix/%s\n}\n", head, directive, name, s.upstream.addr)
		t.Cleanup(s.client.hangUp)
		t.Cleanup(s.neighbour.hangUp)
		sites[name] = s
	}
	sidecar.Caddy(t, " order witness after dagfence\n", config.String())
	return sites
}

// socketDir is a directory with a short path: a unix socket's has 107 bytes.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dagfence-") //nolint:usetesting // TempDir's path is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// outcome is what became of one request at a site.
type outcome struct {
	status  int
	arrived [][]byte // the bytes of each request that upstream got
	conn    int      // of upstream's connections, the one on which the last arrived
	handed  []handed // each request as the fence handed it on
}

// send sends a site the bytes of one request, over a connection that is kept
// while both sides like it.
func (s *site) send(raw []byte, method string) (outcome, error) {
	return s.sendBy(&s.client, raw, method)
}

// sendNext sends the neighbour's request.
func (s *site) sendNext() (outcome, error) {
	return s.sendBy(&s.neighbour, s.next.raw(), s.next.method)
}

func (s *site) sendBy(c *client, raw []byte, method string) (outcome, error) {
	status, err := c.send(s.network, s.addr, raw, method)
	if err != nil {
		c.hangUp()
		return outcome{}, err
	}
	arrived, conn := s.upstream.take()
	return outcome{status: status, arrived: arrived, conn: conn, handed: takeHanded(s.name)}, nil
}

// send returns the status of the final answer.
func (c *client) send(network, addr string, raw []byte, method string) (int, error) {
	if c.conn == nil {
		conn, err := net.Dial(network, addr)
		if err != nil {
			return 0, err
		}
		c.conn, c.lines = conn, bufio.NewReader(conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return 0, err
	}
	// Caddy may have answered and hung up before all is written.
	if _, err := c.conn.Write(raw); err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, syscall.EPIPE) {
		return 0, fmt.Errorf("writing: %w", err)
	}
	for {
		response, err := http.ReadResponse(c.lines, &http.Request{Method: method})
		if err != nil {
			return 0, fmt.Errorf("reading the answer: %w", err)
		}
		if response.StatusCode < http.StatusOK {
			continue // 100, to a body that is on its way anyhow
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.Close || c.lines.Buffered() > 0 {
			c.hangUp()
		}
		return response.StatusCode, nil
	}
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// recorder is an upstream that keeps the bytes of what arrives.
type recorder struct {
	addr string

	mu      sync.Mutex
	arrived [][]byte
	conn    int // on which the last arrived
}

func newRecorder(t *testing.T, path string) *recorder {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	rec := &recorder{addr: path}
	go func() {
		for number := 1; ; number++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go rec.serve(conn, number)
		}
	}()
	return rec
}

// serve answers one request after the other; the next comes only after the
// answer, so that what was read by then is one request.
func (rec *recorder) serve(conn net.Conn, number int) {
	defer conn.Close()
	raw := new(bytes.Buffer)
	reader := bufio.NewReader(io.TeeReader(conn, raw))
	for {
		request, err := http.ReadRequest(reader)
		if err == nil {
			_, err = io.Copy(io.Discard, request.Body)
		}
		if raw.Len() > 0 {
			rec.mu.Lock()
			rec.arrived, rec.conn = append(rec.arrived, bytes.Clone(raw.Bytes())), number
			rec.mu.Unlock()
			raw.Reset()
		}
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (rec *recorder) take() (arrived [][]byte, conn int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	arrived, rec.arrived = rec.arrived, nil
	return arrived, rec.conn
}

// handed is a request as the fence hands it to what is behind it.
type handed struct {
	inside   bool
	err      error
	readings []route.Reading
	// kind and dagID are what the fence says it has judged.
	kind, dagID string
}

// witness is a handler between the fence and reverse_proxy. It reads what it is
// given just as the fence has, and changes nothing.
type witness struct {
	Name string `json:"name"`
}

var (
	handedMu sync.Mutex
	handedBy = make(map[string][]handed)
)

func init() {
	caddy.RegisterModule(witness{})
	httpcaddyfile.RegisterHandlerDirective("witness", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		w := new(witness)
		h.Next()
		if !h.Args(&w.Name) {
			return nil, h.ArgErr()
		}
		return w, nil
	})
}

func (witness) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.witness", New: func() caddy.Module { return new(witness) }}
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	var h handed
	var rest string
	if rest, h.inside, h.err = mount.Locate(r.URL.Path); h.inside {
		request := route.Request{Method: r.Method, Path: rest, RawQuery: r.URL.RawQuery}
		if versions := r.Header["Airflow-Api-Version"]; len(versions) > 0 {
			request.APIVersion, request.HasAPIVersion = strings.Join(versions, ","), true
		}
		var match route.Match
		match, h.err = route.Find(request)
		h.readings = append(h.readings, match.Readings()...)
		placeholders := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
		h.kind, _ = placeholders.GetString("http.dagfence.kind")
		h.dagID, _ = placeholders.GetString("http.dagfence.dag_id")
	}
	handedMu.Lock()
	handedBy[w.Name] = append(handedBy[w.Name], h)
	handedMu.Unlock()
	return next.ServeHTTP(rw, r)
}

func takeHanded(name string) []handed {
	handedMu.Lock()
	defer handedMu.Unlock()
	taken := handedBy[name]
	delete(handedBy, name)
	return taken
}
