// Package tokens_test holds the fence's reading of tokens against a real
// Airflow's, and tries on a whole Caddy what may go wrong with them.
//
// Nothing here is about revoked tokens: Airflow keeps a list of them for the
// tokens of its user interface and REST API (models/revoked_token.py), but the
// Execution API of releases 3.0 to 3.3 does not look at it, so neither does the
// fence. A task's token ends with its exp, or with its key.
package tokens_test

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/config"
)

// A question is a header that reaches a deployment at some time.
type question struct {
	// Validator names the deployment.
	Validator string `json:"validator"`
	// Header is the value of Authorization, in UTF-8.
	Header string `json:"header"`
	// Now is the time in seconds since 1970.
	Now float64 `json:"now"`
}

// An answer is what Airflow makes of a question.
type answer struct {
	OK    bool   `json:"ok"`
	Sub   string `json:"sub,omitempty"`
	Scope string `json:"scope,omitempty"`
	Error string `json:"error,omitempty"`
}

// A fence verifies as the sidecars of the deployments do.
type fence struct {
	now       time.Time
	verifiers map[string]*identity.Verifier
}

// newFence makes a verifier of each deployment's settings, the same that its
// Airflow has.
func newFence(tb testing.TB, settings map[string]environment) *fence {
	tb.Helper()
	f := &fence{verifiers: map[string]*identity.Verifier{}}
	for name, variables := range settings {
		airflow, err := config.ReadAirflow(variables.lookup)
		if err != nil {
			tb.Fatal(err)
		}
		var c config.Config
		if _, err := c.FillFrom(airflow); err != nil {
			tb.Fatal(err)
		}
		c = c.WithDefaults()
		keys, err := loadKeys(c.Token)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		f.verifiers[name] = identity.New(identity.Config{
			Algorithms: c.Token.Algorithms, Audience: c.Token.Audience, Issuer: c.Token.Issuer, Leeway: time.Duration(*c.Token.Leeway),
		}, func() *identity.Keys { return keys }, func() time.Time { return f.now }, 1000)
	}
	return f
}

func loadKeys(token config.Token) (*identity.Keys, error) {
	switch {
	case token.JWKS != "":
		document, err := os.ReadFile(token.JWKS)
		if err != nil {
			return nil, err
		}
		keys, skipped, err := identity.ParseJWKS(document)
		return keys, errors.Join(append(skipped, err)...)
	case token.PublicKey != "":
		document, err := os.ReadFile(token.PublicKey)
		if err != nil {
			return nil, err
		}
		return identity.ParsePEM(document)
	}
	return identity.NewSecret([]byte(token.Secret))
}

// ask returns what the fence makes of a question.
func (f *fence) ask(q question) (identity.Task, error) {
	whole := int64(q.Now)
	f.now = time.Unix(whole, int64((q.Now-float64(whole))*1e9))
	return f.verifiers[q.Validator].Verify(q.Header)
}

// A tally counts how the fence and Airflow agreed.
type tally map[string]int

const (
	bothAccept = "accepted by both"
	bothRefuse = "refused by both"
)

// judge compares the fence's answer with Airflow's, and returns the name of how they
// compare: the property is that the fence accepts nothing else than Airflow
// does, and refuses more only for a reason that is written down.
func (f *fence) judge(t *testing.T, q question, airflow answer) string {
	t.Helper()
	task, err := f.ask(q)
	switch {
	case err != nil && !airflow.OK:
		return bothRefuse
	case err == nil && airflow.OK:
		if task.ID != airflow.Sub || task.Scope.String() != airflow.Scope {
			t.Errorf("the fence takes it for %s, %v, Airflow for %s, %s: %s", task.ID, task.Scope, airflow.Sub, airflow.Scope, show(q))
		}
		return bothAccept
	case err == nil:
		for _, grant := range grants {
			if strings.Contains(airflow.Error, grant.airflow) && grant.holds(read(q)) {
				return grant.name
			}
		}
		t.Errorf("the fence accepts what Airflow refuses (%s): %s", airflow.Error, show(q))
		return "accepted"
	}
	r := read(q)
	for _, refusal := range refusals {
		if errors.Is(err, refusal.fence) && refusal.holds(r) {
			return refusal.name
		}
	}
	t.Errorf("the fence refuses what Airflow accepts, and no reason for it is written down (%v): %s", err, show(q))
	return "refused"
}

// show writes a question for people: what its segments say, and what it is.
func show(q question) string {
	r := read(q)
	line, err := json.Marshal(q)
	if err != nil {
		return err.Error()
	}
	if len(line) > 1500 {
		line = append(line[:1500], "..."...)
	}
	return strconv.Quote(shorten(string(r.header))) + "." + strconv.Quote(shorten(string(r.claims))) + "\n" + string(line)
}

func shorten(text string) string {
	if len(text) > 400 {
		return text[:400] + "..."
	}
	return text
}

// environment holds the variables of an api-server without an airflow.cfg.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	if name == "AIRFLOW_CONFIG" {
		return os.DevNull, true
	}
	value, ok := e[name]
	return value, ok
}

// withoutAirflow is this process's environment but for what configures Airflow.
func withoutAirflow() []string {
	var kept []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AIRFLOW_") {
			kept = append(kept, pair)
		}
	}
	return kept
}
