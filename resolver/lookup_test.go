package resolver_test

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

const variableKey = "a_variable"

// service is the lookup service as its client should find it.
func service(t *testing.T, source resolver.Resolver) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/v1/owners" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the service got %s %s, %q", r.Method, r.URL, r.Header.Get("Content-Type"))
		}
		var request resolver.OwnersRequest
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			t.Errorf("reading the request: %v", err)
		}
		questions, err := request.Parse()
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		answers := source.Resolve(r.Context(), questions)
		if err := json.NewEncoder(w).Encode(resolver.NewOwnersResponse(answers, time.Now())); err != nil {
			t.Logf("answering: %v", err)
		}
	})
}

func newLookup(t *testing.T, world *resolvertest.World) resolver.Resolver {
	t.Helper()
	return lookupOf(t, service(t, world), resolver.LookupOptions{})
}

func lookupOf(t *testing.T, handler http.Handler, options resolver.LookupOptions) *resolver.Lookup {
	t.Helper()
	server := httptest.NewServer(handler)
	options.URL = server.URL
	options.Timeout = cmp.Or(options.Timeout, resolver.Timeout)
	lookup, err := resolver.NewLookup(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lookup.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return lookup
}

func TestLookup_ReadsEveryAnswer(t *testing.T) {
	t.Parallel()
	const found = `{"answers":[{"outcome":"found","team":"team_a","age_ms":0}]}`
	deny, lost := resolver.Denied, resolver.Unavailable
	for name, test := range map[string]struct {
		status   int
		media    string
		body     string
		task     bool
		outcome  resolver.Outcome
		mentions string
	}{
		"found":                  {body: found, outcome: resolver.Found},
		"found, more is said":    {body: `{"answers":[{"outcome":"found","team":"team_a","note":1}],"more":{}}`, outcome: resolver.Found},
		"not found":              {body: `{"answers":[{"outcome":"not_found"}]}`, outcome: resolver.NotFound},
		"denied":                 {body: `{"answers":[{"outcome":"denied"}]}`, outcome: deny},
		"unavailable":            {body: `{"answers":[{"outcome":"unavailable"}]}`, outcome: lost},
		"401":                    {status: 401, body: found, outcome: deny, mentions: "401"},
		"403":                    {status: 403, body: found, outcome: deny, mentions: "lookup token"},
		"404 is no absence":      {status: 404, body: found, outcome: lost, mentions: "404"},
		"204":                    {status: 204, outcome: lost},
		"429":                    {status: 429, body: found, outcome: lost},
		"500":                    {status: 500, body: found, outcome: lost},
		"503":                    {status: 503, body: found, outcome: lost},
		"text":                   {media: "text/html", body: found, outcome: lost, mentions: "application/json"},
		"no type":                {media: ";", body: found, outcome: lost},
		"empty":                  {body: "", outcome: lost},
		"garbage":                {body: "<html>", outcome: lost, mentions: "JSON"},
		"truncated":              {body: found[:len(found)-2], outcome: lost},
		"more behind it":         {body: found + found, outcome: lost},
		"null":                   {body: "null", outcome: lost},
		"no answers":             {body: `{"answers":[]}`, outcome: lost, mentions: "0 answers to 1"},
		"two answers":            {body: `{"answers":[{"outcome":"not_found"},{"outcome":"not_found"}]}`, outcome: lost},
		"unknown outcome":        {body: `{"answers":[{"outcome":"allowed","team":"team_a"}]}`, outcome: lost},
		"no outcome":             {body: `{"answers":[{"team":"team_a"}]}`, outcome: lost},
		"no team is not nobody":  {body: `{"answers":[{"outcome":"found"}]}`, outcome: lost, mentions: "team"},
		"null is not nobody":     {body: `{"answers":[{"outcome":"found","team":null}]}`, outcome: lost},
		"a team that is none":    {body: `{"answers":[{"outcome":"found","team":7}]}`, outcome: lost},
		"from the future":        {body: `{"answers":[{"outcome":"found","team":"team_a","age_ms":-1}]}`, outcome: lost, mentions: "age_ms"},
		"older than the world":   {body: `{"answers":[{"outcome":"found","team":"team_a","age_ms":9223372036854775807}]}`, outcome: lost},
		"task without identity":  {body: found, task: true, outcome: lost, mentions: "identity"},
		"task without its run":   {body: `{"answers":[{"outcome":"found","team":"","task":{"dag_id":"d","task_id":"t","map_index":-1}}]}`, task: true, outcome: lost},
		"task without map index": {body: `{"answers":[{"outcome":"found","team":"","task":{"dag_id":"d","run_id":"r","task_id":"t"}}]}`, task: true, outcome: lost},
		"too long":               {body: `{"answers":[{"outcome":"found","team":"team_a"}],"x":"` + strings.Repeat("x", 64<<10) + `"}`, outcome: lost, mentions: "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := lookupOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if test.media != "" {
					w.Header().Set("Content-Type", test.media)
				}
				if test.status != 0 {
					w.WriteHeader(test.status)
				}
				_, _ = io.WriteString(w, test.body)
			}), resolver.LookupOptions{})
			question := ask(resolver.KindVariable, variableKey)
			if test.task {
				question.Kind = resolver.KindTask
			}
			answer := resolve(t, lookup, question)
			expect(t, answer, test.outcome, "team_a")
			if test.mentions != "" && (answer.Err == nil || !strings.Contains(answer.Err.Error(), test.mentions)) {
				t.Errorf("the error is %v: want one that mentions %q", answer.Err, test.mentions)
			}
		})
	}
}

func TestLookup_FaultsAreUnavailable(t *testing.T) {
	t.Parallel()
	question := ask(resolver.KindVariable, variableKey)
	t.Run("a redirect is not followed", func(t *testing.T) {
		t.Parallel()
		elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("the redirect was followed")
		}))
		defer elsewhere.Close()
		for _, status := range []int{301, 302, 303, 307, 308} {
			lookup := lookupOf(t, http.RedirectHandler(elsewhere.URL, status), resolver.LookupOptions{Token: "a-token"})
			expect(t, resolve(t, lookup, question), resolver.Unavailable, "")
		}
	})
	t.Run("a service that hangs", func(t *testing.T) {
		t.Parallel()
		lookup := lookupOf(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection is not seen
			<-r.Context().Done()
		}), resolver.LookupOptions{Timeout: 30 * time.Millisecond})
		expect(t, resolve(t, lookup, question), resolver.Unavailable, "")
	})
	t.Run("a body that does not end", func(t *testing.T) {
		t.Parallel()
		lookup := lookupOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
			}
		}), resolver.LookupOptions{})
		expect(t, resolve(t, lookup, question), resolver.Unavailable, "")
	})
	t.Run("nobody listens, and the error says neither token nor URL", func(t *testing.T) {
		t.Parallel()
		lookup, err := resolver.NewLookup(resolver.LookupOptions{URL: "http://127.0.0.1:1/a-path", Token: "a-token", Timeout: resolver.Timeout})
		if err != nil {
			t.Fatal(err)
		}
		answer := resolve(t, lookup, question)
		expect(t, answer, resolver.Unavailable, "")
		if text := answer.Err.Error(); strings.Contains(text, "a-token") || strings.Contains(text, "a-path") {
			t.Errorf("the error is %q", text)
		}
	})
}

func TestLookup_SendsItsTokenAndKeepsTheAge(t *testing.T) {
	t.Parallel()
	const age = 1500 * time.Millisecond
	now := newClock()
	lookup := lookupOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer a-token" {
			t.Errorf("Authorization is %q", got)
		}
		if _, ok := r.Header["Idempotency-Key"]; ok {
			t.Error("the Idempotency-Key was sent")
		}
		now.pass(time.Hour) // however long the answer takes, its age counts from the question
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"answers":[{"outcome":"not_found","age_ms":%d}]}`, age.Milliseconds())
	}), resolver.LookupOptions{Token: "a-token"}.At(now.Now))
	asked := now.Now()
	answer := resolve(t, lookup, ask(resolver.KindVariable, variableKey))
	if got := asked.Sub(answer.AsOf); got > age || got < age-time.Microsecond {
		t.Errorf("the answer is as of %v before the question: want %v", got, age)
	}
}

func TestLookup_UsesTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	resolvertest.Certificates(t, dir)
	world := new(resolvertest.World)
	world.Own(resolver.KindVariable, variableKey, "team_a")
	server := httptest.NewUnstartedServer(service(t, world))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, filepath.Join(dir, "ca.pem")))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()

	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, test := range map[string]struct {
		options resolver.LookupOptions
		outcome resolver.Outcome
	}{
		"both trusted":           {resolver.LookupOptions{CAFile: ca, CertFile: cert, KeyFile: key}, resolver.Found},
		"no client certificate":  {resolver.LookupOptions{CAFile: ca}, resolver.Unavailable},
		"a service not trusted":  {resolver.LookupOptions{CertFile: cert, KeyFile: key}, resolver.Unavailable},
		"plain HTTP to TLS port": {resolver.LookupOptions{URL: "http" + strings.TrimPrefix(server.URL, "https")}, resolver.Unavailable},
	} {
		if test.options.URL == "" {
			test.options.URL = server.URL
		}
		test.options.Timeout = resolver.Timeout
		lookup, err := resolver.NewLookup(test.options)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if answer := resolve(t, lookup, ask(resolver.KindVariable, variableKey)); answer.Outcome != test.outcome {
			t.Errorf("%s: the answer is %v (%v): want %v", name, answer.Outcome, answer.Err, test.outcome)
		}
		lookup.Close()
	}
}

func TestNewLookup_RefusesInvalidOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const url, hidden = "http://lookup:8082", "hunter2"
	for name, test := range map[string]struct {
		options  resolver.LookupOptions
		mentions string
	}{
		"no url":             {resolver.LookupOptions{}, "invalid lookup URL"},
		"not a url":          {resolver.LookupOptions{URL: "http://a:" + hidden}, "invalid lookup URL"},
		"no scheme":          {resolver.LookupOptions{URL: "lookup:8082"}, "invalid lookup URL"},
		"another scheme":     {resolver.LookupOptions{URL: "redis://lookup"}, "invalid lookup URL"},
		"no host":            {resolver.LookupOptions{URL: "http:///x"}, "invalid lookup URL"},
		"password in url":    {resolver.LookupOptions{URL: "http://a:" + hidden + "@lookup"}, "lookup token"},
		"query in url":       {resolver.LookupOptions{URL: url + "?t=" + hidden}, "invalid lookup URL"},
		"token with newline": {resolver.LookupOptions{URL: url, Token: hidden + "\n"}, "lookup token"},
		"IPv6 with a port":   {resolver.LookupOptions{URL: "http://::1:8082"}, "http://[::1]:8082"},
		"IPv6":               {resolver.LookupOptions{URL: "https://2001:db8::7/"}, "http://[::1]:8082"},
		"does not parse":     {resolver.LookupOptions{URL: "http://u:" + hidden + "#" + hidden + "@lookup"}, "invalid lookup URL"},
		"no such ca":         {resolver.LookupOptions{URL: url, CAFile: filepath.Join(dir, "none.pem")}, "lookup ca: open"},
		"ca is none":         {resolver.LookupOptions{URL: url, CAFile: empty}, "holds no certificate"},
		"cert without key":   {resolver.LookupOptions{URL: url, CertFile: empty}, "tls_client"},
		"cert is none":       {resolver.LookupOptions{URL: url, CertFile: empty, KeyFile: empty}, "tls_client"},
	} {
		_, err := resolver.NewLookup(test.options)
		if err == nil || !strings.Contains(err.Error(), test.mentions) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the error is %v: want one that mentions %q and hides %q", name, err, test.mentions, hidden)
		}
	}
	if lookup, err := resolver.NewLookup(resolver.LookupOptions{URL: url + "/under/a/path/"}); err != nil || lookup == nil {
		t.Errorf("a path is refused: %v", err)
	}
}

func TestOwnersRequest_Parse(t *testing.T) {
	t.Parallel()
	asked := []resolver.Question{{Key: resolver.Key{Kind: resolver.KindTask, Name: "id"}}, {Key: resolver.Key{Kind: resolver.KindAsset, Name: "s3://b"}}}
	questions, err := resolver.NewOwnersRequest(asked).Parse()
	if err != nil || len(questions) != 2 || questions[0] != asked[0] || questions[1] != asked[1] {
		t.Errorf("%v comes back as %v, %v", asked, questions, err)
	}
	for name, request := range map[string]resolver.OwnersRequest{
		"none":     {},
		"too many": resolver.NewOwnersRequest(make([]resolver.Question, resolver.MaxQuestions+1)),
		"kind":     {Questions: []resolver.OwnersQuestion{{Name: "x"}}},
		"name":     {Questions: []resolver.OwnersQuestion{{Kind: "dag"}}},
	} {
		if _, err := request.Parse(); err == nil {
			t.Errorf("%s: the request is taken", name)
		}
	}
}

func TestOwnersResponse_RoundTrip(t *testing.T) {
	t.Parallel()
	now := time.Now()
	task := resolver.Task{DagID: "d", RunID: "r", TaskID: "t", MapIndex: -1}
	answers := []resolver.Answer{
		{Outcome: resolver.Found, Team: "team_a", Task: task, AsOf: now.Add(-1500*time.Microsecond - 1)},
		{Outcome: resolver.NotFound, AsOf: now.Add(time.Hour)},
		{Outcome: resolver.Denied, Err: errors.New("a secret of the service")},
		{},
	}
	questions := []resolver.Question{ask(resolver.KindTask, "id"), ask(resolver.KindDag, "d"), ask(resolver.KindDag, "d"), ask(resolver.KindDag, "d")}
	content, err := json.Marshal(resolver.NewOwnersResponse(answers, now))
	if err != nil || strings.Contains(string(content), "secret") {
		t.Fatalf("%s, %v", content, err)
	}
	var response resolver.OwnersResponse
	if err := json.Unmarshal(content, &response); err != nil {
		t.Fatal(err)
	}
	parsed, err := response.Parse(questions, now)
	if err != nil {
		t.Fatal(err)
	}
	for i := range answers {
		if parsed[i].Outcome != answers[i].Outcome || parsed[i].Team != answers[i].Team || parsed[i].Task != answers[i].Task {
			t.Errorf("%+v comes back as %+v", answers[i], parsed[i])
		}
	}
	if got := now.Sub(parsed[0].AsOf); got != 2*time.Millisecond {
		t.Errorf("an age of just over 1.5 ms comes back as %v: want it rounded up", got)
	}
	if !parsed[1].AsOf.Equal(now) {
		t.Errorf("an answer from the future is as of %v: want %v", parsed[1].AsOf, now)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
