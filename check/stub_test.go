package check_test

import (
	"database/sql"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

const (
	secret   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	audience = "urn:airflow.apache.org:task"
	taskA    = "018f0000-0000-7000-8000-00000000000a"
)

// A stub answers as Airflow's Execution API does to what a check asks, and
// verifies and signs tokens as it does (api_fastapi/auth/tokens.py, 3.3.2).
type stub struct {
	path     string
	version  string
	method   jwt.SigningMethod
	sign     any
	verify   any
	audience []string
	issuer   string
	ahead    time.Duration // of its clock, before ours
	late     time.Duration // of its Date, behind its clock,
	lateFor  int           // in its first answers; 0: in all
	// candid returns why a token is refused, as 3.0 to 3.2 do.
	candid bool
	// keys is what it lists as variable keys.
	keys []string
	// before, if set, answers instead of the stub where it returns true.
	before func(http.ResponseWriter, *http.Request) bool

	mu      sync.Mutex
	methods []string
}

func newStub() *stub {
	return &stub{
		path: "/execution", version: "2026-06-30", method: jwt.SigningMethodHS512,
		sign: []byte(secret), verify: []byte(secret), audience: []string{audience},
	}
}

func (s *stub) now() time.Time { return time.Now().Add(s.ahead) }

// ServeHTTP implements [http.Handler].
func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.methods = append(s.methods, r.Method)
	date := s.now()
	if s.lateFor == 0 || len(s.methods) <= s.lateFor {
		date = date.Add(-s.late)
	}
	s.mu.Unlock()
	w.Header().Set("Date", date.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	path, inside := strings.CutPrefix(r.URL.Path, s.path)
	switch {
	case s.before != nil && s.before(w, r):
	case inside && path == "/health" && r.Header.Get("Airflow-API-Version") != "":
		answer(w, http.StatusUnprocessableEntity, `{"detail":[{"type":"date_from_datetime_parsing"}]}`)
	case inside && path == "/health":
		w.Header().Set("Airflow-Api-Version", s.version)
		answer(w, http.StatusOK, `{"status":"healthy"}`)
	case inside && (path == "/variables/keys" || strings.HasSuffix(path, "/previous-successful-dagrun")):
		s.serveTask(w, r, path)
	default:
		answer(w, http.StatusNotFound, `{"detail":"Not Found"}`)
	}
}

func (s *stub) serveTask(w http.ResponseWriter, r *http.Request, path string) {
	claims, err := s.validate(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	switch {
	case r.Header.Get("Authorization") == "":
		answer(w, http.StatusUnauthorized, `{"detail":"Missing auth token"}`)
		return
	case err != nil && s.candid:
		body, _ := json.Marshal(map[string]string{"detail": "Invalid auth token: " + err.Error()})
		answer(w, http.StatusForbidden, string(body))
		return
	case err != nil:
		answer(w, http.StatusForbidden, `{"detail":"Invalid auth token"}`)
		return
	}
	if path == "/variables/keys" {
		body, _ := json.Marshal(map[string]any{"keys": s.keys, "total_entries": len(s.keys)})
		answer(w, http.StatusOK, string(body))
		return
	}
	if id, _ := claims.GetSubject(); path != "/task-instances/"+id+"/previous-successful-dagrun" {
		answer(w, http.StatusForbidden, `{"detail":"Token subject does not match task instance ID"}`)
		return
	}
	if expires, _ := claims.GetExpirationTime(); s.version > "2025-08-10" && expires.Sub(s.now()) <= max(30*time.Second, lifetime(claims)/5) {
		w.Header().Set("Refreshed-API-Token", s.refresh(claims))
	}
	answer(w, http.StatusOK, `{"data_interval_start":null}`)
}

func (s *stub) validate(token string) (jwt.MapClaims, error) {
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{s.method.Alg()}), jwt.WithAudience(s.audience...), jwt.WithIssuedAt(), jwt.WithExpirationRequired(),
		jwt.WithLeeway(10 * time.Second), jwt.WithTimeFunc(s.now),
	}
	if s.issuer != "" {
		options = append(options, jwt.WithIssuer(s.issuer))
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return s.verify, nil }, options...)
	return claims, err
}

func lifetime(claims jwt.MapClaims) time.Duration {
	expires, _ := claims.GetExpirationTime()
	issued, _ := claims.GetIssuedAt()
	return expires.Sub(issued.Time)
}

// refresh signs the claims anew, its own audience and issuer over them.
func (s *stub) refresh(claims jwt.MapClaims) string {
	now := s.now()
	claims["aud"], claims["iat"], claims["nbf"], claims["exp"] = s.audience[0], now.Unix(), now.Unix(), now.Add(10*time.Minute).Unix()
	if s.issuer != "" {
		claims["iss"] = s.issuer
	}
	signed, _ := jwt.NewWithClaims(s.method, claims).SignedString(s.sign)
	return signed
}

func answer(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// start serves the stub until the test ends, and holds it to GET.
func (s *stub) start(t *testing.T) *url.URL {
	t.Helper()
	t.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if slices.ContainsFunc(s.methods, func(method string) bool { return method != http.MethodGet }) {
			t.Errorf("upstream was sent %q", s.methods)
		}
	})
	return serve(t, s)
}

func serve(t *testing.T, handler http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return parse(t, server.URL)
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// right is a fence whose settings are right for a fresh stub.
func right(t *testing.T) check.Options {
	t.Helper()
	options := check.Options{
		Fence: config.Config{
			Token:         config.Token{Secret: secret},
			Database:      "sqlite:///" + airflowDatabase(t),
			OwnershipFile: write(t, "owners.yaml", "dags: {dag_a: team_a}\nvariables: {var_a: team_a, var_b: team_b}\n"),
		},
	}
	options.SetEnvironment(func(string) (string, bool) { return "", false })
	options.SetAddresses()
	return options
}

// airflowDatabase is a metadata database as Airflow 3.3 makes it, empty.
func airflowDatabase(t *testing.T) string {
	t.Helper()
	tables, err := os.ReadFile("../lookup/testdata/airflow-3.3.sqlite.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "airflow.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	// The file is a test's own: nothing has to survive a crash.
	if _, err := db.ExecContext(t.Context(), "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY;"+string(tables)); err != nil {
		t.Fatal(err)
	}
	return path
}

// findings are what a round of checks found.
type findings []check.Finding

// atFence checks, and holds every finding to one line without a secret.
func atFence(t *testing.T, options check.Options, secrets ...string) findings {
	t.Helper()
	var found findings
	check.AtFence(t.Context(), options, func(f check.Finding) { found = append(found, f) })
	if len(found) < 8 {
		t.Errorf("%d findings", len(found))
	}
	for _, f := range found {
		for _, secret := range append(secrets, secret, "eyJ") {
			if strings.Contains(f.Text, secret) {
				t.Errorf("%s shows %q: %s", f.Check, secret, f.Text)
			}
		}
		if f.Text == "" || strings.ContainsAny(f.String(), "\r\n") {
			t.Errorf("not a line: %q", f.String())
		}
	}
	return found
}

// want checks that the findings of one check are one: in the state, with the
// text in it; and that no other check found a problem or a warning.
func (found findings) want(t *testing.T, state check.State, name, text string) {
	t.Helper()
	seen := false
	for _, f := range found {
		switch {
		case f.Check == name && f.State == state && strings.Contains(f.Text, text):
			seen = true
		case f.Check == name, f.State == check.Problem, f.State == check.Warning:
			t.Errorf("found  %s\nwanted %s: %s ... %s", f, state, name, text)
		}
	}
	if !seen {
		t.Errorf("no %s says %s: %q; there are %v", name, state, text, found)
	}
}

// quiet is the log of a server whose clients are meant to fail.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
