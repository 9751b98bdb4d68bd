package tokens_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// Airflow signs the tokens of its user interface and REST API with the same
// secret, for another audience ([api_auth] jwt_audience).
func TestToken_ForTheCoreAPIIsRefused(t *testing.T) {
	e := newEdge(t, "secret "+secret)
	airflow := signer{"HS512", "not-used", []byte(secret)}
	e.passes(t, airflow.issue(t, nil))
	for _, change := range []map[string]any{
		{"aud": "apache-airflow"},
		{"aud": []string{"apache-airflow"}},
		{"aud": "apache-airflow", "sub": "1", "role": "admin"},
	} {
		e.refused(t, airflow.issue(t, change), "another audience")
	}
}

// takes is the scopes that Airflow takes where it does not take "execution"
// alone (require_auth in execution_api/security.py); the table is compared with
// the releases' own routers.
var takes = map[string][]string{
	"GET /connection-tests/{connection_test_id}/connection": {"workload"},
	"PATCH /callbacks/{callback_id}/run":                    {"callback"},
	"PATCH /connection-tests/{connection_test_id}":          {"workload"},
	"PATCH /task-instances/{task_instance_id}/run":          {"execution", "workload"},
}

func scopesOf(endpoint string) []string {
	if scopes, ok := takes[endpoint]; ok {
		return scopes
	}
	return []string{"execution"}
}

func TestEndpoint_TakesAirflowsScopes(t *testing.T) {
	e := newEdge(t, "secret "+secret)
	airflow := signer{"HS512", "not-used", []byte(secret)}
	for _, r := range route.Table() {
		endpoint := r.Method + " " + r.Pattern
		path := fill(r.Pattern) + "?dag_id=dag_a"
		if r.Kind == route.Asset {
			path = fill(r.Pattern) + "?name=a&uri=a&alias_name=a&key=k"
		}
		for _, scope := range []string{"execution", "workload", "callback"} {
			wanted := r.Kind == route.Public || r.NeedsToken() && slices.Contains(scopesOf(endpoint), scope)
			status, body, arrived := e.send(t, r.Method, path, airflow.issue(t, map[string]any{"scope": scope}), "Airflow-API-Version: "+r.Since)
			if arrived != wanted || (!wanted && status != http.StatusForbidden) {
				t.Errorf("%s, scope %s: %d %s, arrived: %v, want %v", endpoint, scope, status, body, arrived, wanted)
			}
		}
	}
}

// fill writes the task's own names for a pattern's parameters.
func fill(pattern string) string {
	return strings.NewReplacer(
		"{task_instance_id}", taskID, "{connection_test_id}", taskID, "{dag_id}", "dag_a", "{run_id}", "r1", "{task_id}", "t1",
		"{key:path}", "k", "{variable_key:path}", "v", "{callback_id}", taskID, "{connection_id:path}", "c", "{offset}", "0",
	).Replace(pattern)
}

// A keyServer serves a JWKS that rotates, and counts how often it is asked.
type keyServer struct {
	body    atomic.Pointer[[]byte]
	fetched atomic.Int32
}

func (s *keyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.fetched.Add(1)
	_, _ = w.Write(*s.body.Load())
}

// rotate makes a new key the only one.
func (s *keyServer) rotate(t *testing.T, kid string) signer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	body := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: kid, Key: public}}}))
	s.body.Store(&body)
	return signer{"EdDSA", kid, private}
}

// TestUnknownKids_FloodNeitherFetchesNorDelaysRotation runs against the real
// clock: the bound between two fetches is ten seconds, as Airflow's.
func TestUnknownKids_FloodNeitherFetchesNorDelaysRotation(t *testing.T) {
	keys := new(keyServer)
	old := keys.rotate(t, "old")
	server := httptest.NewServer(keys)
	t.Cleanup(server.Close)
	e := newEdge(t, "jwks "+server.URL)
	started := time.Now()
	remembered := old.issue(t, nil)
	e.passes(t, remembered)

	successor := keys.rotate(t, "new")
	const bound = 10 * time.Second
	forged := 0
	for every := time.Tick(4 * time.Millisecond); keys.fetched.Load() == 1 && time.Since(started) < 3*bound; forged++ {
		e.refused(t, signer{"EdDSA", fmt.Sprint("unknown ", forged), old.key}.issue(t, nil), "unknown key")
		<-every
	}
	if waited := time.Since(started); waited < bound-time.Second || forged < 1000 {
		t.Errorf("fetched anew after %v and %d unknown kids, want %v and a thousand", waited, forged, bound)
	}
	e.passes(t, successor.issue(t, nil))
	e.refused(t, remembered, "unknown key")
	for i := range 1000 {
		e.refused(t, signer{"EdDSA", fmt.Sprint("unknown again ", i), old.key}.issue(t, nil), "unknown key")
	}
	if fetched, most := keys.fetched.Load(), 1+int32(time.Since(started)/bound); fetched > most {
		t.Errorf("fetched %d times for %d unknown kids, want at most %d", fetched, forged+1000, most)
	}
}
