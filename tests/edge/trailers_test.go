package edge_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// noteTrailers returns what upstream got behind a body, or announced, so far.
func noteTrailers(e *edge) func() string {
	var noted atomic.Pointer[string]
	e.upstream.Answer(func(_ http.ResponseWriter, r *http.Request) {
		if len(r.Trailer) > 0 || len(r.Header["Trailer"]) > 0 {
			seen := fmt.Sprint(r.Trailer, r.Header["Trailer"])
			noted.Store(&seen)
		}
	})
	return func() string {
		if seen := noted.Swap(nil); seen != nil {
			return *seen
		}
		return ""
	}
}

// What follows a body is read as headers by uvicorn, and may make it swallow the
// next request on the connection.
func TestTrailers_NeverReachUpstream(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n%s\r\n\r\n"
	for _, options := range []string{"", "mode audit", "rules {\n unknown_routes unsafe_allow\n}"} {
		e := start(t, options)
		noted := noteTrailers(e)
		for _, line := range []string{
			"GET /execution/health", "PUT /execution/task-instances/" + taskA + "/heartbeat", "PUT /execution/variables/var_a", "POST /outside", "HEAD /",
		} {
			for request, want := range map[string]string{
				"Trailer: Connection\r\n" + fmt.Sprintf(chunked, "Connection: close"):                       "400",
				"trailer: x\r\n" + fmt.Sprintf(chunked, "Airflow-API-Version: 2025-04-11"):                  "400",
				"Trailer: x\r\nTrailer: Proxy-Connection\r\n" + fmt.Sprintf(chunked, "Proxy-Connection: x"): "400",
				"Trailer: Content-Length\r\n" + fmt.Sprintf(chunked, "Content-Length: 9"):                   "400", // by net/http
				"Trailer: Connection\r\nContent-Length: 2\r\n\r\n{}":                                        "400",
				"Trailer: Connection\r\n\r\n":                                                               "400",
				// Not announced: the body goes on, they do not.
				fmt.Sprintf(chunked, "Connection: close"):                                     "200",
				"Trailer:\r\n" + fmt.Sprintf(chunked, "Connection: close\r\nX: y"):            "200",
				"TE: trailers\r\nConnection: TE\r\n" + fmt.Sprintf(chunked, "Trailer: x\r\n"): "200",
			} {
				status, rest := e.raw(t, line+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+sign(t, taskA, nil)+"\r\nConnection: close\r\n"+request)
				if status != want {
					t.Errorf("%q: %s %q: %s %s, want %s", options, line, request, status, rest, want)
				}
				if arrived := e.upstream.Take(); len(arrived) > 0 && want != "200" {
					t.Errorf("%q: %s %q arrived", options, line, request)
				}
				if trailers := noted(); trailers != "" {
					t.Errorf("%q: %s %q: trailers arrived: %s", options, line, request, trailers)
				}
			}
		}
	}
}

func TestTrailers_NeverReachUpstreamOverHTTP2(t *testing.T) {
	e := start(t, "")
	noted := noteTrailers(e)
	for announced, want := range map[string]string{"connection": "400", "x, y": "400", "": "200", "content-length": "200", "trailer, transfer-encoding": "200"} {
		for _, path := range []string{"/execution/health", "/outside"} {
			if got := e.http2WithTrailers(t, path, announced); got != want {
				t.Errorf("%s, announcing %q: %s, want %s", path, announced, got, want)
			}
			if trailers := noted(); trailers != "" {
				t.Errorf("%s, announcing %q: trailers arrived: %s", path, announced, trailers)
			}
		}
	}
}

// http2WithTrailers sends a GET with a body and trailers, frame by frame, and
// returns the status.
func (e *edge) http2WithTrailers(t *testing.T, path, announced string) string {
	t.Helper()
	conn := e.dial(t)
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	block := new(bytes.Buffer)
	encoder := hpack.NewEncoder(block)
	encode := func(fields ...string) []byte {
		block.Reset()
		for _, field := range fields {
			name, value, _ := strings.Cut(field, "=")
			if err := encoder.WriteField(hpack.HeaderField{Name: name, Value: value}); err != nil {
				t.Fatal(err)
			}
		}
		return bytes.Clone(block.Bytes())
	}
	head := []string{":method=GET", ":scheme=http", ":authority=x", ":path=" + path}
	if announced != "" {
		head = append(head, "trailer="+announced)
	}
	for _, err := range []error{
		framer.WriteSettings(),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(head...), EndHeaders: true}),
		framer.WriteData(1, false, []byte("{}")),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode("x=y", "airflow-api-version=2025-04-11"), EndHeaders: true, EndStream: true}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			t.Fatalf("%s, announcing %q: %v", path, announced, err)
		}
		if headers, ok := frame.(*http2.MetaHeadersFrame); ok {
			return headers.PseudoValue("status")
		}
	}
}

func TestTrailers_NeverReachUpstreamOverHTTP3(t *testing.T) {
	e, dir := start(t, ""), t.TempDir()
	noted := noteTrailers(e)
	certificate, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, certificate, key)
	addr := services.Address(t)
	load(t, strings.Replace(sidecar.Site(addr), "http:", "https:", 1)+fmt.Sprintf(" tls %s %s\n dagfence {\n  token {\n   secret %s\n  }\n  lookup http://127.0.0.1:1\n }\n reverse_proxy %s\n}\n",
		certificate, key, secret, e.upstream.Addr))
	// The certificate is for that name, and signs itself.
	transport := &http3.Transport{TLSClientConfig: &tls.Config{ServerName: "example.com", InsecureSkipVerify: true}}
	t.Cleanup(func() { _ = transport.Close() })
	overHTTP3 := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	for want, trailers := range map[int]http.Header{
		http.StatusOK: nil, http.StatusBadRequest: {"Proxy-Connection": {"close"}, "X": {"y"}},
	} {
		for _, path := range []string{"/execution/health", "/outside"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+addr+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Trailer = trailers
			answered, err := overHTTP3.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answered.Body.Close()
			if answered.StatusCode != want || answered.ProtoMajor != 3 {
				t.Errorf("%s with trailers %v: %d over %s, want %d", path, trailers, answered.StatusCode, answered.Proto, want)
			}
			if seen := noted(); seen != "" {
				t.Errorf("%s: trailers arrived: %s", path, seen)
			}
		}
	}
}

// writePair writes the certificate of net/http's tests, for 127.0.0.1, and its key.
func writePair(t *testing.T, certificate, key string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]pem.Block{
		certificate: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(&block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
