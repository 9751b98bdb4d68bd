package airflow_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A request is one call of the Execution API. Its target is sent as it stands,
// after world.fill.
type request struct {
	method, target, body, version string
}

func get(target string) request  { return request{method: http.MethodGet, target: target} }
func head(target string) request { return request{method: http.MethodHead, target: target} }
func del(target string) request  { return request{method: http.MethodDelete, target: target} }

func put(target, body string) request {
	return request{method: http.MethodPut, target: target, body: body}
}

func post(target, body string) request {
	return request{method: http.MethodPost, target: target, body: body}
}

func patch(target, body string) request {
	return request{method: http.MethodPatch, target: target, body: body}
}

// under is the request with an Airflow-API-Version.
func (r request) under(version string) request {
	r.version = version
	return r
}

// reads reports whether the request changes nothing.
func (r request) reads() bool { return r.method == http.MethodGet || r.method == http.MethodHead }

// A deployment is an api-server, reached straight or through the fence, and the
// database behind it, which is put back after each request; nil where what a
// request changes is to stay.
type deployment struct {
	url      string
	database *database
}

// transport keeps no connection: uvicorn closes one behind each 500, unannounced,
// and the next request on it may meet the end.
var transport = &http.Transport{DisableKeepAlives: true}

// moment is the time of an answer itself.
var moment = regexp.MustCompile(`"responded_at":"[^"]+"`)

// An outcome is what came of a request: the answer, and how it changed the
// database.
type outcome struct {
	method  string
	status  int
	header  http.Header
	body    string
	changes string
}

// send makes the request as the named task.
func (d *deployment) send(t *testing.T, w *world, who string, r request) outcome {
	t.Helper()
	target := w.fill(r.target)
	path, query, _ := strings.Cut("/execution"+target, "?")
	if outside, ok := strings.CutPrefix(target, "^"); ok { // not below the mount
		path, query = outside, ""
	}
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(w.fill(r.body))
	}
	call, err := http.NewRequestWithContext(t.Context(), r.method, d.url, body)
	if err != nil {
		t.Fatal(err)
	}
	call.URL = &url.URL{Scheme: call.URL.Scheme, Host: call.URL.Host, Opaque: path, RawQuery: query}
	call.Host = "airflow.test" // the pages of the documentation name it
	call.Header.Set("Correlation-Id", "0123-4567")
	for name, value := range map[string]string{
		"Authorization": w.authorization(t, who), "Airflow-API-Version": r.version,
		"Content-Type": map[bool]string{true: "application/json"}[r.body != ""],
	} {
		if value != "" {
			call.Header.Set(name, value)
		}
	}
	response, err := transport.RoundTrip(call) // redirects are answers too
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, target, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) { // Airflow's own openapi.json ends early
		answer = append(answer, "(ends early)"...)
	} else if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", r.method, target, err)
	}
	changes := ""
	if d.database != nil {
		changes = d.database.change(t)
	}
	return outcome{r.method, response.StatusCode, response.Header, moment.ReplaceAllString(string(answer), "..."), changes}
}

// A verdict is what the fence makes of a request.
type verdict struct {
	name  string
	check func(t *testing.T, straight, fenced outcome)
}

// listed: as passes, but where a release before 3.3 reads the variable named keys,
// the fence may not know that multi_team is on, or its database of no team.
var listed = verdict{"listed", func(t *testing.T, straight, fenced outcome) {
	t.Helper()
	if fenced.status == http.StatusForbidden && strings.Contains(straight.body, `"key":"keys"`) {
		denied.check(t, straight, fenced)
		return
	}
	passes.check(t, straight, fenced)
}}

// passes: the answer is Airflow's own, with all its headers, and so is what it
// did to the database.
var passes = verdict{"passes", func(t *testing.T, straight, fenced outcome) {
	t.Helper()
	wantSame(t, "status", straight.status, fenced.status)
	wantSame(t, "body", straight.body, fenced.body)
	wantSame(t, "header", endToEnd(straight.header), endToEnd(fenced.header))
	wantSame(t, "change of the database", straight.changes, fenced.changes)
}}

// denied: 403 in the form that the Task SDK takes for a final denial.
var denied = verdict{"denied", func(t *testing.T, _, fenced outcome) {
	t.Helper()
	wantReason(t, fenced, http.StatusForbidden, "access_denied")
}}

// unknown: 404 from the edge, because the dag does not exist.
var unknown = verdict{"404", func(t *testing.T, _, fenced outcome) {
	t.Helper()
	wantReason(t, fenced, http.StatusNotFound, "not_found")
}}

// likewise: the fence itself answers as Airflow would have, with Airflow's own
// words at the head of its message; not those that older releases put behind a
// colon.
var likewise = verdict{"likewise", func(t *testing.T, straight, fenced outcome) {
	t.Helper()
	wantSame(t, "status", straight.status, fenced.status)
	wantUntouched(t, fenced)
	var want struct{ Detail string }
	if err := json.Unmarshal([]byte(straight.body), &want); err != nil {
		t.Fatalf("Airflow's own answer: %v: %s", err, straight.body)
	}
	head, _, _ := strings.Cut(want.Detail, ":")
	if message := detailOf(t, fenced).Message; head == "" || !strings.HasPrefix(message, head) {
		t.Errorf("message through the fence: %q, want one that begins with %q", message, head)
	}
}}

// refused: another status from the edge, with JSON.
func refused(status int) verdict {
	return verdict{http.StatusText(status), func(t *testing.T, _, fenced outcome) {
		t.Helper()
		wantSame(t, "status", status, fenced.status)
		wantUntouched(t, fenced)
	}}
}

func wantReason(t *testing.T, fenced outcome, status int, reason string) {
	t.Helper()
	wantSame(t, "status", status, fenced.status)
	wantUntouched(t, fenced)
	if fenced.method == http.MethodHead {
		return
	}
	answer := detailOf(t, fenced)
	wantSame(t, "reason", reason, answer.Reason)
	if answer.Message == "" || strings.Contains(answer.Message, "team_") {
		t.Errorf("message %q: want what was asked for, and not who owns it", answer.Message)
	}
}

type detail struct{ Reason, Message string }

// detailOf reads an error's body in the form that Airflow has.
func detailOf(t *testing.T, fenced outcome) detail {
	t.Helper()
	var answer struct{ Detail detail }
	if err := json.Unmarshal([]byte(fenced.body), &answer); err != nil {
		t.Errorf("the body through the fence: %v: %s", err, fenced.body)
	}
	return answer.Detail
}

func wantUntouched(t *testing.T, fenced outcome) {
	t.Helper()
	wantSame(t, "Content-Type", "application/json", fenced.header.Get("Content-Type"))
	wantSame(t, "change of the database", "", fenced.changes)
}

func wantSame[T comparable](t *testing.T, what string, want, got T) {
	t.Helper()
	if got != want {
		t.Errorf("%s through the fence: %v\nwant: %v", what, got, want)
	}
}

// notCompared are the headers that may differ between two servers' answers: a
// hop's own, the time, and a token that is minted anew each time.
var notCompared = []string{"Connection", "Date", "Keep-Alive", "Transfer-Encoding", "Via", "Refreshed-Api-Token"}

// endToEnd is a header in a form to compare.
func endToEnd(header http.Header) string {
	var lines []string
	for name, values := range header {
		value := strings.Join(values, ", ")
		if slices.Contains(notCompared, name) {
			value = "..."
		}
		if name == "Refreshed-Api-Token" || value != "..." {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
