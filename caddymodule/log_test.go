package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

// decisions writes a handler's log as JSON into a buffer, from the level on.
func decisions(handler *caddymodule.Handler, level zapcore.Level) *bytes.Buffer {
	var written bytes.Buffer
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		MessageKey: "msg", LevelKey: "level", NameKey: "logger",
		EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeDuration: zapcore.SecondsDurationEncoder,
	})
	handler.LogTo(zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&written), level)).Named("http.handlers.dagfence"))
	return &written
}

// lines parses what was written.
func lines(t *testing.T, written *bytes.Buffer) []map[string]any {
	t.Helper()
	var parsed []map[string]any
	for line := range strings.Lines(written.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		parsed = append(parsed, fields)
	}
	written.Reset()
	return parsed
}

// serve returns the answer to a request with further headers, "Name: value".
func serve(t *testing.T, handler *caddymodule.Handler, r *http.Request, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	recorder := httptest.NewRecorder()
	if err := handler.ServeHTTP(recorder, withReplacer(r, caddy.NewReplacer()), nothing); err != nil {
		t.Fatal(err)
	}
	return recorder
}

const (
	sdkAgent = "User-Agent: apache-airflow-task-sdk/1.3.2 (Python/3.12.1)"
	traceID  = "0af7651916cd43dd8448eb211c80319c"
)

func TestDecisionLog_OfARefusal(t *testing.T) {
	t.Parallel()
	handler := provisioned(t)
	written := decisions(handler, zapcore.InfoLevel)
	for _, tier := range []string{"source", "memory"} {
		answer := serve(t, handler, benchRequest(t, http.MethodGet, "/execution/variables/var_b?q=secret-in-query"), sdkAgent,
			"Correlation-Id: 0199-abc", "Traceparent: 00-"+traceID+"-b7ad6b7169203331-01")
		if answer.Code != http.StatusForbidden || strings.Contains(answer.Body.String(), "team") {
			t.Errorf("answered %d %s", answer.Code, answer.Body)
		}
		logged := lines(t, written)
		if len(logged) != 1 {
			t.Fatalf("%d lines, want one", len(logged))
		}
		for _, varying := range []string{"age", "duration", "remote"} {
			if _, there := logged[0][varying]; !there {
				t.Errorf("%s is missing", varying)
			}
			delete(logged[0], varying)
		}
		want := map[string]any{
			"level": "info", "logger": "http.handlers.dagfence.decisions", "msg": "request refused",
			"decision": "deny", "reason": "other_team", "mode": "enforce", "forwarded": false,
			"kind": "variable", "action": "read", "resource": "var_b",
			"task_instance_id": benchTask, "dag_id": "dag_a", "run_id": "r", "task_id": "t1", "map_index": -1.0,
			"task_team": "team_a", "owner_team": "team_b", "tier": tier, "method": "GET", "path": "/execution/variables/var_b",
			"api_version": "2026-06-30", "sdk_version": "1.3.2", "correlation_id": "0199-abc", "trace_id": traceID,
		}
		if !maps.Equal(logged[0], want) {
			t.Errorf("logged %v\nwant   %v", logged[0], want)
		}
	}
}

// TestDecisionLog_FieldsAreDocumented compares the fields of all kinds of decision
// with the table in docs/decision-log.md.
func TestDecisionLog_FieldsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/decision-log.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## Fields\n")
	documented := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			documented[name[1]] = true
		}
	}
	handler := provisioned(t)
	written := decisions(handler, zapcore.DebugLevel)
	serve(t, handler, benchRequest(t, http.MethodGet, "/execution/variables/var_b"), sdkAgent, "Correlation-Id: c", "Traceparent: 00-"+traceID+"-b7ad6b7169203331-01")
	serve(t, handler, benchRequest(t, http.MethodPost, "/execution/xcoms/dag_a/r/another/key?map_index=-1"), "User-Agent: curl/8")
	serve(t, handler, benchRequest(t, http.MethodPut, "/execution/task-instances/"+benchTask+"/heartbeat"))
	serve(t, handler, benchRequest(t, http.MethodGet, "/execution/nothing"))
	emitted := make(map[string]bool)
	for _, line := range lines(t, written) {
		for name := range line {
			emitted[name] = true
		}
	}
	for _, encoders := range []string{"level", "logger", "msg"} {
		delete(emitted, encoders)
	}
	if got, want := slices.Sorted(maps.Keys(emitted)), slices.Sorted(maps.Keys(documented)); !slices.Equal(got, want) {
		t.Errorf("emitted are    %v\ndocumented are %v", got, want)
	}
}

func TestDecisionLog_OfXComsAndTeams(t *testing.T) {
	t.Parallel()
	world := new(resolvertest.World)
	world.Own(resolver.KindDag, "dag_g", "")
	world.Own(resolver.KindAssetURI, "s3://b", "team_b")
	handler := provisionedWith(t, world)
	written := decisions(handler, zapcore.DebugLevel)
	for _, c := range []struct {
		method, target string
		want           map[string]any // nil is a field that is left out
	}{
		{http.MethodPost, "/execution/xcoms/dag_a/r/another/some/key?map_index=-1", map[string]any{
			"reason": "not_own_task", "resource": "dag_a", "xcom_key": "some/key", "dag_id": "dag_a", "task_id": "t1", "map_index": -1.0,
			"task_team": nil, "owner_team": nil,
		}},
		{http.MethodGet, "/execution/xcoms/dag_g/r/t1/k", map[string]any{
			"reason": "global", "resource": "dag_g", "owner_team": "", "task_team": "team_a", "decision": "allow", "level": "debug", "forwarded": true,
		}},
		{http.MethodGet, "/execution/variables/nothing", map[string]any{"reason": "not_stored", "resource": "nothing", "task_team": "team_a", "owner_team": nil}},
		{http.MethodGet, "/execution/asset-events/by-asset?name=free&uri=s3://b", map[string]any{"reason": "other_team", "resource": "s3://b", "owner_team": "team_b"}},
		{http.MethodPut, "/execution/task-instances/" + benchTask + "/heartbeat", map[string]any{"kind": "self", "resource": nil, "age": nil, "tier": nil, "dag_id": nil}},
		{http.MethodGet, "/execution/nothing", map[string]any{"decision": "deny", "kind": nil, "task_instance_id": nil}},
	} {
		serve(t, handler, benchRequest(t, c.method, c.target))
		logged := lines(t, written)
		if len(logged) != 1 {
			t.Fatalf("%s: %d lines", c.target, len(logged))
		}
		for field, want := range c.want {
			if got := logged[0][field]; got != want {
				t.Errorf("%s: %s is %v, want %v", c.target, field, got, want)
			}
		}
	}
}

func TestDecisionLog_SamplesWhatIsAllowedAndNoDenial(t *testing.T) {
	t.Parallel()
	handler := provisioned(t)
	written := decisions(handler, zapcore.InfoLevel)
	for share, want := range map[float64][2]int{0: {0, 0}, 1: {400, 400}, 0.25: {40, 200}} { // 100 are expected of the last
		handler.SampleAllowed(share)
		for range 400 {
			serve(t, handler, benchRequest(t, http.MethodGet, "/execution/variables/var_a"))
		}
		if got := len(lines(t, written)); got < want[0] || got > want[1] {
			t.Errorf("share %v: %d lines of allowed requests, want %v", share, got, want)
		}
		for range 10 {
			serve(t, handler, benchRequest(t, http.MethodGet, "/execution/variables/var_b"))
		}
		if got := len(lines(t, written)); got != 10 {
			t.Errorf("share %v: %d lines of 10 denials", share, got)
		}
	}
}

func TestDecisionLog_HasNoSecret(t *testing.T) {
	t.Parallel()
	world := new(resolvertest.World)
	handler := provisionedWith(t, world)
	written := decisions(handler, zapcore.DebugLevel)
	var planted []string
	send := func(method, target string, headers ...string) {
		r := benchRequest(t, method, target)
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"value":"planted-body"}`)), -1
		planted = append(planted, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		serve(t, handler, r, headers...)
	}
	for _, variable := range []string{"var_a", "var_b", "unknown"} {
		send(http.MethodPut, "/execution/variables/"+variable+"?key=planted-query", "Cookie: planted-cookie", "Proxy-Authorization: Basic planted-proxy")
		send(http.MethodPut, "/execution/variables/"+variable, "Authorization: Bearer planted-token")
		send(http.MethodPut, "/execution/variables/"+variable, "Authorization: Basic planted-basic")
	}
	send(http.MethodGet, "http://planted-user:planted-password@host/execution/variables/var_a")
	world.Before = func(context.Context, []resolver.Question) error { return errors.New("the source fails") }
	send(http.MethodGet, "/execution/variables/other")
	text := written.String()
	for _, secret := range append(planted, "planted", benchSecret) {
		if strings.Contains(text, secret) {
			t.Errorf("%.40q is in the log:\n%s", secret, text)
		}
	}
	if got := strings.Count(text, "\n"); got != 11 {
		t.Errorf("%d lines of 11 decisions", got)
	}
}

func TestDecisionLog_NoKeyMakesUpALine(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 4000)
	world := new(resolvertest.World)
	world.Own(resolver.KindVariable, `","decision":"allow`, "team_b")
	world.Own(resolver.KindVariable, long, "team_b")
	handler := provisionedWith(t, world)
	written := decisions(handler, zapcore.InfoLevel)
	r := benchRequest(t, http.MethodGet, "/execution/variables/a")
	// What no client can send, but a header can; none of it may end the line.
	r.Header["User-Agent"] = []string{"a\nb\r\n{\"decision\":\"allow\"}\x00\x1b[31m\u2028\xff"}
	r.Header["Correlation-Id"] = []string{"x\n" + strings.Repeat("y", 4000)}
	r.Header.Del("Authorization")
	serve(t, handler, r)
	serve(t, handler, benchRequest(t, http.MethodGet, `/execution/variables/%22,%22decision%22:%22allow`))
	serve(t, handler, benchRequest(t, http.MethodGet, `/execution/variables/a%0A%7B%22decision%22:%22allow%22%7D`))
	serve(t, handler, benchRequest(t, http.MethodGet, "/execution/variables/"+long))
	raw := written.String()
	if strings.ContainsAny(raw, "\x00\x1b\r") || strings.Count(raw, "\n") != 4 {
		t.Errorf("%q", raw)
	}
	for _, line := range lines(t, written) {
		if line["decision"] != "deny" {
			t.Errorf("%v", line)
		}
		for name, value := range line {
			if text, isText := value.(string); isText && len(text) > 530 {
				t.Errorf("%s has %d bytes", name, len(text))
			}
		}
	}
}
