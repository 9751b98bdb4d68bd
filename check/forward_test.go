package check_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/dagfence/dagfence/check"
)

// named lets a stub answer by one name alone, as a mesh or an ingress does.
func named(s *stub, host string) *stub {
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Host == host {
			return false
		}
		http.NotFound(w, r)
		return true
	}
	return s
}

func TestUpstream_GetsTheFencesHostHeader(t *testing.T) {
	t.Parallel()
	options := right(t)
	tasks := serve(t, http.HandlerFunc(aFence)).JoinPath("execution")
	options.Upstream = named(newStub(), tasks.Host).start(t)
	options.UpstreamHost = tasks.Host
	atFence(t, options).want(t, check.OK, "upstream", "is an Execution API")

	// A reverse_proxy without header_up Host hands the tasks' on.
	options.UpstreamHost, options.PassesHost, options.Tasks = "", true, tasks
	atFence(t, options).want(t, check.OK, "upstream", "is an Execution API")

	s := newStub()
	options.Upstream = s.start(t)
	named(s, options.Upstream.Host)
	atFence(t, options).want(t, check.Problem, "upstream", "answers 404 to the Host "+tasks.Host+", and as an Execution API to its own")
}

func TestUpstream_IsVerifiedWithTheFencesCACertificates(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newStub())
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	options := right(t)
	options.Upstream, options.UpstreamCA = parse(t, server.URL), []string{ca}
	atFence(t, options).want(t, check.OK, "upstream", "is an Execution API")
	options.UpstreamCA = []string{ca + ".gone"}
	atFence(t, options).want(t, check.Problem, "upstream", "must be the path of a PEM file")
}

func TestUpstream_BehindAForwardProxyIsAProblem(t *testing.T) {
	t.Parallel()
	options := right(t)
	options.Upstream, options.ForwardProxy = newStub().start(t), "http_proxy"
	atFence(t, options).want(t, check.Problem, "forward proxy", "through the forward proxy that http_proxy names, tokens included: write network_proxy none")
}

func TestLimits_OfTheServerAreNamed(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]struct {
		state check.State
		text  string
	}{
		0:       {check.Warning, "are answered 431"},
		8 << 10: {check.Warning, "write servers { max_header_size 64KiB }"},
		// Caddy's units: 64KB is 64,000 bytes.
		64000:    {check.Warning, "max_header_size 64KiB"},
		64 << 10: {check.OK, "64 KiB"},
		1 << 20:  {check.OK, "1024 KiB"},
	} {
		options := right(t)
		options.Configured, options.MaxHeaderBytes = true, limit
		atFence(t, options).want(t, want.state, "limits", want.text)
	}
}
