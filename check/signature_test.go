package check_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

// Each way in which the token settings of the fence and upstream can differ has
// words of its own.
func TestTokenSettings_AreComparedWithUpstream(t *testing.T) {
	t.Parallel()
	const settings = "token settings"
	for name, tc := range map[string]struct {
		fence func(*config.Token)
		stub  func(*stub)
		state check.State
		text  string
	}{
		"the same":        {nil, nil, check.OK, "accept each other's"},
		"the same issuer": {func(f *config.Token) { f.Issuer = []string{"me"} }, func(s *stub) { s.issuer = "me" }, check.OK, "accept each other's"},
		"one of more":     {func(f *config.Token) { f.Audience = []string{"x", audience} }, nil, check.OK, "accept each other's"},
		"HS256 on both":   {func(f *config.Token) { f.Algorithms = []string{"HS256"} }, func(s *stub) { s.method = jwt.SigningMethodHS256 }, check.OK, ""},
		"Airflow 3.0":     {nil, func(s *stub) { s.version = "2025-08-10" }, check.OK, "accept each other's"},
		"another secret":  {nil, func(s *stub) { s.verify = []byte("another") }, check.Problem, "set token secret to the api-server's AIRFLOW__API_AUTH__JWT_SECRET"},
		"a line break more upstream": {
			nil, func(s *stub) { s.verify = []byte(secret + "\n") }, check.Problem, "but accepts one signed with it with a line break at its end",
		},
		"a line break more here": {
			func(f *config.Token) { f.Secret = secret + "\n" }, nil, check.Problem, "but accepts one signed with it without the line break at its end",
		},
		"whitespace more here": {
			func(f *config.Token) { f.Secret = " " + secret }, nil, check.Problem, "but accepts one signed with it without the whitespace around it",
		},
		"words of Airflow": {nil, func(s *stub) { s.verify, s.candid = []byte("another"), true }, check.Problem, "signature is invalid"},
		"default audience upstream": {
			func(f *config.Token) { f.Audience = []string{"tasks"} }, nil, check.Problem,
			`it is for "urn:airflow.apache.org:task", and token audience is ["tasks"]`,
		},
		"unknown audience upstream": {nil, func(s *stub) { s.audience = []string{"x"} }, check.Problem, "AIRFLOW__EXECUTION_API__JWT_AUDIENCE"},
		"upstream signs for another of its audiences": {
			nil, func(s *stub) { s.audience = []string{"x", audience} }, check.Problem, `it is for "x"`,
		},
		"default audience on 3.0": {
			func(f *config.Token) { f.Audience = []string{"tasks"} }, func(s *stub) { s.version = "2025-08-10" }, check.Problem,
			`token audience is ["tasks"]`,
		},
		"an issuer here alone":  {func(f *config.Token) { f.Issuer = []string{"me"} }, nil, check.Problem, "upstream names no issuer"},
		"an issuer there alone": {nil, func(s *stub) { s.issuer = "me" }, check.Problem, "AIRFLOW__API_AUTH__JWT_ISSUER"},
		"two issuers": {
			func(f *config.Token) { f.Issuer = []string{"me"} }, func(s *stub) { s.issuer, s.candid = "you", true }, check.Problem, "issuer",
		},
		"another algorithm":               {nil, func(s *stub) { s.method = jwt.SigningMethodHS256 }, check.Problem, `it is signed by "HS256": set token algorithms`},
		"the refreshed token is stripped": {nil, func(s *stub) { s.before = stripped }, check.Warning, "Refreshed-API-Token does not arrive"},
		"Authorization is stripped": {nil, func(s *stub) {
			s.before = func(_ http.ResponseWriter, r *http.Request) bool { r.Header.Del("Authorization"); return false }
		}, check.Problem, "let the proxies before it pass the Authorization header"},
		"upstream fails": {nil, func(s *stub) { s.before = failing }, check.Problem, "upstream answers 500"},
		"a page refuses": {nil, func(s *stub) { s.before = page }, check.Problem, "upstream answers 403, unlike the Execution API"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			if tc.fence != nil {
				tc.fence(&options.Fence.Token)
			}
			if tc.stub != nil {
				tc.stub(s)
			}
			options.Upstream = s.start(t)
			atFence(t, options).want(t, tc.state, settings, tc.text)
		})
	}
}

func forTasks(r *http.Request) bool { return r.Header.Get("Authorization") != "" }

func failing(w http.ResponseWriter, r *http.Request) bool {
	if forTasks(r) {
		answer(w, http.StatusInternalServerError, `{"message":"Internal server error"}`)
	}
	return forTasks(r)
}

func page(w http.ResponseWriter, r *http.Request) bool {
	if forTasks(r) {
		answer(w, http.StatusForbidden, "<html>")
	}
	return forTasks(r)
}

// stripped lets a stub answer, and takes the token of its own away.
func stripped(w http.ResponseWriter, r *http.Request) bool {
	if forTasks(r) {
		newStub().ServeHTTP(&stripping{w}, r)
	}
	return forTasks(r)
}

type stripping struct{ http.ResponseWriter }

func (s *stripping) WriteHeader(status int) {
	s.Header().Del("Refreshed-Api-Token")
	s.ResponseWriter.WriteHeader(status)
}

// A wrong clock is reported once, and does not hide findings about tokens.
func TestClock_IsComparedWithUpstreams(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		version string
		ahead   time.Duration
		late    time.Duration // of the Date alone
		lateFor int
		state   check.State
		text    string
	}{
		"together":            {"2026-06-30", 0, 0, 0, check.OK, "of 10s that token leeway allows"},
		"near":                {"2026-06-30", 8 * time.Second, 0, 0, check.OK, "s apart"},
		"ahead":               {"2026-06-30", time.Hour, 0, 0, check.Problem, "ahead of this one"},
		"behind":              {"2026-06-30", -time.Hour, 0, 0, check.Problem, "behind this one"},
		"behind, by Date":     {"2025-08-10", -time.Hour, 0, 0, check.Problem, "behind this one"},
		"ahead, by Date":      {"2025-08-10", time.Hour, 0, 0, check.Problem, "ahead of this one"},
		"a Date that was old": {"2025-08-10", 0, time.Hour, 3, check.OK, "of 10s"},
		"a Date that is old":  {"2026-06-30", 0, time.Hour, 0, check.OK, "of 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, options := newStub(), right(t)
			s.version, s.ahead, s.late, s.lateFor = tc.version, tc.ahead, tc.late, tc.lateFor
			options.Upstream = s.start(t)
			found := atFence(t, options)
			found.want(t, tc.state, "clock", tc.text)
			for _, f := range found {
				if f.Check == "token settings" && f.State != check.OK {
					t.Errorf("found %s", f)
				}
			}
		})
	}
}

// Whatever answers as upstream decides how far the clocks are apart: it must not
// get a token that is good for as long.
func TestClock_DaysApartSignsNoToken(t *testing.T) {
	t.Parallel()
	s, options := newStub(), right(t)
	s.ahead = 20 * 365 * 24 * time.Hour
	options.Upstream = s.start(t)
	found := atFence(t, options)
	found.want(t, check.Problem, "clock", "ahead of this one")
	wantFinding(t, found, "token settings", check.NotChecked, "the clocks are more than 2h0m0s apart: set them first")
}
