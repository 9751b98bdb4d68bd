package edge_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// startTLS runs a fence that serves HTTPS with a certificate.
func startTLS(t *testing.T, certificate *sidecar.Certificate, protocols string) *edge {
	t.Helper()
	e := &edge{addr: services.Address(t), world: newWorld(), upstream: sidecar.NewRecorder(t)}
	lookup := httptest.NewServer(resolvertest.Service(e.world))
	t.Cleanup(lookup.Close)
	sidecar.Caddy(t, "servers {\n protocols "+protocols+"\n max_header_size 64KiB\n}\n",
		strings.Replace(sidecar.Site(e.addr), "http:", "https:", 1)+fmt.Sprintf(`
	tls {
		get_certificate dagfence_files %s %s
	}
	dagfence {
		token {
			secret %s
		}
		lookup %s
	}
	reverse_proxy %s
}
`, certificate.Cert, certificate.Key, secret, lookup.URL, e.upstream.Addr))
	return e
}

// overTLS returns a client that speaks one version of HTTP, over TLS.
func overTLS(t *testing.T, version int, certificate *sidecar.Certificate) *http.Client {
	t.Helper()
	trust := &tls.Config{RootCAs: certificate.Pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if version == 3 {
		transport := &http3.Transport{TLSClientConfig: trust}
		t.Cleanup(func() { _ = transport.Close() })
		return &http.Client{Transport: transport, Timeout: 10 * time.Second}
	}
	transport := &http.Transport{TLSClientConfig: trust, DisableCompression: true, Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(version == 1)
	transport.Protocols.SetHTTP2(version == 2)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestTLS_RulesHoldOverEveryVersionOfHTTP(t *testing.T) {
	certificate := sidecar.NewCertificate(t, "fence")
	e := startTLS(t, certificate, "h1 h2 h3")
	for _, version := range []int{1, 2, 3} {
		client := overTLS(t, version, certificate)
		for path, want := range map[string]int{
			"/execution/variables/var_a": 200, "/execution/variables/var_b": 403, "/execution%2Fvariables%2Fvar_b": 403,
			"//execution/variables/var_b": 400, "/execution/variables/x%0A": 400, "/ui": 200,
			// Over HTTP/1 the server refuses these itself.
			"/execution/variables/var_a?x=a b": 400, "/ui?x=a HTTP/1.1": 400, "/ui?x=a%20b": 200,
			"/execution/task-instances/count?dag_id=dag_a" + logicalDates(1000): 200,
			"/execution/task-instances/count?dag_id=dag_b" + logicalDates(1000): 403,
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+e.addr+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+sign(t, taskA, nil))
			answered, err := client.Do(r)
			if err != nil {
				t.Fatalf("%.60s over HTTP/%d: %v", path, version, err)
			}
			answered.Body.Close()
			arrived := e.upstream.Take()
			if answered.ProtoMajor != version || answered.StatusCode != want || (len(arrived) == 1) != (want == 200) {
				t.Errorf("%.60s over %s: %d with %d arrivals, want %d over HTTP/%d", path, answered.Proto, answered.StatusCode, len(arrived), want, version)
			}
		}
	}
}

func TestTLS_LoopIsSeenOverHTTP2(t *testing.T) {
	certificate := sidecar.NewCertificate(t, "fence")
	e := startTLS(t, certificate, "h1 h2")
	var status [2]int
	via := ""
	for i := range status {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+e.addr+"/ui", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Dagfence-Via", via)
		answered, err := overTLS(t, 2, certificate).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answered.Body.Close()
		status[i] = answered.StatusCode
		if arrived := e.upstream.Take(); len(arrived) == 1 {
			ids := arrived[0].Header["Dagfence-Via"]
			via = ids[len(ids)-1]
		}
	}
	if status != [2]int{http.StatusOK, http.StatusLoopDetected} {
		t.Errorf("the request is answered %d, and %d when it comes back; want 200 and 508", status[0], status[1])
	}
}
