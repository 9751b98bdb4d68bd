package resolver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
)

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// trimmed reads a file at each call, as {file.*} does.
func trimmed(path string) func() (string, error) {
	return func() (string, error) {
		content, err := os.ReadFile(path)
		return strings.TrimSpace(string(content)), err
	}
}

// openBus joins the bus of a Redis until the test ends.
func openBus(t *testing.T, refresh func() (string, error)) *resolver.Bus {
	t.Helper()
	bus, err := resolver.OpenBus(resolver.RedisOptions{Secret: secret, Refresh: refresh}.Patient(), resolver.OwnerLifetime, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	return bus
}

// hears waits until what one bus invalidates reaches another.
func hears(t *testing.T, when string, from *resolver.Bus, heard *atomic.Int64) {
	t.Helper()
	before := heard.Load()
	for deadline := time.Now().Add(10 * time.Second); heard.Load() == before; time.Sleep(20 * time.Millisecond) {
		if err := from.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no message arrives", when)
		}
	}
}

// listenTo counts what a bus hears until the test ends.
func listenTo(t *testing.T, bus *resolver.Bus) *atomic.Int64 {
	t.Helper()
	var heard atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bus.Listen(ctx, func(keys []resolver.Key) { heard.Add(int64(len(keys))) })
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return &heard
}

func TestRedisPassword_IsFollowed(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	admin := server.Client(t)
	setAt := func(password string) {
		t.Helper()
		for _, command := range [][]any{
			{"ACL", "SETUSER", "fence", "on", "resetpass", ">" + password, "~dagfence:*", "&dagfence:*", "+set", "+publish", "+subscribe", "+ping"},
			{"CLIENT", "KILL", "USER", "fence"},
		} {
			if err := admin.Do(t.Context(), command...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "redis")
	setHere := func(password string) { put(t, path, "redis://fence:"+password+"@"+server.Addr+"\n") }
	setAt("first")
	setHere("first")
	from, to := openBus(t, trimmed(path)), openBus(t, trimmed(path))
	heard := listenTo(t, to)
	hears(t, "at first", from, heard)
	setHere("second")
	hears(t, "before Redis takes the new one", from, heard)
	setAt("second")
	hears(t, "when it does", from, heard)
	put(t, path, "")
	hears(t, "while the file is written", from, heard)
	setHere("second")
	setAt("third")
	if err := from.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}); err == nil || strings.Contains(err.Error(), "second") {
		t.Errorf("with a password that is not taken any more: %v", err)
	}
	setHere("third")
	hears(t, "with the third", from, heard)
}

// secured is a directory of certificates, and the hosts that they are for.
func secured(t *testing.T, count int) (dir string, addresses, hosts []string) {
	t.Helper()
	dir = t.TempDir()
	openTo(t, dir)
	openTo(t, filepath.Dir(dir))
	for range count {
		address := services.Address(t)
		host, _, _ := strings.Cut(address, ":")
		addresses, hosts = append(addresses, address), append(hosts, host)
	}
	resolvertest.Certificates(t, dir, hosts...)
	return dir, addresses, hosts
}

const tlsPort = "20443"

// secureRedis starts a Redis that takes only clients with a certificate.
func secureRedis(t *testing.T, address, dir string, args ...string) *services.RedisServer {
	t.Helper()
	return services.RedisAt(t, address, append([]string{
		"--tls-port", tlsPort, "--tls-auth-clients", "yes", "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"),
		"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
	}, args...)...)
}

// secureSentinel starts a Sentinel that watches such a Redis as "main".
func secureSentinel(t *testing.T, host, dir, master string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	put(t, config, fmt.Sprintf("port 0\ntls-port %s\nbind %s\ntls-auth-clients yes\ntls-replication yes\ntls-ca-cert-file %s/ca.pem\n"+
		"tls-cert-file %s/cert.pem\ntls-key-file %s/key.pem\nsentinel monitor main %s %s 1\n", tlsPort, host, dir, dir, dir, master, tlsPort))
	sentinel := services.Start(t, exec.CommandContext(t.Context(), services.Program(t, "redis-server"), config, "--sentinel"))
	sentinel.WaitReady(t, services.Dial("tcp", host+":"+tlsPort))
}

func TestRedis_UsesClientCertificates(t *testing.T) {
	t.Parallel()
	dir, addresses, hosts := secured(t, 3)
	secureRedis(t, addresses[0], dir)
	node := secureRedis(t, addresses[1], dir, "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", hosts[1], "--cluster-port", "20001")
	client := node.Client(t)
	if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	node.WaitReady(t, func(ctx context.Context) error {
		info, err := client.ClusterInfo(ctx).Result()
		if err == nil && !strings.Contains(info, "cluster_state:ok") {
			err = fmt.Errorf("%s", info)
		}
		return err
	})
	secureSentinel(t, hosts[2], dir, hosts[0])
	ca, pair := "ssl_ca_certs="+filepath.Join(dir, "ca.pem"), "ssl_certfile="+filepath.Join(dir, "cert.pem")+"&ssl_keyfile="+filepath.Join(dir, "key.pem")
	for name, url := range map[string]string{
		"one server": "rediss://" + hosts[0] + ":" + tlsPort + "/1?", "cluster": "rediss-cluster://" + hosts[1] + ":" + tlsPort + "?",
		"sentinel": "rediss-sentinel://" + hosts[2] + ":" + tlsPort + "/main?",
	} {
		invalidate := func(options string) error {
			bus := openBus(t, func() (string, error) { return url + options, nil })
			return bus.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"})
		}
		if err := invalidate(ca + "&" + pair + "&ssl_cert_reqs=CERT_REQUIRED&socket_timeout=5"); err != nil {
			t.Errorf("%s, with a certificate: %v", name, err)
		}
		if err := invalidate(ca); err == nil {
			t.Errorf("%s, without a certificate: it is taken", name)
		}
		if err := invalidate(pair); err == nil {
			t.Errorf("%s, without the authority: it is trusted", name)
		}
	}
}

func TestRedisCertificates_AreFollowed(t *testing.T) {
	t.Parallel()
	dir, addresses, hosts := secured(t, 1)
	server := secureRedis(t, addresses[0], dir)
	url := "rediss://" + hosts[0] + ":" + tlsPort + "?ssl_ca_certs=" + filepath.Join(dir, "ca.pem") +
		"&ssl_certfile=" + filepath.Join(dir, "cert.pem") + "&ssl_keyfile=" + filepath.Join(dir, "key.pem")
	refresh := func() (string, error) { return url, nil }
	from := openBus(t, refresh)
	heard := listenTo(t, openBus(t, refresh))
	hears(t, "at first", from, heard)
	resolvertest.Certificates(t, dir, hosts...) // the server has the old ones still
	hears(t, "before the server has the new ones", from, heard)
	admin := server.Client(t)
	for _, command := range [][]any{
		{"CONFIG", "SET", "tls-cert-file", filepath.Join(dir, "cert.pem"), "tls-key-file", filepath.Join(dir, "key.pem"), "tls-ca-cert-file", filepath.Join(dir, "ca.pem")},
		{"CLIENT", "KILL", "TYPE", "normal"},
		{"CLIENT", "KILL", "TYPE", "pubsub"},
	} {
		if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	hears(t, "when it has", from, heard)
	put(t, filepath.Join(dir, "key.pem"), "half of a")
	hears(t, "while the key is written", from, heard)
}

func TestRedisURL_TakesOptionsOfOtherClients(t *testing.T) {
	t.Parallel()
	for options, wants := range map[string]string{
		"ssl_cert_reqs=required":                  "",
		"ssl_cert_reqs=CERT_OPTIONAL":             "",
		"ssl_check_hostname=True":                 "",
		"skip_verify=false":                       "",
		"health_check_interval=30":                "",
		"ssl_cert_reqs=none":                      "option ssl_cert_reqs: the server's certificate is always verified",
		"ssl_cert_reqs=CERT_NONE":                 "option ssl_cert_reqs: the server's certificate is always verified",
		"ssl_cert_reqs=":                          "",
		"ssl_check_hostname=false":                "option ssl_check_hostname: the server's certificate is always verified",
		"skip_verify=true":                        "option skip_verify: the server's certificate is always verified",
		"ssl_ca_path=/certs":                      "unknown option ssl_ca_path: must be db; with rediss ca (or ssl_ca_certs), ssl_certfile and ssl_keyfile",
		"ssl_certfile=/x":                         "ssl_certfile and ssl_keyfile must be set together",
		"ssl_keyfile=/x":                          "ssl_certfile and ssl_keyfile must be set together",
		"ssl_certfile=/nowhere&ssl_keyfile=/x":    "redis: ssl_certfile and ssl_keyfile: reading the client certificate and its key: open /nowhere",
		"db=1&db=2":                               "option db is set twice",
		"sentinel_password=hunter2":               "option sentinel_password needs a sentinel",
		"ssl_cert_reqs=required&ssl_hunter2=none": "unknown option after the ?",
	} {
		client, err := redisclient.Open("rediss://cache?" + options)
		switch {
		case err == nil:
			_ = client.Close()
			if wants != "" {
				t.Errorf("%s is taken", options)
			}
		case wants == "" || !strings.Contains(err.Error(), wants) || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: %v, want it to say %q", options, err, wants)
		}
	}
}

// A lookup service takes some tokens; which changes.
func TestLookupCredentials_AreFollowed(t *testing.T) {
	t.Parallel()
	old, next := t.TempDir(), t.TempDir()
	resolvertest.Certificates(t, old)
	resolvertest.Certificates(t, next)
	var accepted, asked atomic.Value
	accepted.Store("first")
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		asked.Store(token)
		if token != accepted.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(resolver.NewOwnersResponse([]resolver.Answer{{Outcome: resolver.Found, Team: "team_a", AsOf: time.Now()}}, time.Now()))
	}))
	var serves atomic.Pointer[tls.Config]
	serve := func(dir, clients string) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(read(t, filepath.Join(clients, "ca.pem")))
		serves.Store(&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert})
		service.CloseClientConnections()
	}
	serve(old, old)
	service.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return serves.Load(), nil }}
	service.StartTLS()
	defer service.Close()

	dir := t.TempDir()
	rotate := func(from string, names ...string) {
		t.Helper()
		for _, name := range names {
			put(t, filepath.Join(dir, name), string(read(t, filepath.Join(from, name))))
		}
	}
	rotate(old, "ca.pem", "cert.pem", "key.pem")
	token := filepath.Join(dir, "token")
	put(t, token, "first")
	lookup, err := resolver.NewLookup(resolver.LookupOptions{
		Timeout: resolver.Timeout,
		CAFile:  filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"),
		Refresh: func() (string, string, error) {
			now, err := trimmed(token)()
			return service.URL, now, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer lookup.Close()
	ask := func(when string, want resolver.Outcome) {
		t.Helper()
		answer := lookup.Resolve(t.Context(), []resolver.Question{{Key: resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}}})[0]
		if answer.Outcome != want {
			t.Errorf("%s: %v, %v", when, answer.Outcome, answer.Err)
		}
	}
	ask("at first", resolver.Found)
	put(t, token, "second")
	ask("before the service takes the new token", resolver.Found)
	accepted.Store("second")
	ask("when it does", resolver.Found)
	if asked.Load() != "second" {
		t.Errorf("it was asked with %q", asked.Load())
	}
	put(t, token, "second, half")
	ask("with what can be no token", resolver.Found)
	accepted.Store("third")
	ask("before we have the third", resolver.Denied)
	put(t, token, "third")
	ask("with the third", resolver.Found)

	rotate(next, "cert.pem")
	ask("with half of a pair", resolver.Found)
	rotate(next, "key.pem")
	service.CloseClientConnections()
	ask("before the service takes the new certificate", resolver.Found)
	serve(old, next)
	ask("when it does", resolver.Found)
	serve(next, next)
	ask("before we trust the new authority", resolver.Unavailable)
	rotate(next, "ca.pem")
	ask("when we do", resolver.Found)
}
