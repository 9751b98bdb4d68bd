package edge_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// proxy runs `dagfence proxy` in an environment.
func proxy(t *testing.T, environment []string, args ...string) *sidecar.Dagfence {
	t.Helper()
	addr := services.Address(t)
	return runBinary(t, environment, addr, append([]string{"proxy", "--listen", addr, "--ownership-file", ownership(t)}, args...)...)
}

// runBinary runs a command that listens on an address, and waits until something
// does.
func runBinary(t *testing.T, environment []string, addr string, args ...string) *sidecar.Dagfence {
	t.Helper()
	cmd := sidecar.Command(t, args...)
	cmd.Env = append(cmd.Env, environment...)
	d := sidecar.Start(t, cmd, addr, "")
	d.Process.WaitReady(t, services.Dial("tcp", addr))
	return d
}

func ownership(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "owners.yaml")
	if err := os.WriteFile(file, []byte("variables:\n  var_b: team_b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// get sends a request with a client, and returns the answer with its body.
func get(t *testing.T, client *http.Client, url string, header ...string) (response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	answered, err := client.Do(r)
	if err != nil {
		return response{}, err
	}
	defer answered.Body.Close()
	body, err := io.ReadAll(answered.Body)
	return response{answered, string(body)}, err
}

// wantStatus asks and compares the status.
func wantStatus(t *testing.T, client *http.Client, url string, want int) {
	t.Helper()
	answered, err := get(t, client, url)
	if err != nil || answered.StatusCode != want {
		t.Errorf("%s: %+v, %v, want %d", url, answered.Response, err, want)
	}
}

// anywhere is an address of this machine that net/http does not take for
// loopback, to which no forward proxy is ever asked for the way.
func anywhere(addr string) string { return strings.Replace(addr, "127.0.0.1", "0.0.0.0", 1) }

func TestProxy_DialsUpstreamDirectlyWhateverTheEnvironmentNames(t *testing.T) {
	t.Parallel()
	forward, upstream := sidecar.NewRecorder(t), sidecar.NewRecorder(t)
	var environment []string
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		environment = append(environment, name+"=http://"+forward.Addr)
	}
	b := proxy(t, environment, "--upstream", "http://"+anywhere(upstream.Addr))
	wantStatus(t, client, "http://"+b.Addr+"/execution/health", http.StatusOK)
	if direct, through := len(upstream.Take()), len(forward.Take()); direct != 1 || through != 0 {
		t.Errorf("%d requests went to upstream and %d to the forward proxy, want 1 and 0", direct, through)
	}
	if strings.Contains(b.Output(), "forward proxy") {
		t.Error("it warns of a forward proxy that it does not ask")
	}
}

func TestCaddyfile_WarnsOfAForwardProxyOnTheWayToUpstream(t *testing.T) {
	t.Parallel()
	forward := sidecar.NewRecorder(t)
	site := func(addr, options string) string {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		content := "{\nadmin off\npersist_config off\nauto_https off\n}\n" + sidecar.Site(addr) + "dagfence {\nownership_file " + ownership(t) +
			"\n}\nhandle {\nreverse_proxy 0.0.0.0:1 {\n" + options + "\n}\n}\n}\n"
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	const secretOfProxy = "the-forward-proxys-password"
	for name, c := range map[string]struct {
		environment, options string
		warns                bool
	}{
		"HTTP_PROXY":         {"HTTP_PROXY=http://user:" + secretOfProxy + "@" + forward.Addr, "", true},
		"lower case":         {"http_proxy=" + forward.Addr, "", true},
		"for HTTPS":          {"HTTPS_PROXY=http://" + forward.Addr, "transport http {\ntls\n}", true},
		"for HTTPS alone":    {"HTTPS_PROXY=http://" + forward.Addr, "", false},
		"network_proxy none": {"HTTP_PROXY=http://" + forward.Addr, "transport http {\nnetwork_proxy none\n}", false},
		"NO_PROXY":           {"HTTP_PROXY=http://" + forward.Addr + ",NO_PROXY=0.0.0.0", "", false},
		"another NO_PROXY":   {"HTTP_PROXY=http://" + forward.Addr + ",NO_PROXY=10.0.0.0/8", "", true},
		"none":               {"X=y", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := services.Address(t)
			b := runBinary(t, strings.Split(c.environment, ","), addr, "run", "--adapter", "caddyfile", "--config", site(addr, c.options))
			if got := strings.Contains(b.Output(), "network_proxy none"); got != c.warns {
				t.Errorf("it warns: %t, want %t\n%s", got, c.warns, b.Output())
			}
			if strings.Contains(b.Output(), secretOfProxy) {
				t.Error("the log shows the forward proxy's password")
			}
		})
	}
}

func TestProxy_RequestThatLeadsBackIsRefused(t *testing.T) {
	t.Parallel()
	addr := services.Address(t)
	runBinary(t, nil, addr, "proxy", "--listen", addr, "--upstream", "http://"+addr, "--ownership-file", ownership(t))
	for _, path := range []string{"/execution/health", "/ui"} {
		answered, err := get(t, client, "http://"+addr+path)
		if err != nil || answered.StatusCode != http.StatusLoopDetected || answered.reason() != "loop" {
			t.Errorf("%s: %+v %s, %v, want 508", path, answered.Response, answered.body, err)
		}
	}
}

// hostRecorder is an upstream that remembers the Host that it was asked for, and
// redirects where X-Location says.
func hostRecorder(host *string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*host = r.Host
		if location := r.Header.Get("X-Location"); location != "" {
			w.Header().Set("Location", location)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	})
}

func TestProxy_AsksUpstreamByItsOwnName(t *testing.T) {
	t.Parallel()
	var host string
	upstream := httptest.NewServer(hostRecorder(&host))
	t.Cleanup(upstream.Close)
	for want, args := range map[string][]string{
		strings.TrimPrefix(upstream.URL, "http://"): nil,
		"airflow.example":    {"--upstream-host", "airflow.example"},
		"[2001:db8::1]:8080": {"--upstream-host", "[2001:db8::1]:8080"},
	} {
		b := proxy(t, nil, append(args, "--upstream", upstream.URL)...)
		wantStatus(t, client, "http://"+b.Addr+"/execution/health", http.StatusOK)
		if host != want {
			t.Errorf("%q: upstream is asked for %q, want %q", args, host, want)
		}
	}
}

func TestProxy_RedirectOfUpstreamToItselfLeadsBackHere(t *testing.T) {
	t.Parallel()
	var host string
	upstream := httptest.NewServer(hostRecorder(&host))
	t.Cleanup(upstream.Close)
	own := strings.TrimPrefix(upstream.URL, "http://")
	b := proxy(t, nil, "--upstream", upstream.URL, "--upstream-host", "airflow.example")
	for location, want := range map[string]string{
		"http://" + own + "/execution/x/?a=b":    "//" + b.Addr + "/execution/x/?a=b",
		"https://" + own + "/x":                  "//" + b.Addr + "/x",
		"HTTP://Airflow.Example/x":               "//" + b.Addr + "/x",
		"http://airflow.example:80/x":            "//" + b.Addr + "/x",
		"https://airflow.example:443":            "//" + b.Addr,
		"http://airflow.example?a":               "//" + b.Addr + "?a",
		"http://airflow.example//evil.example/x": "//" + b.Addr + "//evil.example/x",
		"//" + own + "/x":                        "//" + b.Addr + "/x",
		"//airflow.example?a":                    "//" + b.Addr + "?a",
		// Another authority, or none.
		"http://" + own + "0/x":                "http://" + own + "0/x",
		"http://airflow.example:8080/x":        "http://airflow.example:8080/x",
		"http://airflow.example.evil/x":        "http://airflow.example.evil/x",
		"http://airflow.example@evil/x":        "http://airflow.example@evil/x",
		"http://airflowxexample/x":             "http://airflowxexample/x",
		"http://other/?to=http://" + own + "/": "http://other/?to=http://" + own + "/",
		"/execution/x/":                        "/execution/x/",
		"//" + own + "0/x":                     "//" + own + "0/x",
		"///" + own + "/x":                     "///" + own + "/x",
		"//evil/" + own:                        "//evil/" + own,
		"x//" + own + "/x":                     "x//" + own + "/x",
	} {
		answered, err := get(t, client, "http://"+b.Addr+"/ui", "X-Location: "+location)
		if err != nil || answered.Header.Get("Location") != want {
			t.Errorf("%s: %q, %v, want %q", location, answered.Header.Get("Location"), err, want)
		}
	}
}

// The shipped Caddyfile does as `dagfence proxy`, whatever an expression would make
// of upstream's address.
func TestShippedCaddyfile_LeadsRedirectsOfUpstreamBackHere(t *testing.T) {
	t.Parallel()
	example := string(mustRead(t, "../../Caddyfile"))
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		var host string
		upstream := &httptest.Server{Listener: listener, Config: &http.Server{Handler: hostRecorder(&host)}}
		upstream.Start()
		t.Cleanup(upstream.Close)
		own, addr := listener.Addr().String(), services.Address(t)
		file := filepath.Join(t.TempDir(), "Caddyfile")
		sites := strings.NewReplacer("\n:8081 {\n", "\n"+sidecar.Site(addr), ":8083 {\n", sidecar.Site(services.Address(t))).Replace(example)
		if err := os.WriteFile(file, []byte(sites), 0o600); err != nil {
			t.Fatal(err)
		}
		runBinary(t, []string{"AIRFLOW_API_SERVER=" + own, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:////nowhere/airflow.db"}, addr, "run", "--config", file)
		for location, want := range map[string]string{
			"http://" + own + "/execution/x/?a=b": "//" + addr + "/execution/x/?a=b",
			"HTTPS://" + own:                      "//" + addr,
			"//" + own + "?a":                     "//" + addr + "?a",
			// Another authority, or none.
			"//" + own + "0/x": "//" + own + "0/x",
			"//127x0x0x1" + own[strings.LastIndexByte(own, ':'):]: "//127x0x0x1" + own[strings.LastIndexByte(own, ':'):],
			"http://other/?to=http://" + own + "/":                "http://other/?to=http://" + own + "/",
			"/execution/x/":                                       "/execution/x/",
		} {
			answered, err := get(t, client, "http://"+addr+"/ui", "X-Location: "+location)
			if err != nil || answered.Header.Get("Location") != want {
				t.Errorf("%s: %s: %q, %v, want %q", own, location, answered.Header.Get("Location"), err, want)
			}
		}
		if host != own {
			t.Errorf("upstream is asked for %s, want %s", host, own)
		}
	}
}

func TestProxy_ServesWithoutTLSNothingButHTTP1(t *testing.T) {
	t.Parallel()
	upstream := sidecar.NewRecorder(t)
	status := services.Address(t)
	b := proxy(t, nil, "--upstream", "http://"+upstream.Addr, "--status", status)
	unencrypted := &http.Transport{Protocols: new(http.Protocols)}
	unencrypted.Protocols.SetUnencryptedHTTP2(true)
	for _, url := range []string{"http://" + b.Addr + "/execution/health", "http://" + status + "/live"} {
		if answered, err := get(t, &http.Client{Transport: unencrypted, Timeout: 5 * time.Second}, url); err == nil {
			t.Errorf("%s is answered %d over HTTP/2 without TLS", url, answered.StatusCode)
		}
		wantStatus(t, client, url, http.StatusOK)
	}
	if strings.Contains(b.Output(), "skipped") {
		t.Errorf("the log speaks of protocols that are not served:\n%s", b.Output())
	}
	// Whatever an unfinished request begins with.
	var connections []net.Conn
	for _, begun := range []string{"GET / HTTP/1.1\r\nHost: x\r\n", "PRI * HTTP/2.0\r\n", "G"} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		_, _ = io.WriteString(conn, begun)
		connections = append(connections, conn)
	}
	for i, conn := range connections {
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("unfinished connection %d is open after a minute", i)
		}
	}
}

func TestProxy_ServesTLSAndFollowsItsCertificate(t *testing.T) {
	t.Parallel()
	upstream := sidecar.NewRecorder(t)
	first, second := sidecar.NewCertificate(t, "first"), sidecar.NewCertificate(t, "second")
	current := sidecar.NewCertificate(t, "current")
	first.Install(t, current)
	b := proxy(t, nil, "--upstream", "http://"+upstream.Addr, "--tls-cert", current.Cert, "--tls-key", current.Key)
	url := "https://" + b.Addr + "/execution/health"
	ask := func(trusted *sidecar.Certificate, version int) error {
		answered, err := get(t, overTLS(t, version, trusted), url)
		if err == nil && (answered.StatusCode != http.StatusOK || answered.ProtoMajor != version) {
			err = fmt.Errorf("%d over %s", answered.StatusCode, answered.Proto)
		}
		return err
	}
	for _, version := range []int{1, 2} {
		if err := ask(first, version); err != nil {
			t.Errorf("HTTP/%d: %v", version, err)
		}
	}
	if err := ask(second, 1); err == nil {
		t.Error("it shows a certificate that it does not have")
	}
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: first.Pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	if _, err := get(t, &http.Client{Transport: old}, url); err == nil {
		t.Error("it takes TLS 1.1")
	}
	wantStatus(t, client, "http://"+b.Addr+"/execution/health", http.StatusBadRequest)

	// Half of a rotation, and garbage: the last good pair stays.
	for _, content := range [][]byte{mustRead(t, second.Key), []byte("garbage"), nil} {
		if err := os.WriteFile(current.Key, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ask(first, 1); err != nil {
			t.Errorf("with a key that does not match: %v", err)
		}
	}
	if err := os.Remove(current.Key); err != nil {
		t.Fatal(err)
	}
	if err := ask(first, 1); err != nil {
		t.Errorf("without the key's file: %v", err)
	}
	second.Install(t, current)
	if err := ask(second, 2); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	for _, why := range []string{"private key does not match public key", "failed to find any PEM data", "no such file"} {
		if !strings.Contains(b.Output(), why) {
			t.Errorf("the log does not say %q", why)
		}
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestProxy_TrustsUpstreamByTheAuthoritiesInItsFile(t *testing.T) {
	t.Parallel()
	server, stranger := sidecar.NewCertificate(t, "server"), sidecar.NewCertificate(t, "stranger")
	pair, err := tls.LoadX509KeyPair(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	var host string
	upstream := httptest.NewUnstartedServer(hostRecorder(&host))
	upstream.Config.SetKeepAlivesEnabled(false) // so that each request makes a connection
	upstream.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	upstream.StartTLS()
	t.Cleanup(upstream.Close)

	wantStatus(t, client, "http://"+proxy(t, nil, "--upstream", upstream.URL).Addr+"/ui", http.StatusBadGateway) // the system's authorities

	ca := filepath.Join(t.TempDir(), "ca.pem")
	put := func(content []byte) {
		t.Helper()
		if err := os.WriteFile(ca, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(mustRead(t, server.Cert))
	b := proxy(t, nil, "--upstream", upstream.URL, "--upstream-ca", ca, "--upstream-host", "airflow.example")
	url := "http://" + b.Addr + "/ui"
	wantStatus(t, client, url, http.StatusOK)
	if host != "airflow.example" {
		t.Errorf("upstream is asked for %q", host)
	}
	put(mustRead(t, stranger.Cert))
	wantStatus(t, client, url, http.StatusBadGateway)
	put(append(mustRead(t, stranger.Cert), mustRead(t, server.Cert)...))
	wantStatus(t, client, url, http.StatusOK)
	put([]byte("garbage"))
	wantStatus(t, client, url, http.StatusOK) // the last good ones stay
}

func TestProxy_TakesIPv6InBrackets(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "[::1]:0")
	if err != nil {
		services.Missing(t, "IPv6 on loopback: "+err.Error())
	}
	var host string
	upstream := httptest.NewUnstartedServer(hostRecorder(&host))
	upstream.Listener.Close()
	upstream.Listener = listener
	upstream.Start()
	t.Cleanup(upstream.Close)
	for _, listen := range []string{"[::1]:0", "[::]:0"} {
		status := services.Address(t)
		b := runBinary(t, nil, status, "proxy", "--listen", listen, "--status", status, "--upstream", upstream.URL, "--ownership-file", ownership(t))
		address := listens.FindStringSubmatch(b.Output())
		if address == nil {
			t.Fatalf("the log does not say where it listens:\n%s", b.Output())
		}
		wantStatus(t, client, "http://[::1]:"+address[1]+"/ui", http.StatusOK)
		if want := listener.Addr().String(); host != want {
			t.Errorf("upstream is asked for %q, want %q", host, want)
		}
	}
}

// listens finds in Caddy's log which port it got for port 0.
var listens = regexp.MustCompile(`"actual_address":"[^"]*:(\d+)"`)

// Why upstream's certificate is refused is in the log with the option that fixes
// it, and not in the answer.
func TestUpstreamsCertificate_IsExplainedInTheLog(t *testing.T) {
	t.Parallel()
	certificate, stranger := sidecar.NewCertificate(t, "upstream"), sidecar.NewCertificate(t, "stranger")
	pair, err := tls.LoadX509KeyPair(certificate.Cert, certificate.Key)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(host string) string {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
		upstream := &httptest.Server{Listener: listener, Config: server, TLS: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
		upstream.StartTLS()
		t.Cleanup(upstream.Close)
		return upstream.URL
	}
	upstream, nameless := serve("127.0.0.1"), serve("127.0.0.2")
	plain := sidecar.NewRecorder(t)
	const trust = "set the PEM file of that authority in --upstream-ca, or in a Caddyfile in the tls_trust_pool of reverse_proxy"
	caddyfile := func(addr, transport string) []string {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		content := "{\nadmin off\npersist_config off\nauto_https off\n}\n" + sidecar.Site(addr) + "dagfence {\nownership_file " + ownership(t) +
			"\n}\nreverse_proxy " + upstream + " {\ntransport http {\nnetwork_proxy none\n" + transport + "\n}\n}\n}\n"
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"run", "--config", file}
	}
	addr := services.Address(t)
	for name, c := range map[string]struct {
		fence *sidecar.Dagfence
		want  string
	}{
		"the machine's":  {proxy(t, nil, "--upstream", upstream), trust},
		"another's file": {proxy(t, nil, "--upstream", upstream, "--upstream-ca", stranger.Cert), trust},
		"another name":   {proxy(t, nil, "--upstream", nameless, "--upstream-ca", certificate.Cert), "upstream: certificate is for another name"},
		"no TLS":         {proxy(t, nil, "--upstream", "https://"+plain.Addr), "server does not use TLS on this port"},
		"a Caddyfile's":  {runBinary(t, nil, addr, caddyfile(addr, "tls_trust_pool file "+stranger.Cert)...), trust},
	} {
		for _, path := range []string{"/execution/health", "/ui"} {
			answered, err := get(t, client, "http://"+c.fence.Addr+path)
			if err != nil || answered.StatusCode != http.StatusBadGateway || strings.Contains(answered.body, "certificate") {
				t.Errorf("%s: %s: %+v, %v", name, path, answered, err)
			}
		}
		sidecar.Within(t, 10*time.Second, name+": the log says so for both requests", func() bool {
			return strings.Count(c.fence.Output(), c.want) >= 2
		})
	}
}
