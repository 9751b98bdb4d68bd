package check_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/check"
)

// aFence answers as the fence does to what it can't read; tests/edge asks the
// real one.
func aFence(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Airflow-API-Version") != "" {
		answer(w, http.StatusBadRequest, `{"detail":{"reason":"invalid_request","message":"no date"}}`)
		return
	}
	answer(w, http.StatusOK, `{"status":"healthy"}`)
}

func withoutUpstream(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Airflow-API-Version") != "" {
		aFence(w, r)
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

func TestUpstream_IsTheExecutionAPI(t *testing.T) {
	t.Parallel()
	airflow := func(change func(*stub)) *url.URL {
		s := newStub()
		change(s)
		return s.start(t)
	}
	for name, tc := range map[string]struct {
		upstream *url.URL
		state    check.State
		text     string
	}{
		"Airflow 3.3":   {airflow(func(*stub) {}), check.OK, "is an Execution API of version 2026-06-30"},
		"Airflow 3.0":   {airflow(func(s *stub) { s.version = "2025-08-10" }), check.OK, "of version 2025-08-10"},
		"a newer one":   {airflow(func(s *stub) { s.version = "2099-01-01" }), check.Warning, "its API version 2099-01-01 is newer than " + route.Newest()},
		"another mount": {airflow(func(s *stub) { s.path = "/airflow/execution" }), check.Problem, "set base_path /airflow/execution"},
		"a fence":       {serve(t, http.HandlerFunc(aFence)), check.Problem, "a fence answers at"},
		"a web server":  {serve(t, http.NotFoundHandler()), check.Problem, "answers 404, so there is no Execution API"},
		"nobody":        {parse(t, "http://127.0.0.1:1"), check.Problem, "connection refused: nothing listens there"},
		"not TLS":       {parse(t, strings.Replace(airflow(func(*stub) {}).String(), "http:", "https:", 1)), check.Problem, "server does not use TLS on this port"},
		"none":          {nil, check.NotChecked, "set --upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Upstream = tc.upstream
			atFence(t, options).want(t, tc.state, "upstream", tc.text)
		})
	}
}

func TestUpstream_WithAnUntrustedCertificateIsAProblem(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newStub())
	server.Config.ErrorLog = quiet()
	server.StartTLS()
	t.Cleanup(server.Close)
	options := right(t)
	options.Upstream = parse(t, server.URL)
	atFence(t, options).want(t, check.Problem, "upstream", "set the PEM file of that authority in --upstream-ca")
}

func TestConfiguration_EveryErrorIsAFinding(t *testing.T) {
	t.Parallel()
	options := right(t)
	options.Fence.Mode, options.Fence.Token.Secret, options.Fence.BasePath = "maybe", "", "/"
	options.Upstream = newStub().start(t)
	var texts []string
	for _, f := range atFence(t, options) {
		switch {
		case f.Check == "configuration" && f.State == check.Problem:
			texts = append(texts, f.Text)
		case f.State != check.NotChecked:
			t.Errorf("found %s", f)
		}
	}
	for i, want := range []string{"invalid mode ", "invalid base_path ", "no token key "} {
		if len(texts) != 3 || !strings.HasPrefix(texts[i], want) {
			t.Fatalf("found %q", texts)
		}
	}
}

func TestBypass_IsFoundFromTheFence(t *testing.T) {
	t.Parallel()
	upstream := newStub().start(t) // listens on 127.0.0.1 alone
	for name, tc := range map[string]struct {
		addresses []string
		state     check.State
		text      string
	}{
		"no other address":        {nil, check.OK, "none of this machine's 0 other addresses"},
		"another, which is open":  {[]string{"127.0.0.2", "127.0.0.1"}, check.Problem, "is also open at 127.0.0.1:" + upstream.Port()},
		"another, and not opened": {[]string{"127.0.0.2"}, check.OK, "none of this machine's 1 other addresses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Upstream = upstream
			var all []netip.Addr
			for _, address := range tc.addresses {
				all = append(all, netip.MustParseAddr(address))
			}
			options.SetAddresses(all...)
			atFence(t, options).want(t, tc.state, "bypass", tc.text)
		})
	}
}

func TestBypass_OfAUnixSocketIsImpossible(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(newStub())
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	options := right(t)
	options.Upstream, options.Socket = parse(t, "http://localhost"), socket
	found := atFence(t, options)
	found.want(t, check.OK, "bypass", "a unix socket")
	found.want(t, check.OK, "token settings", "")
}

func TestTasksURL_LeadsToTheFence(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		url   string
		state check.State
		text  string
	}{
		"the fence":             {serve(t, http.HandlerFunc(aFence)).String() + "/execution/", check.OK, "leads to the fence"},
		"Airflow":               {newStub().start(t).String() + "/execution/", check.Problem, "Airflow itself answers at"},
		"no path":               {serve(t, http.HandlerFunc(aFence)).String(), check.Problem, "has no path"},
		"a fence before no one": {serve(t, http.HandlerFunc(withoutUpstream)).String() + "/execution", check.Problem, "its upstream returned 502"},
		"a web server":          {serve(t, http.NotFoundHandler()).String() + "/execution", check.Problem, "is not answered by a fence"},
		"nobody":                {"http://127.0.0.1:1/execution", check.Problem, "nothing listens there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Tasks = parse(t, tc.url)
			atFence(t, options).want(t, tc.state, "tasks' URL", tc.text)
		})
	}
}

func TestWorker_ReachesOnlyTheFence(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	go func() {
		for {
			conn, err := silent.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	fence := parse(t, serve(t, http.HandlerFunc(aFence)).String()+"/execution/")
	for name, tc := range map[string]struct {
		direct string
		state  check.State
		text   string
	}{
		"closed":            {"http://127.0.0.1:1", check.OK, "cannot be reached from here"},
		"Airflow":           {newStub().start(t).String(), check.Problem, "Airflow answers at"},
		"Airflow's API URL": {newStub().start(t).String() + "/execution/", check.Problem, "Airflow answers at"},
		"the fence":         {fence.String(), check.OK, "the fence answers at"},
		"an unknown name":   {"http://nowhere.invalid:8080", check.Problem, "so nothing was tried"},
		"an open port":      {"http://" + silent.Addr().String(), check.Warning, "a port is open at"},
		"a web server":      {serve(t, http.NotFoundHandler()).String(), check.Warning, "is not an Execution API"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found findings
			check.AtWorker(t.Context(), fence, parse(t, tc.direct), func(f check.Finding) { found = append(found, f) })
			found.want(t, tc.state, "bypass", tc.text)
			wantFinding(t, found, "tasks' URL", check.OK, "leads to the fence")
		})
	}
}
