package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	main "github.com/dagfence/dagfence/cmd/dagfence"
)

// answering is a server whose /ready answers that.
func answering(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" || r.Method != http.MethodGet {
			status, body = http.StatusNotFound, `{"status":"not found"}`
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func TestHealth_IsWhatReadyAnswers(t *testing.T) {
	t.Parallel()
	const stranger = "neither a fence nor a lookup service answers at"
	for body, want := range map[string]struct {
		status int
		err    string // "" for ready
	}{
		`{"status":"ready"}`:                             {200, ""},
		`{"ready":true}`:                                 {200, ""},
		`{"ready":true,"warning":"line 3"}`:              {200, ""},
		`{"status":"owners: no answer"}`:                 {503, "not ready: owners: no answer"},
		`{"ready":false,"reason":"database: no answer"}`: {503, "not ready: database: no answer"},
		`{"status":"not found: must be /live"}`:          {404, "not ready: not found"},
		`{"ready":false}`:                                {200, "not ready"},
		`{"status":"healthy"}`:                           {200, "not ready: healthy"},
		`{"status":"ready"} `:                            {503, "not ready: ready"},
		``:                                               {200, stranger},
		`<html>`:                                         {200, stranger},
		`{"metadatabase":{"status":"healthy"}}`:          {200, stranger},
		`{"padding":"` + strings.Repeat("x", 70<<10) + `"}`: {200, stranger},
		`{}`: {302, stranger},
	} {
		server := httptest.NewServer(answering(want.status, body))
		defer server.Close()
		err := main.AskReady(t.Context(), server.URL)
		if (want.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want.err) {
			t.Errorf("%d %.60s: %v, want %q", want.status, body, err, want.err)
		}
	}
}

func TestHealth_TakesEachFormOfAnAddress(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	handler := answering(http.StatusOK, `{"status":"ready"}`)
	listen := func(network, address string) string {
		listener, err := new(net.ListenConfig).Listen(t.Context(), network, address)
		if err != nil {
			t.Fatal(err)
		}
		server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
		server.Start()
		t.Cleanup(server.Close)
		return listener.Addr().String()
	}
	socket := listen("unix", filepath.Join(t.TempDir(), "s"))
	_, all, _ := net.SplitHostPort(listen("tcp", ":0"))
	six := listen("tcp", "[::1]:0")
	secure := httptest.NewTLSServer(handler)
	defer secure.Close()
	_, securePort, _ := net.SplitHostPort(secure.Listener.Addr().String())
	for _, status := range []string{
		":" + all, "127.0.0.1:" + all, "0.0.0.0:" + all, "[::]:" + all, "localhost:" + all, "http://127.0.0.1:" + all, "http://127.0.0.1:" + all + "/",
		"http://127.0.0.1:" + all + "/ready", "http://:" + all, six, "http://" + six, "unix/" + socket, "unix/" + socket + "|0600",
		secure.URL, "https://localhost:" + securePort, "https://:" + securePort,
	} {
		if err := main.AskReady(t.Context(), status); err != nil {
			t.Errorf("%s: %v", status, err)
		}
	}
	for status, want := range map[string]string{
		"": "must be host:port", "8083": "must be host:port", "::1:8083": "needs brackets", "http://::1:8083": "needs brackets", "ftp://x": "is not the URL",
		"http://user:hidden@127.0.0.1:8083": "is not the URL", "http://x/metrics": "is not the URL", "http://": "is not the URL", "http://x?y": "is not the URL",
		"unix/": "must be host:port", "unix//nowhere/s": "no such file", "http://x:hidden": "is not the URL",
	} {
		if err := main.AskReady(t.Context(), status); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", status, err, want)
		}
	}
}

func TestHealth_VerifiesCertificatesBeyondLoopback(t *testing.T) {
	t.Parallel()
	if transport := main.StatusTransport("https://10.0.0.1:8082"); transport.TLSClientConfig != nil && transport.TLSClientConfig.InsecureSkipVerify {
		t.Error("the certificate of another machine is not verified")
	}
}

func TestHealth_WaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := main.AskReady(ctx, listener.Addr().String()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("asking %s: no answer within", listener.Addr())) {
		t.Errorf("a server that accepts and does not answer: %v", err)
	}
}
