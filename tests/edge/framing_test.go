package edge_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What one server takes for one request and another for two is how requests
// are smuggled past a proxy. Whatever shape it comes in, nothing may arrive
// that was not judged.
func TestSmuggledRequest_IsJudged(t *testing.T) {
	e := start(t, "")
	bearer := "Authorization: Bearer " + sign(t, taskA, nil) + "\r\n"
	host := "Host: " + e.addr + "\r\n"
	hidden := "GET /execution/variables/var_b HTTP/1.1\r\n" + host + bearer + "Connection: close\r\n\r\n"
	put := "PUT /execution/variables/var_a HTTP/1.1\r\n" + host + bearer
	for name, request := range map[string]string{
		"content length and transfer encoding": put + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s", len(hidden)+5, hidden),
		"transfer encoding and content length": put + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + hidden,
		"two content lengths":                  put + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + hidden,
		"content lengths in one line":          put + "Content-Length: 0, 5\r\n\r\n" + hidden,
		"content length with a sign":           put + "Content-Length: +0\r\n\r\n" + hidden,
		"obsolete folding":                     put + "X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + hidden,
		"blank before the colon":               put + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"unknown transfer encoding":            put + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"transfer encoding twice":              put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"chunk extension":                      put + "Transfer-Encoding: chunked\r\n\r\n5;a=\"\r\n\r\n\"\r\nhello\r\n0\r\n\r\n" + hidden,
		"chunk size with a sign":               put + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n" + hidden,
		"trailer names a judged header":        put + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n0\r\nAuthorization: Bearer x\r\n\r\n" + hidden,
		"two hosts":                            "GET /execution/variables/var_b HTTP/1.1\r\n" + host + host + bearer + "\r\n",
		"bare line feeds":                      strings.ReplaceAll(put+"Content-Length: 0\r\n\r\n"+hidden, "\r\n", "\n"),
		"pipelined":                            put + "Content-Length: 0\r\n\r\n" + hidden,
	} {
		_, answered := e.raw(t, request)
		for _, arrived := range e.upstream.Take() {
			if arrived.Method != http.MethodPut || arrived.Target != "/execution/variables/var_a" {
				t.Errorf("%s: %s %s arrived", name, arrived.Method, arrived.Target)
			}
			if strings.Contains(arrived.Body, "var_b") {
				t.Errorf("%s: the hidden request arrived as a body: it would be one for another parser", name)
			}
		}
		if strings.Contains(answered, "500 Internal") {
			t.Errorf("%s: %s", name, answered)
		}
	}
}

func TestHugeRequest_IsRefusedCheaply(t *testing.T) {
	e := start(t, "")
	bearer := "Authorization: Bearer " + sign(t, taskA, nil)
	manyParameters := "GET /dag-runs/count?dag_id=dag_a" + strings.Repeat("&", 66_000) + "dag_id=dag_b"
	e.isRefusal(t, "66,000 parameters", e.send(t, manyParameters, bearer), http.StatusRequestURITooLong, "invalid_request")
	hidden := "GET /dag-runs/count?dag_id=dag_a" + strings.Repeat("&a", 30_000) + "&dag_id=dag_b"
	e.isRefusal(t, "a duplicate behind 30,000 parameters", e.send(t, hidden, bearer), http.StatusBadRequest, "invalid_request")

	head := "GET /execution/variables/var_a HTTP/1.1\r\nHost: " + e.addr + "\r\nX-Big: " + strings.Repeat("x", 72<<10) + "\r\n\r\n"
	if status, _ := e.raw(t, head); status != "431" {
		t.Errorf("headers of more than 64 KiB: %s, want 431", status)
	}
	for _, dots := range []int{10_000, 60_000} {
		answered := e.send(t, "GET /variables/var_a", "Authorization: Bearer "+strings.Repeat(".", dots))
		if answered.StatusCode != http.StatusRequestHeaderFieldsTooLarge || len(e.upstream.Take()) != 0 {
			t.Errorf("a token of %d dots: %d, want 431", dots, answered.StatusCode)
		}
	}
}

func TestDeniedBody_TakesNoMemoryAndNoTime(t *testing.T) {
	e := start(t, "")
	const size = 100 << 20
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	conn := e.dial(t)
	started := time.Now()
	if _, err := fmt.Fprintf(conn, "PUT /execution/variables/var_b HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n",
		e.addr, size, sign(t, taskA, nil)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.CopyN(conn, zeros{}, size) // the fence stops reading
	}()
	answered, err := http.ReadResponse(bufio.NewReader(conn), nil)
	took := time.Since(started)
	if err != nil {
		t.Fatal(err)
	}
	answered.Body.Close()
	conn.Close()
	<-sent
	runtime.ReadMemStats(&after)
	if answered.StatusCode != http.StatusForbidden || took > time.Second || len(e.upstream.Take()) != 0 {
		t.Errorf("%d after %v", answered.StatusCode, took)
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 16<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestSpoofedHeaders_ChangeNothing(t *testing.T) {
	e := start(t, "")
	for _, header := range []string{
		"X-Forwarded-Uri: /execution/variables/var_a", "X-Original-URL: /execution/variables/var_a", "X-Rewrite-URL: /execution/variables/var_a",
		"X-Forwarded-Prefix: /x", "X-Forwarded-Host: other", "X-Forwarded-For: 127.0.0.1", "X-HTTP-Method-Override: GET", "X-Team: team_b",
		"X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1;host=x", "Content-Type: application/x-www-form-urlencoded",
		"Cookie: _token=x", "Proxy-Authorization: Bearer x", "Accept: text/html", "Range: bytes=0-1", "If-None-Match: *",
	} {
		e.refused(t, taskA, "GET /variables/var_b", http.StatusForbidden, "access_denied", header)
		e.refused(t, taskA, "PUT /variables/var_b", http.StatusForbidden, "access_denied", header)
	}
}

func TestRedirect_NeverShowsUpstreamsAddress(t *testing.T) {
	e := start(t, "")
	e.upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
		// As Starlette makes it, of the Host that it was asked for.
		http.Redirect(w, r, "http://"+r.Host+r.URL.Path+"/", http.StatusTemporaryRedirect)
	})
	location := e.do(t, taskA, "GET /health").Header.Get("Location")
	if strings.Contains(location, e.upstream.Addr) || !strings.Contains(location, e.addr) {
		t.Errorf("Location: %s", location)
	}
}
