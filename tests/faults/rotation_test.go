package faults_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// rotated runs a fence whose tokens are verified as the options of token say.
func rotated(t *testing.T, options string) (*process, *sidecar.Recorder) {
	t.Helper()
	lookup, _ := processOwners(t)
	upstream := sidecar.NewRecorder(t)
	p := newProcess(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	content := fmt.Sprintf(`{
	admin %[1]s {
		origins %[1]s # or localhost and 127.0.0.1 alone
	}
	persist_config off
	auto_https off
}
%s	log {
		format filter {
			resp_headers>Refreshed-Api-Token delete
		}
	}
	dagfence {
		token {
			%s
		}
		lookup %s
	}
	reverse_proxy %s
}
%s	dagfence_status
}
`, p.admin, sidecar.Site(p.Addr), options, lookup, upstream.Addr, sidecar.Site(p.Status))
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, "run", "--config", file, "--adapter", "caddyfile")
	return p, upstream
}

// put replaces a file at once, as a mounted secret is.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".next", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

func TestRotation_OfASecretRefusesNoToken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	put(t, path, []byte("the secret number 0"))
	p, upstream := rotated(t, "secret_file "+path)
	var forged, passed atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 4 { // somebody always sends what does not verify
		group.Go(func() {
			token := sidecar.Token(t, "another secret", taskA, nil)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusForbidden {
					t.Errorf("a forged token is answered %d", code)
				}
				forged.Add(1)
			}
		})
	}
	for number := range 30 {
		secret := fmt.Sprintf("the secret number %d", number)
		put(t, path, []byte(secret))
		for range 5 {
			token := sidecar.Token(t, secret, taskA, func(claims jwt.MapClaims) { claims["jti"] = time.Now().String() })
			if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusOK {
				t.Errorf("a token under the secret of the moment is answered %d", code)
			}
			passed.Add(1)
		}
		old := sidecar.Token(t, fmt.Sprintf("the secret number %d", number-1), taskA, nil)
		if code := p.answer(t, old, http.MethodGet, "/variables/var_a"); code != http.StatusForbidden {
			t.Errorf("a token under the secret of before is answered %d", code)
		}
	}
	close(stop)
	group.Wait()
	t.Logf("%d tokens passed, %d forged ones did not", passed.Load(), forged.Load())
	if arrived := len(upstream.Take()); arrived != int(passed.Load()) {
		t.Errorf("%d requests reached upstream, %d passed", arrived, passed.Load())
	}
}

// keySet is a JWKS server that counts.
type keySet struct {
	fetched atomic.Int64
	mu      sync.Mutex
	body    []byte
	status  int
}

func (s *keySet) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.fetched.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.WriteHeader(s.status)
	_, _ = w.Write(s.body)
}

func (s *keySet) publish(t *testing.T, status int, kids ...string) {
	t.Helper()
	body := keySetOf(t, kids...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.status = body, status
}

// keySetOf is the JSON Web Key Set of these keys.
func keySetOf(t *testing.T, kids ...string) []byte {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, kid := range kids {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: keyOf(kid).Public(), KeyID: kid})
	}
	body, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// keyOf is the key pair of a kid, the same in every run.
func keyOf(kid string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte(kid[:1]), ed25519.SeedSize))
}

func signedBy(t *testing.T, kid string) string {
	t.Helper()
	return signedAs(t, keyOf(kid), kid)
}

// signedAs signs a token of taskA, whose header names the key by kid.
func signedAs(t *testing.T, key ed25519.PrivateKey, kid string) string {
	t.Helper()
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"sub": taskA, "scope": "execution", "aud": "urn:airflow.apache.org:task", "jti": "x",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	})
	token.Header["kid"] = kid
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestRotation_OfAKeySetRefusesNoToken(t *testing.T) {
	t.Parallel()
	keys := new(keySet)
	keys.publish(t, http.StatusOK, "a")
	server := httptest.NewServer(keys)
	defer server.Close()
	p, upstream := rotated(t, "jwks "+server.URL)
	started := time.Now()
	passes := func(kid string) {
		t.Helper()
		if code := p.answer(t, signedBy(t, kid), http.MethodGet, "/variables/var_a"); code != http.StatusOK {
			t.Errorf("a token under key %s is answered %d", kid, code)
		}
	}
	passes("a")
	keys.publish(t, http.StatusOK, "a", "b")
	time.Sleep(time.Until(started.Add(11 * time.Second))) // a fetch is allowed each 10 s
	passes("b")
	passes("a")

	// Ten thousand tokens under kids that nobody knows.
	before, begun := keys.fetched.Load(), time.Now()
	var group sync.WaitGroup
	for client := range 8 {
		token := signedBy(t, fmt.Sprintf("%c, unknown", 'm'+client))
		group.Go(func() {
			for range 10_000 / 8 {
				if code := p.answer(t, token, http.MethodGet, "/variables/var_a"); code != http.StatusForbidden {
					t.Errorf("an unknown key is answered %d", code)
				}
			}
		})
	}
	group.Wait()
	took := time.Since(begun)
	fetched := keys.fetched.Load() - before
	t.Logf("10000 unknown keys in %v: %d fetches", took.Round(time.Millisecond), fetched)
	if fetched > 1+int64(took/(10*time.Second)) {
		t.Errorf("%d fetches in %v, want one each 10 s", fetched, took)
	}

	// The server fails, and the configuration is loaded again all the same.
	keys.publish(t, http.StatusInternalServerError)
	content, err := os.ReadFile(p.args[2])
	if err != nil {
		t.Fatal(err)
	}
	if code, body := p.load(t, strings.Replace(string(content), "dagfence {", "dagfence {\n\t\tmode audit", 1)); code != http.StatusOK {
		t.Fatalf("load: %d %s", code, body)
	}
	passes("a")
	passes("b")
	upstream.Take()
}

// What a token is renewed with reaches the task as upstream sent it, and no log.
func TestRenewedToken_ReachesTheTaskAndNoLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "secret")
	put(t, path, []byte(secret))
	p, upstream := rotated(t, "secret_file "+path)
	renewed := sidecar.Token(t, secret, taskA, func(claims jwt.MapClaims) { claims["jti"] = "renewed" })
	upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Refreshed-API-Token", renewed)
		if r.Method == http.MethodPost {
			panic(http.ErrAbortHandler) // which Caddy logs as an error of upstream's
		}
	})
	token := processToken(t)
	for _, request := range []string{
		"GET /variables/var_a", "PUT /task-instances/" + taskA + "/heartbeat", "GET /variables/var_b", "POST /dag-runs/dag_a/r",
	} {
		method, target, _ := strings.Cut(request, " ")
		answered, err := processClient.Do(p.request(t, token, method, target, nil))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answered.Body)
		answered.Body.Close()
		if got := answered.Header.Get("Refreshed-API-Token"); answered.StatusCode == http.StatusOK && got != renewed {
			t.Errorf("%s: renewed with %q", request, got)
		}
	}
	if code, want := p.answer(t, token, http.MethodPost, "/dag-runs/dag_a/r"), http.StatusBadGateway; code != want {
		t.Errorf("answered %d, want %d", code, want)
	}
	sidecar.Eventually(t, 5*time.Second, func() error {
		for _, event := range []string{"handled request", `"msg":"request refused"`, `"level":"error"`} {
			if !strings.Contains(p.Output(), event) {
				return fmt.Errorf("no %s in the log", event)
			}
		}
		return nil
	})
	for name, secret := range map[string]string{"the token": token, "the renewed token": renewed, "the secret": secret} {
		if strings.Contains(p.Output(), secret) || strings.Contains(p.Output(), secret[strings.LastIndex(secret, ".")+1:]) {
			t.Errorf("%s is in the log", name)
		}
	}
}
