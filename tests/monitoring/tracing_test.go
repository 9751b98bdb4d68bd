package monitoring_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// What a task sends along.
const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	taskSpan   = "00f067aa0ba902b7"
	tracestate = "airflow=worker"
	baggage    = "tenant=secret-of-the-task"
)

// receiver receives spans as an OpenTelemetry collector does, by OTLP over HTTP.
type receiver struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	rec := new(receiver)
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request collector.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		rec.mu.Lock()
		defer rec.mu.Unlock()
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				rec.spans = append(rec.spans, scope.GetSpans()...)
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(rec.Close)
	return rec
}

// take waits for the spans of these names, and returns them by name: no others may
// come.
func (rec *receiver) take(t *testing.T, names ...string) map[string]*tracepb.Span {
	t.Helper()
	byName := make(map[string]*tracepb.Span)
	sidecar.Eventually(t, limit, func() error {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		var got []string
		for _, span := range rec.spans {
			got = append(got, span.GetName())
			byName[span.GetName()] = span
		}
		slices.Sort(got)
		if slices.Sort(names); !slices.Equal(got, names) {
			return fmt.Errorf("the spans are %q, want %q", got, names)
		}
		rec.spans = nil
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	return byName
}

// environment configures tracing.
func (rec *receiver) environment() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + rec.URL, "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_SERVICE_NAME=dagfence"}
}

// headers remembers those of the last request.
type headers struct {
	mu   sync.Mutex
	last http.Header
}

func (h *headers) remember(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.last = r.Header.Clone()
		h.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (h *headers) get(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last.Get(name)
}

// traced is a fence that may be traced, and what is around it.
type traced struct {
	*sidecar.Dagfence
	receiver *receiver
	upstream *sidecar.Recorder
	owners   *resolvertest.World
	asked    headers // of the lookup service
	service  string
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	f := &traced{receiver: newReceiver(t), upstream: sidecar.NewRecorder(t), owners: new(resolvertest.World)}
	f.owners.Own(resolver.KindDag, "dag_a", "team_a")
	f.owners.Own(resolver.KindVariable, "a_1", "team_a")
	f.owners.Own(resolver.KindVariable, "b_1", "team_b")
	f.owners.Run(task(1), resolver.Task{DagID: "dag_a", RunID: "r", TaskID: "t", MapIndex: 1})
	service := httptest.NewServer(f.asked.remember(resolvertest.Service(f.owners)))
	t.Cleanup(service.Close)
	f.service = service.URL
	return f
}

// proxy runs `dagfence proxy` with these flags too.
func (f *traced) proxy(t *testing.T, flags ...string) {
	t.Helper()
	addr, status := services.Address(t), services.Address(t)
	cmd := sidecar.Command(t, append([]string{"proxy", "--listen", addr, "--status", status, "--upstream", "http://" + f.upstream.Addr}, flags...)...)
	cmd.Env = append(cmd.Env, f.receiver.environment()...)
	f.Dagfence = sidecar.Start(t, cmd, addr, status)
	f.WaitLive(t)
}

// send sends "METHOD /path body" with the trace of a task.
func (f *traced) send(t *testing.T, request string) int {
	t.Helper()
	words := strings.SplitN(request+" ", " ", 3)
	r, err := http.NewRequestWithContext(t.Context(), words[0], "http://"+f.Addr+"/execution"+words[1], strings.NewReader(strings.TrimSpace(words[2])))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, sidecar.Secret, task(1), nil))
	r.Header.Set("Traceparent", "00-"+traceID+"-"+taskSpan+"-01")
	r.Header.Set("Tracestate", tracestate)
	r.Header.Set("Baggage", baggage)
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answered.Body.Close()
	return answered.StatusCode
}

// checkTree compares the parent of each span, "" for the task's, and checks that all
// are of the task's trace.
func checkTree(t *testing.T, spans map[string]*tracepb.Span, parents map[string]string) {
	t.Helper()
	for name, parent := range parents {
		want := taskSpan
		if parent != "" {
			want = hex.EncodeToString(spans[parent].GetSpanId())
		}
		span := spans[name]
		if got := hex.EncodeToString(span.GetParentSpanId()); got != want {
			t.Errorf("%s is below %s, want %s (%s)", name, got, want, parent)
		}
		if got := hex.EncodeToString(span.GetTraceId()); got != traceID {
			t.Errorf("%s is of the trace %s, want %s", name, got, traceID)
		}
	}
}

// attributes returns those of a span of ours, and fails the test if one has a name of
// the request's, or an owner.
func attributes(t *testing.T, span *tracepb.Span) string {
	t.Helper()
	page := read(t, "docs/tracing.md")
	if !strings.Contains(page, "`"+span.GetName()+"`") {
		t.Errorf("docs/tracing.md does not have the span %s", span.GetName())
	}
	var text []string
	for _, attribute := range span.GetAttributes() {
		if !strings.Contains(page, "`"+attribute.GetKey()+"`") {
			t.Errorf("docs/tracing.md does not have the attribute %s", attribute.GetKey())
		}
		value := attribute.GetValue().GetStringValue()
		if number, is := attribute.GetValue().GetValue().(*common.AnyValue_IntValue); is {
			value = fmt.Sprint(number.IntValue)
		}
		text = append(text, strings.TrimPrefix(attribute.GetKey(), "dagfence.")+"="+value)
	}
	slices.Sort(text)
	all := strings.Join(text, " ")
	for _, secret := range []string{"a_1", "b_1", "team_", "dag_a", "secret", task(1)} {
		if strings.Contains(all+span.String(), secret) {
			t.Errorf("%s shows %q: %v", span.GetName(), secret, span)
		}
	}
	return all
}

// parents is where each span of a request that asks the lookup service is.
var parents = map[string]string{
	"dagfence": "", "dagfence.judge": "dagfence", "dagfence.resolve": "dagfence.judge",
	"dagfence.redis": "dagfence.resolve", "dagfence.lookup": "dagfence.resolve",
}

func TestTracing_SpansBelongToTheTasksTrace(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, *traced){
		"proxy": func(t *testing.T, f *traced) {
			t.Helper()
			f.proxy(t, "--tracing", "--lookup", f.service, "--redis", services.Redis(t).URL())
		},
		"Caddyfile, in any order": func(t *testing.T, f *traced) {
			t.Helper()
			addr, status := services.Address(t), services.Address(t)
			file := filepath.Join(t.TempDir(), "Caddyfile")
			write(t, file, "{\n admin off\n persist_config off\n auto_https off\n}\n"+sidecar.Site(addr)+"reverse_proxy "+f.upstream.Addr+"\ndagfence {\n lookup "+f.service+
				"\n redis "+services.Redis(t).URL()+"\n}\ntracing {\n span dagfence\n}\n}\n"+sidecar.Site(status)+"dagfence_status\n}\n")
			cmd := sidecar.Command(t, "run", "--config", file)
			cmd.Env = append(cmd.Env, f.receiver.environment()...)
			f.Dagfence = sidecar.Start(t, cmd, addr, status)
			f.WaitLive(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTraced(t)
			start(t, f)
			checkTraces(t, f)
		})
	}
}

func checkTraces(t *testing.T, f *traced) {
	t.Helper()
	if status := f.send(t, "GET /variables/a_1"); status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	spans := f.receiver.take(t, "dagfence", "dagfence.judge", "dagfence.resolve", "dagfence.redis", "dagfence.lookup")
	checkTree(t, spans, parents)
	for name, want := range map[string]string{
		"dagfence.judge":   "action=read kind=variable mode=enforce outcome=allow reason=own",
		"dagfence.resolve": "outcome=found questions=2", "dagfence.redis": "questions=2 result=miss", "dagfence.lookup": "outcome=found questions=2",
	} {
		if got := attributes(t, spans[name]); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	parentOf := func(name string) string {
		return "00-" + traceID + "-" + hex.EncodeToString(spans[name].GetSpanId()) + "-01"
	}
	if got, want := f.asked.get("Traceparent"), parentOf("dagfence.lookup"); got != want || f.asked.get("Tracestate") != tracestate {
		t.Errorf("the lookup service got %s and %q, want %s and %q", got, f.asked.get("Tracestate"), want, tracestate)
	}
	if got := f.asked.get("Baggage"); got != "" {
		t.Errorf("the lookup service got the task's baggage: %s", got)
	}
	arrived := f.upstream.Take()[0].Header
	if got, want := arrived.Get("Traceparent"), parentOf("dagfence"); got != want || arrived.Get("Tracestate") != tracestate || arrived.Get("Baggage") != baggage {
		t.Errorf("upstream got %s, %q, %q: want %s, %q, %q", got, arrived.Get("Tracestate"), arrived.Get("Baggage"), want, tracestate, baggage)
	}
	f.send(t, "GET /variables/a_1") // from memory
	checkTree(t, f.receiver.take(t, "dagfence", "dagfence.judge"), map[string]string{"dagfence": "", "dagfence.judge": "dagfence"})
	f.send(t, "GET /variables/b_1")
	spans = f.receiver.take(t, "dagfence", "dagfence.judge", "dagfence.resolve", "dagfence.redis", "dagfence.lookup")
	if got := attributes(t, spans["dagfence.judge"]); got != "action=read kind=variable mode=enforce outcome=deny reason=other_team" {
		t.Errorf("the denial has %s", got)
	}
	f.owners.Refuse(resolver.KindVariable, "c_1", resolver.Unavailable)
	f.send(t, "GET /variables/c_1")
	spans = f.receiver.take(t, "dagfence", "dagfence.judge", "dagfence.resolve", "dagfence.redis", "dagfence.lookup")
	for _, name := range []string{"dagfence", "dagfence.judge", "dagfence.resolve", "dagfence.lookup"} {
		if got := spans[name].GetStatus().GetCode(); got != tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("%s has the status %v of a request that got 503", name, got)
		}
	}
}

func TestTracing_HasTheDatabaseAndBothDecisionsOfAWrite(t *testing.T) {
	t.Parallel()
	f := newTraced(t)
	database, _ := newDatabase(t)
	f.proxy(t, "--tracing", "--database", database)
	f.WaitReady(t)
	if status := f.send(t, `PUT /variables/a_1 {"value":"v"}`); status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	var judge []*tracepb.Span
	sidecar.Within(t, limit, "the spans of both decisions", func() bool {
		f.receiver.mu.Lock()
		defer f.receiver.mu.Unlock()
		judge = f.receiver.spans
		return len(judge) == 7
	})
	below := make(map[string]int)
	names := make(map[string]string)
	for _, span := range judge {
		names[string(span.GetSpanId())] = span.GetName()
	}
	for _, span := range judge {
		below[names[string(span.GetParentSpanId())]+" > "+span.GetName()]++
	}
	for _, want := range []string{
		" > dagfence", "dagfence > dagfence.judge", "dagfence.judge > dagfence.resolve", "dagfence > dagfence.judge_again", "dagfence.judge_again > dagfence.resolve",
	} {
		if below[want] != 1 {
			t.Errorf("%q is %d times in %v", want, below[want], below)
		}
	}
	if below["dagfence.resolve > dagfence.database"] != 2 {
		t.Errorf("the database is not asked twice: %v", below)
	}
}

func TestTracing_WithoutItNothingIsAddedOrSent(t *testing.T) {
	t.Parallel()
	f := newTraced(t)
	f.proxy(t, "--lookup", f.service)
	if status := f.send(t, "GET /variables/a_1"); status != http.StatusOK {
		t.Fatalf("%d", status)
	}
	arrived := f.upstream.Take()[0].Header
	for name, want := range map[string]string{"Traceparent": "00-" + traceID + "-" + taskSpan + "-01", "Tracestate": tracestate, "Baggage": baggage} {
		if got := arrived.Get(name); got != want {
			t.Errorf("upstream got %s %q, want %q", name, got, want)
		}
		if got := f.asked.get(name); got != "" {
			t.Errorf("the lookup service got %s %q", name, got)
		}
	}
	time.Sleep(200 * time.Millisecond) // four times OTEL_BSP_SCHEDULE_DELAY
	f.receiver.take(t)
}

func TestTracing_WrongExporterNamesTheVariable(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"OTEL_TRACES_EXPORTER=jaeger", "OTEL_EXPORTER_OTLP_PROTOCOL=http/xml"} {
		cmd := sidecar.Command(t, "proxy", "--tracing", "--listen", services.Address(t), "--upstream", "http://127.0.0.1:1", "--lookup", "http://127.0.0.1:1")
		cmd.Env = append(cmd.Env, variable)
		output, err := cmd.CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		name, _, _ := strings.Cut(variable, "=")
		if last := lines[len(lines)-1]; err == nil || !strings.HasPrefix(last, "Error: creating trace exporter error: ") || !strings.Contains(last, name+" must be ") && !strings.Contains(last, name+" http/protobuf or grpc") {
			t.Errorf("with %s it ends with %v: %s", variable, err, last)
		}
	}
}
