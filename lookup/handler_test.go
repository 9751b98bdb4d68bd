package lookup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

const bearer = "the-bearer-secret"

// standIn is a directory that answers what a test says.
type standIn struct {
	resolver.Func

	notReady, stale error
}

func (s standIn) Ready(context.Context) error { return s.notReady }
func (s standIn) OwnershipError() error       { return s.stale }

// request sends one request to a handler; header is pairs.
func request(tb testing.TB, h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if got := w.Header().Get("Content-Type"); path != "/metrics" && got != "application/json" {
		tb.Errorf("%s %s: Content-Type %q", method, path, got)
	}
	return w
}

func post(tb testing.TB, h http.Handler, body string) *httptest.ResponseRecorder {
	tb.Helper()
	return request(tb, h, "POST", "/v1/owners", body, "Content-Type", "application/json", "Authorization", "Bearer "+bearer)
}

func TestHandler_ReturnsOwners(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, `assets: {"s3://x": team_s}`)})
	h := lookup.NewHandlerOf(d, bearer)
	w := post(t, h, fmt.Sprintf(`{"questions":[
		{"kind":"task","name":%q}, {"kind":"variable","name":"var_b"}, {"kind":"connection","name":"global_conn"},
		{"kind":"dag","name":"none"}, {"kind":"asset","name":"s3://x"}, {"kind":"task","name":%q}]}`, taskAMapped, taskUnknown))
	if w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var got struct{ Answers []map[string]any }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"current":true,"outcome":"found","stored_team":"team_a","task":{"dag_id":"dag_a","map_index":3,"run_id":"` + runID + `","task_id":"t1"},"team":"team_a"}`,
		`{"outcome":"found","team":"team_b"}`, `{"outcome":"found","team":""}`, `{"outcome":"not_found"}`,
		`{"outcome":"found","team":"team_s"}`, `{"outcome":"not_found"}`,
	}
	if len(got.Answers) != len(want) {
		t.Fatalf("%d answers: %s", len(got.Answers), w.Body)
	}
	for i, answer := range got.Answers {
		if age, ok := answer["age_ms"].(float64); !ok || age < 0 || age > 2000 {
			t.Errorf("answer %d: age_ms %v", i, answer["age_ms"])
		}
		delete(answer, "age_ms")
		if text, err := json.Marshal(answer); err != nil || string(text) != want[i] {
			t.Errorf("answer %d: %s (%v), want %s", i, text, err, want[i])
		}
	}
	metrics := request(t, h, "GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`dagfence_lookup_questions_total{kind="task",outcome="found"} 1`, `dagfence_lookup_questions_total{kind="dag",outcome="not_found"} 1`,
		`dagfence_lookup_request_duration_seconds_count{outcome="not_found",source="directory"} 1`, "go_build_info{",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics have no %s", line)
		}
	}
}

func TestHandler_ReturnsEveryOutcome(t *testing.T) {
	t.Parallel()
	h := lookup.NewHandlerOf(standIn{Func: func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		secret := fmt.Errorf("%w: %s", resolver.ErrUnavailable, password)
		return []resolver.Answer{
			{}, {Err: secret}, {Outcome: resolver.Denied, Team: "team_x"}, {Outcome: resolver.NotFound, AsOf: time.Now().Add(-time.Second)}, {Outcome: resolver.Found, AsOf: time.Now().Add(time.Hour)},
		}
	}}, bearer)
	body := `{"questions":[` + strings.Repeat(`{"kind":"dag","name":"d"},`, 4) + `{"kind":"dag","name":"d"}]}`
	got := post(t, h, body).Body.String()
	want := `{"answers":[{"outcome":"unavailable","age_ms":0},{"outcome":"unavailable","age_ms":0},{"outcome":"denied","age_ms":0},{"outcome":"not_found","age_ms":100`
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `{"outcome":"found","team":"","age_ms":0}]}`+"\n") {
		t.Errorf("got  %s\nwant %s...", got, want)
	}
}

// TestHandler_IsUnderstoodByTheFence holds client and service together to the
// contract of all resolvers.
func TestHandler_IsUnderstoodByTheFence(t *testing.T) {
	t.Parallel()
	resolvertest.Run(t, func(t *testing.T, world *resolvertest.World) resolver.Resolver {
		t.Helper()
		server := httptest.NewServer(lookup.NewHandlerOf(standIn{Func: world.Resolve}, bearer))
		t.Cleanup(server.Close)
		client, err := resolver.NewLookup(resolver.LookupOptions{URL: server.URL, Token: bearer, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		return client
	})
}

func TestHandler_RefusesInvalidRequests(t *testing.T) {
	t.Parallel()
	asked := false
	h := lookup.NewHandlerOf(standIn{Func: func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		asked = true
		return make([]resolver.Answer, len(questions))
	}}, bearer)
	question := `{"kind":"dag","name":"d"}`
	good := `{"questions":[` + question + `]}`
	asJSON, withToken := []string{"Content-Type", "application/json"}, []string{"Authorization", "Bearer " + bearer}
	both := append(slices.Clone(asJSON), withToken...)
	with := func(authorization ...string) []string { return append(slices.Clone(asJSON), authorization...) }
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		says               string
	}{
		"no token":                {"POST", "/v1/owners", good, asJSON, 401, "missing or wrong"},
		"wrong token":             {"POST", "/v1/owners", good, with("Authorization", "Bearer x"), 401, "missing or wrong"},
		"longer token":            {"POST", "/v1/owners", good, with("Authorization", "Bearer "+bearer+"x"), 401, "missing or wrong"},
		"empty token":             {"POST", "/v1/owners", good, with("Authorization", "Bearer "), 401, "missing or wrong"},
		"basic":                   {"POST", "/v1/owners", good, with("Authorization", "Basic "+bearer), 401, "missing or wrong"},
		"two tokens":              {"POST", "/v1/owners", good, append(slices.Clone(both), withToken...), 401, "missing or wrong"},
		"GET":                     {"GET", "/v1/owners", "", both, 405, "POST"},
		"POST of a probe":         {"POST", "/live", "", nil, 405, "GET"},
		"unknown path":            {"POST", "/v2/owners", good, both, 404, "not found"},
		"below the path":          {"POST", "/v1/owners/x", good, both, 404, "not found"},
		"no content type":         {"POST", "/v1/owners", good, withToken, 415, "application/json"},
		"charset":                 {"POST", "/v1/owners", good, append([]string{"Content-Type", "application/json; charset=utf-8"}, withToken...), 415, "application/json"},
		"too large":               {"POST", "/v1/owners", good + strings.Repeat(" ", 64<<10), both, 413, "65536"},
		"no body":                 {"POST", "/v1/owners", "", both, 400, "reading the body"},
		"not JSON":                {"POST", "/v1/owners", "{", both, 400, "reading the body"},
		"not UTF-8":               {"POST", "/v1/owners", "{\"questions\":[{\"kind\":\"dag\",\"name\":\"\xff\"}]}", both, 400, "not UTF-8"},
		"two objects":             {"POST", "/v1/owners", good + good, both, 400, "unexpected data after"},
		"a list":                  {"POST", "/v1/owners", "[" + question + "]", both, 400, "reading the body"},
		"unknown field":           {"POST", "/v1/owners", `{"questions":[` + question + `],"team":"x"}`, both, 400, "unknown field"},
		"no questions":            {"POST", "/v1/owners", `{"questions":[]}`, both, 400, "invalid number of questions 0: must be from 1 to 64"},
		"too many questions":      {"POST", "/v1/owners", `{"questions":[` + strings.Repeat(question+",", 64) + question + `]}`, both, 400, "questions 65: must be"},
		"no kind":                 {"POST", "/v1/owners", `{"questions":[{"name":"d"}]}`, both, 400, "kind is empty"},
		"a kind that is none":     {"POST", "/v1/owners", `{"questions":[{"kind":7,"name":"d"}]}`, both, 400, "reading the body"},
		"a question that is none": {"POST", "/v1/owners", `{"questions":[null]}`, both, 400, "kind is empty"},
		"no name":                 {"POST", "/v1/owners", `{"questions":[{"kind":"dag"}]}`, both, 400, "name is empty"},
		"long name":               {"POST", "/v1/owners", `{"questions":[{"kind":"dag","name":"` + strings.Repeat("é", 4097) + `"}]}`, both, 400, "8194 bytes long: must be at most 8192"},
	} {
		w := request(t, h, c.method, c.path, c.body, c.header...)
		var body struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != c.status || !strings.Contains(body.Error, c.says) {
			t.Errorf("%s: %d %s, want %d and %q", name, w.Code, w.Body, c.status, c.says)
		}
		if w.Code == http.StatusMethodNotAllowed && w.Header().Get("Allow") != c.says {
			t.Errorf("%s: Allow is %q", name, w.Header().Get("Allow"))
		}
		if strings.Contains(w.Body.String(), bearer) {
			t.Errorf("%s shows the secret", name)
		}
	}
	if asked {
		t.Error("the directory was asked")
	}
	if w := post(t, h, good); w.Code != http.StatusOK || !asked {
		t.Errorf("the good one: %d", w.Code)
	}
}

func TestHandler_AnswersProbes(t *testing.T) {
	t.Parallel()
	healthy := lookup.NewHandlerOf(standIn{}, bearer)
	sick := lookup.NewHandlerOf(standIn{notReady: errors.New("database: gone"), stale: errors.New("line 3")}, bearer)
	stale := lookup.NewHandlerOf(standIn{stale: errors.New("line 3")}, bearer)
	for _, c := range []struct {
		handler http.Handler
		path    string
		status  int
		body    string
	}{
		{healthy, "/live", 200, `{"live":true}`},
		{healthy, "/ready", 200, `{"ready":true}`},
		{sick, "/live", 200, `{"live":true}`},
		{sick, "/ready", 503, `{"ready":false,"reason":"database: gone","warning":"line 3"}`},
		{stale, "/ready", 200, `{"ready":true,"warning":"line 3"}`},
	} {
		if w := request(t, c.handler, "GET", c.path, ""); w.Code != c.status || w.Body.String() != c.body+"\n" {
			t.Errorf("%s: %d %s, want %d %s", c.path, w.Code, w.Body, c.status, c.body)
		}
	}
}

func TestHandler_ServesTheStateOfTheDirectoryAsMetrics(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		directory standIn
		want      []string
	}{
		"healthy":   {standIn{}, []string{"dagfence_ready 1", "dagfence_ownership_file_valid 1"}},
		"not ready": {standIn{notReady: errors.New("gone")}, []string{"dagfence_ready 0", "dagfence_ownership_file_valid 1"}},
		"bad file":  {standIn{stale: errors.New("line 3")}, []string{"dagfence_ready 1", "dagfence_ownership_file_valid 0"}},
	} {
		metrics := request(t, lookup.NewHandlerOf(c.directory, bearer), "GET", "/metrics", "").Body.String()
		for _, want := range c.want {
			if !strings.Contains(metrics, "\n"+want+"\n") {
				t.Errorf("%s: the metrics lack %q", name, want)
			}
		}
	}
}

func TestHandler_AnswersAPanicWith500(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	panics := func(context.Context, []resolver.Question) []resolver.Answer { panic("at the directory") }
	h := lookup.NewLoggedHandlerOf(standIn{Func: panics}, slog.New(slog.NewJSONHandler(&log, nil)))
	w := post(t, h, `{"questions":[{"kind":"dag","name":"d"}]}`)
	if w.Code != http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "at the directory") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if entry := log.String(); !strings.Contains(entry, `"type":"string"`) || !strings.Contains(entry, "handler_test.go") || strings.Contains(entry, "at the directory") {
		t.Errorf("the log has not type and place, or has the text: %s", entry)
	}
}

func TestOpenAPI_DescribesWhatIsServed(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "docs", "openapi", "lookup.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var api struct {
		Paths      map[string]map[string]any
		Components struct {
			Schemas map[string]struct {
				Enum       []string
				Properties map[string]struct {
					MaxItems  int `yaml:"maxItems"`
					MaxLength int `yaml:"maxLength"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	h := lookup.NewHandlerOf(standIn{}, bearer)
	for path, methods := range api.Paths {
		for method := range methods {
			if w := request(t, h, strings.ToUpper(method), path, ""); w.Code == http.StatusNotFound || w.Code == http.StatusMethodNotAllowed {
				t.Errorf("%s %s is described, and answers %d", method, path, w.Code)
			}
		}
	}
	var kinds, outcomes []string
	for k := resolver.KindTask; k <= resolver.KindAssetAlias; k++ {
		kinds = append(kinds, k.String())
	}
	for o := resolver.Unavailable; o <= resolver.Found; o++ {
		outcomes = append(outcomes, o.String())
	}
	schemas := api.Components.Schemas
	if got := schemas["Kind"].Enum; !slices.Equal(got, kinds) {
		t.Errorf("kinds are %v, want %v", got, kinds)
	}
	if got := schemas["Outcome"].Enum; !slices.Equal(got, outcomes) {
		t.Errorf("outcomes are %v, want %v", got, outcomes)
	}
	if got := schemas["Questions"].Properties["questions"].MaxItems; got != 64 {
		t.Errorf("maxItems is %d", got)
	}
	if got := schemas["Question"].Properties["name"].MaxLength; got != 8192 {
		t.Errorf("maxLength is %d", got)
	}
}

// A fence of a later release asks what this one does not understand: that is
// answered for each question alone.
func TestQuestionOfALaterRelease_SpoilsNoOther(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.3")
	h := lookup.NewHandlerOf(directoryOf(t, lookup.Options{Database: url}), bearer)
	w := post(t, h, `{"questions":[{"kind":"variable","name":"var_a"},{"kind":"pool","name":"p"},{"kind":"dag","name":"dag_b","as_of":"run_1"},
		{"name":"var_b","kind":"variable"},{"Kind":"variable","name":"var_b","kind":"variable"},{"kind":"Variable","name":"var_b"}]}`)
	const unknown = `{"outcome":"unavailable","reason":"question not supported by this lookup service: upgrade it before the fences","age_ms":0}`
	ages := regexp.MustCompile(`"age_ms":\d+`)
	got := ages.ReplaceAllString(w.Body.String(), `"age_ms":0`)
	want := `{"answers":[{"outcome":"found","team":"team_a","age_ms":0},` + unknown + "," + unknown +
		`,{"outcome":"found","team":"team_b","age_ms":0},` + unknown + "," + unknown + "]}\n"
	if w.Code != http.StatusOK || got != want {
		t.Errorf("%d %s\nwant %s", w.Code, got, want)
	}
	metrics := request(t, h, "GET", "/metrics", "").Body.String()
	if line := `dagfence_lookup_questions_total{kind="unknown",outcome="unavailable"} 4`; !strings.Contains(metrics, line) {
		t.Errorf("metrics have no %s", line)
	}
}

// A metric with labels is served only once it was counted, so this asks the registry.
func TestMetrics_AreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	description, err := os.ReadFile("../docs/openapi/lookup.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documented := regexp.MustCompile(`dagfence_\w+`).FindAllString(string(description), -1)
	slices.Sort(documented)
	if got := lookup.MetricNames(); !slices.Equal(got, documented) {
		t.Errorf("the metrics are %q, the description has %q", got, documented)
	}
}
