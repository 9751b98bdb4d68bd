package faults_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// failure is a request of [steadily] that was not answered 200.
type failure struct {
	began, ended time.Time
	status       int
}

// steadily sends requests, as ask does, from two clients until stop is called,
// which returns those that failed. ask returns the answer's status.
func steadily(t *testing.T, ask func() int) (stop func() []failure) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	var mu sync.Mutex
	var failures []failure
	var sent atomic.Int64
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for ctx.Err() == nil {
				began, status := time.Now(), ask()
				sent.Add(1)
				if status != http.StatusOK {
					mu.Lock()
					failures = append(failures, failure{began, time.Now(), status})
					mu.Unlock()
				}
				time.Sleep(5 * ms)
			}
		})
	}
	return func() []failure {
		sidecar.Within(t, waitLong, "enough requests are sent to prove something", func() bool { return sent.Load() >= 10 })
		cancel()
		clients.Wait()
		t.Logf("%d requests, %d failed", sent.Load(), len(failures))
		return failures
	}
}

// askNew returns what asks for one new name after another.
func (f *fence) askNew(t *testing.T) func() int {
	t.Helper()
	return func() int { return f.get(t, fmt.Sprintf("a_%d", f.round.Add(1)%names)).status }
}

// wantNone fails the test where requests failed that were not under way in a
// window.
func wantNone(t *testing.T, failures []failure, from, to time.Time) {
	t.Helper()
	outside := slices.DeleteFunc(failures, func(f failure) bool { return f.ended.After(from) && f.began.Before(to) })
	if len(outside) > 0 {
		t.Errorf("%d requests failed, the first with %d", len(outside), outside[0].status)
	}
}

// Credentials change in two places, one after the other, and connections end in
// between. The fence follows without a restart, in either order.
func TestCredentialsThatRotate_NeedNoRestart(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for name, rotates := range map[string]func(*testing.T, *database){
		"the passfile of a database": func(t *testing.T, db *database) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "pass")
			rotatesPassword(t, db, "fence_passfile", "postgresql://fence_passfile@"+db.Addr+"/airflow?passfile="+path, path, "*:*:*:*:%s\n")
		},
		"the placeholder of a database": func(t *testing.T, db *database) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "password")
			rotatesPassword(t, db, "fence_file", "postgresql+psycopg2://fence_file:{file."+path+"}@"+db.Addr+"/airflow", path, "%s")
		},
		"the placeholder of a redis": rotatesRedis,
		"the token of lookup":        rotatesLookupToken,
		"the pair of --tls-cert":     rotatesServed,
		"the file of --upstream-ca":  rotatesAuthorities,
		"the file of a public key":   rotatesPublicKey,
		"the file of a JSON key set": rotatesKeySetFile,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rotates(t, db)
		})
	}
}

func rotatesPassword(t *testing.T, db *database, role, url, path, content string) {
	t.Helper()
	var hba string
	admin := db.connect(t, "CREATE ROLE "+role+" LOGIN IN ROLE pg_read_all_data")
	if err := admin.QueryRow(t.Context(), "SHOW hba_file").Scan(&hba); err != nil {
		t.Fatal(err)
	}
	setAt := func(password string) {
		t.Helper()
		for _, statement := range []string{
			"COPY (VALUES ('host all airflow all trust'), ('local all all trust'), ('host all all all scram-sha-256')) TO '" + hba + "'",
			"SELECT pg_reload_conf()",
			"ALTER ROLE " + role + " PASSWORD '" + password + "'",
			"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = '" + role + "'",
		} {
			if _, err := admin.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	setHere := func(password string) { t.Helper(); put(t, path, fmt.Appendf(nil, content, password)) }
	setAt("first")
	setHere("first")
	f := start(t, "--database", url)
	f.WaitReady(t)

	stop := steadily(t, f.askNew(t))
	setHere("second")
	time.Sleep(50 * ms) // requests
	changed := time.Now()
	setAt("second")
	followed := time.Now()
	time.Sleep(50 * ms)
	wantNone(t, stop(), changed, followed) // what was under way as connections ended

	stop = steadily(t, f.askNew(t))
	changed = time.Now()
	setAt("third")
	sidecar.Within(t, waitLong, "the old password is refused", func() bool { return f.askNew(t)() == http.StatusServiceUnavailable })
	setHere("third")
	sidecar.Within(t, deadline+slack, "the new password is used", func() bool { return f.askNew(t)() == http.StatusOK })
	followed = time.Now()
	time.Sleep(50 * ms)
	wantNone(t, stop(), changed, followed)
	for _, password := range []string{"first", "second", "third"} {
		if strings.Contains(f.Output(), password) {
			t.Errorf("password %q is in the log", password)
		}
	}
}

func rotatesRedis(t *testing.T, db *database) {
	t.Helper()
	server := services.Redis(t)
	admin := server.Client(t).Conn()
	defer admin.Close()
	path := filepath.Join(t.TempDir(), "redis")
	setAt := func(password string) {
		t.Helper()
		for _, command := range [][]any{{"CONFIG", "SET", "requirepass", password}, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}} {
			if err := admin.Do(t.Context(), command...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	setHere := func(password string) { t.Helper(); put(t, path, []byte(password+"\n")) }
	setAt("first")
	setHere("first")
	f := start(t, "--database", db.url, "--redis", "redis://:{file."+path+"}@"+server.Addr)
	sidecar.Within(t, waitLong, "redis is in use", f.asksRedis(t))
	stop := steadily(t, f.askNew(t))
	setHere("second")
	sidecar.Within(t, waitLong, "redis is in use before it takes the new password", f.asksRedis(t))
	setAt("second")
	sidecar.Within(t, waitLong, "redis is in use when it does", f.asksRedis(t))
	vain := func() float64 {
		return f.Metric(t, `tier="redis"`, `result="error"`) + f.Metric(t, `tier="redis"`, `result="bypass"`)
	}
	before := vain()
	setAt("third")
	refused := func() bool { return vain() > before+2 }
	sidecar.Within(t, waitLong, "redis refuses the old password", refused)
	setHere("third")
	sidecar.Within(t, waitLong, "redis is in use with the third", f.asksRedis(t))
	wantNone(t, stop(), time.Time{}, time.Time{})
}

func rotatesLookupToken(t *testing.T, db *database) {
	t.Helper()
	server, client := filepath.Join(t.TempDir(), "server"), filepath.Join(t.TempDir(), "client")
	put(t, server, []byte("first\n"))
	put(t, client, []byte("first\n"))
	service := sidecar.Lookup(t, "--database", db.url, "--token-file", server)
	service.WaitReady(t)
	p := newProcess(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	put(t, file, fmt.Appendf(nil, "{\nadmin off\npersist_config off\nauto_https off\n}\n%sdagfence {\nlookup http://%s {\ntoken {file.%s}\n}\n}\nrespond upstream\n}\n%sdagfence_status\n}\n",
		sidecar.Site(p.Addr), service.Addr, client, sidecar.Site(p.Status)))
	p.run(t, "run", "--config", file)
	token := processToken(t)
	var number atomic.Int64
	ask := func() int {
		return p.answer(t, token, http.MethodGet, fmt.Sprintf("/variables/a_%d", number.Add(1)%names))
	}
	stop := steadily(t, ask)
	for _, step := range []struct{ path, content string }{
		{server, "first\nsecond\n"}, {client, "second\n"}, {server, "second\n"}, // as documented
		{client, "third\n"}, {server, "second\nthird\n"}, {server, "third\n"}, // the fence comes first
		{client, ""}, {server, ""}, // half-written
	} {
		put(t, step.path, []byte(step.content))
		time.Sleep(50 * ms)
	}
	wantNone(t, stop(), time.Time{}, time.Time{})
	put(t, server, []byte("fourth\n"))
	if status := ask(); status != http.StatusForbidden {
		t.Errorf("with a token that was taken out: %d", status)
	}
	put(t, client, []byte("fourth\n"))
	if status := ask(); status != http.StatusOK {
		t.Errorf("with the fourth: %d", status)
	}
}

// pair reads a certificate with its key.
func pair(t *testing.T, of *sidecar.Certificate) *tls.Certificate {
	t.Helper()
	read, err := tls.LoadX509KeyPair(of.Cert, of.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &read
}

func rotatesServed(t *testing.T, _ *database) {
	t.Helper()
	certificates := []*sidecar.Certificate{sidecar.NewCertificate(t, "even"), sidecar.NewCertificate(t, "odd")}
	current := sidecar.NewCertificate(t, "current")
	certificates[0].Install(t, current)
	lookup, _ := processOwners(t)
	f := start(t, "--lookup", lookup, "--tls-cert", current.Cert, "--tls-key", current.Key)
	trusted := x509.NewCertPool()
	for _, certificate := range certificates {
		trusted.AddCert(pair(t, certificate).Leaf)
	}
	client := &http.Client{Timeout: waitLong, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted, ServerName: "localhost", MinVersion: tls.VersionTLS12},
	}}
	ask := func() (status int, shown *x509.Certificate) {
		answered, err := client.Get("https://" + f.Addr + "/execution/health")
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		answered.Body.Close()
		return answered.StatusCode, answered.TLS.PeerCertificates[0]
	}
	stop := steadily(t, func() int { status, _ := ask(); return status })
	for round := range 10 {
		next := certificates[(round+1)%2]
		for _, file := range []struct{ from, to string }{{next.Key, current.Key}, {next.Cert, current.Cert}} {
			content, err := os.ReadFile(file.from)
			if err != nil {
				t.Fatal(err)
			}
			put(t, file.to, content)
			time.Sleep(20 * ms) // handshakes, half-way through too
		}
		sidecar.Within(t, waitLong, "the new certificate is shown", func() bool {
			_, shown := ask()
			return shown != nil && shown.Equal(pair(t, next).Leaf)
		})
	}
	wantNone(t, stop(), time.Time{}, time.Time{})
	if !strings.Contains(f.Output(), "private key does not match public key") {
		t.Error("half of a pair is not logged")
	}
}

func rotatesAuthorities(t *testing.T, _ *database) {
	t.Helper()
	old, next := sidecar.NewCertificate(t, "old"), sidecar.NewCertificate(t, "next")
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(pair(t, old))
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	upstream.Config.SetKeepAlivesEnabled(false) // so that each request makes a connection
	upstream.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*shown.Load()}, MinVersion: tls.VersionTLS12}, nil
	}}
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	contents := func(of *sidecar.Certificate) []byte {
		content, err := os.ReadFile(of.Cert)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	put(t, ca, contents(old))
	lookup, _ := processOwners(t)
	f := &fence{Dagfence: sidecar.Proxy(t, upstream.URL, "--lookup", lookup, "--upstream-ca", ca), client: newClient()}
	t.Cleanup(f.client.CloseIdleConnections)
	ask := func() int { return f.send(t, "", "GET /health").status }
	stop := steadily(t, ask)
	for _, step := range []func(){
		func() { put(t, ca, append(contents(old), contents(next)...)) },
		func() { shown.Store(pair(t, next)) },
		func() { put(t, ca, contents(next)) },
		func() { put(t, ca, []byte("garbage")) },
	} {
		step()
		time.Sleep(50 * ms)
	}
	wantNone(t, stop(), time.Time{}, time.Time{})
	shown.Store(pair(t, old))
	if status := ask(); status != http.StatusBadGateway {
		t.Errorf("a certificate of the old authority is answered %d", status)
	}
	put(t, ca, contents(old))
	if status := ask(); status != http.StatusOK {
		t.Errorf("when it is trusted again: %d", status)
	}
}

// rotatesKeys tries a key of tokens right after it was put in place.
func rotatesKeys(t *testing.T, option string, file func(kid string) []byte, sign func(kid string) string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	put(t, path, file("a"))
	p, _ := rotated(t, option+" "+path)
	for _, kid := range []string{"a", "b", "c", "d"} {
		put(t, path, file(kid))
		if status := p.answer(t, sign(kid), http.MethodGet, "/variables/var_a"); status != http.StatusOK {
			t.Errorf("a token under key %s, which was just put in place, is answered %d", kid, status)
		}
	}
	put(t, path, []byte("garbage"))
	if status := p.answer(t, sign("d"), http.MethodGet, "/variables/warm_1"); status != http.StatusOK {
		t.Errorf("with garbage in the file: %d", status)
	}
	if status := p.answer(t, sign("a"), http.MethodGet, "/variables/var_a"); status != http.StatusForbidden {
		t.Errorf("a token under a key that was taken out is answered %d", status)
	}
}

func rotatesPublicKey(t *testing.T, _ *database) {
	t.Helper()
	rotatesKeys(t, "public_key", func(kid string) []byte {
		encoded, err := x509.MarshalPKIXPublicKey(keyOf(kid).Public())
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded})
	}, func(kid string) string {
		// Airflow names the key by its RFC 7638 thumbprint.
		thumbprint, err := (&jose.JSONWebKey{Key: keyOf(kid).Public()}).Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return signedAs(t, keyOf(kid), base64.RawURLEncoding.EncodeToString(thumbprint))
	})
}

func rotatesKeySetFile(t *testing.T, _ *database) {
	t.Helper()
	rotatesKeys(t, "jwks", func(kid string) []byte { return keySetOf(t, kid) }, func(kid string) string { return signedBy(t, kid) })
}
