package report_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/report"
)

// line is a line of a decision log: a denial of team_a's read of team_b's variable
// var_b by dag_a, but for what is changed. Nil removes a field.
func line(t *testing.T, change map[string]any) string {
	t.Helper()
	fields := make(map[string]any)
	if err := json.Unmarshal([]byte(denied), &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range change {
		if value == nil {
			delete(fields, name)
		} else {
			fields[name] = value
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func summary(t *testing.T, logs ...string) *report.Summary {
	t.Helper()
	collector := report.NewCollector()
	for _, log := range logs {
		if err := collector.Read(strings.NewReader(log)); err != nil {
			t.Fatal(err)
		}
	}
	return collector.Summary()
}

type fields = map[string]any

// codeSpan is a code span of Markdown.
var codeSpan = regexp.MustCompile("`` .*? ``|`[^`]+`")

func TestSummary_GroupsDenials(t *testing.T) {
	t.Parallel()
	s := summary(t,
		line(t, nil)+line(t, fields{"resource": "other", "ts": 1795000100})+line(t, fields{"forwarded": true, "ts": 1794999000.25}),
		line(t, fields{"task_team": nil, "owner_team": nil, "reason": "not_own_task", "kind": "xcom", "action": "write"})+
			line(t, fields{"owner_team": "", "reason": "global_write"})+
			line(t, fields{"decision": "allow"})+line(t, fields{"decision": "unavailable"})+line(t, fields{"decision": "not_found", "reason": "unknown_dag"})+
			"{\"logger\":\"http.log.access\"}\nplain text\n\n"+`{"logger":"http.handlers.dagfence.decisions"`,
	)
	if s.Decisions != 8 || s.Denied != 6 || s.Forwarded != 1 || s.Allowed != 1 || s.Unavailable != 1 || s.OtherLines != 3 {
		t.Errorf("%+v", s)
	}
	if len(s.Groups) != 4 {
		t.Fatalf("%d groups", len(s.Groups))
	}
	first := s.Groups[0]
	if first.Count != 3 || first.Forwarded != 1 || *first.TaskTeam != "team_a" || *first.OwnerTeam != "team_b" || first.Reason != "other_team" ||
		!first.First.Equal(time.UnixMilli(1794999000250)) || !first.Last.Equal(time.Unix(1795000100, 0)) {
		t.Errorf("%+v", first)
	}
	if len(first.Resources) != 2 || first.Resources[0].Name != "var_b" || first.Resources[0].Count != 2 || first.Dags[0].Name != "dag_a" || first.Dags[0].Count != 3 {
		t.Errorf("%+v %+v", first.Resources, first.Dags)
	}
	for _, group := range s.Groups {
		if unknown := group.Reason == "not_own_task"; (group.TaskTeam == nil) != unknown || (group.OwnerTeam == nil) != unknown || group.Why == "" {
			t.Errorf("%+v", group)
		}
	}
	if s.Cut != (report.Cut{}) {
		t.Errorf("cut: %+v", s.Cut)
	}
}

func TestWhy_ExplainsEveryReasonOfDecide(t *testing.T) {
	t.Parallel()
	for _, reason := range []decide.Reason{
		decide.NotJudged, decide.IsDocumentation, decide.OtherTeam, decide.TeamlessTask, decide.GlobalWrite, decide.TeamEnvironment, decide.NotOwnTask,
		decide.OtherInstance, decide.WrongScope, decide.UnknownTask, decide.ClaimsDiffer, decide.UnknownDag, decide.NotCurrentTask, decide.TeamNotStored,
		decide.MultiTeamUnset, decide.SourceDenied, decide.SourceDown, decide.Reason(route.NotFound), decide.Reason(route.MethodNotAllowed), "token_expired",
	} {
		if why := summary(t, line(t, fields{"reason": reason})).Groups[0].Why; why == "" || why == "The request is not accepted." {
			t.Errorf("%s: %q", reason, why)
		}
	}
}

func TestRead_TakesEveryTimeFormatOfCaddys(t *testing.T) {
	t.Parallel()
	want := time.Date(2026, 11, 25, 12, 0, 1, 0, time.UTC)
	for _, at := range []any{
		want.Unix(), float64(want.UnixMilli()) / 1000, want.UnixMilli(), want.UnixNano(), "2026-11-25T12:00:01Z", "2026-11-25T13:00:01.000+0100",
		"2026/11/25 12:00:01.000", "2026/11/25 12:00:01", "25/Nov/2026:12:00:01 +0000",
	} {
		if got := summary(t, line(t, fields{"ts": at})).First; !got.Equal(want) {
			t.Errorf("%v is %v", at, got)
		}
	}
	for _, none := range []any{nil, "yesterday", -1e300, 1e300, 5, []int{1}, "0001-01-01T00:00:00Z"} {
		if s := summary(t, line(t, fields{"ts": none})); s.Denied != 1 || !s.First.IsZero() {
			t.Errorf("%v is %v", none, s.First)
		}
	}
}

func TestRead_DecompressesWhatCaddyRotates(t *testing.T) {
	t.Parallel()
	text := strings.Repeat(line(t, nil), 1000)
	var gzipped, zstandard bytes.Buffer
	g := gzip.NewWriter(&gzipped)
	z, err := zstd.NewWriter(&zstandard)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, log := range map[string][]byte{"plain": []byte(text), "gzip": gzipped.Bytes(), "zstd": zstandard.Bytes()} {
		collector := report.NewCollector()
		if err := collector.Read(bytes.NewReader(log)); err != nil || collector.Summary().Denied != 1000 {
			t.Errorf("%s: %v, %d", name, err, collector.Summary().Denied)
		}
		if name == "plain" {
			continue
		}
		collector = report.NewCollector()
		if err := collector.Read(bytes.NewReader(log[:len(log)-5])); err == nil || collector.Summary().Denied == 0 {
			t.Errorf("%s, cut short: %v, %d", name, err, collector.Summary().Denied)
		}
		if err := report.NewCollector().Read(bytes.NewReader(log[:6])); err == nil {
			t.Errorf("%s: its first bytes alone are a log", name)
		}
	}
}

func TestRead_OfWhatIsNoLog(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		log  io.Reader
		want error
	}{
		"nothing":            {strings.NewReader(""), nil},
		"empty lines":        {strings.NewReader("\n\n"), nil},
		"a log of Caddy's":   {strings.NewReader(`{"level":"info","msg":"serving"}` + "\n"), nil},
		"text":               {strings.NewReader("2026/11/25 INFO refused\n"), report.ErrNoJSON},
		"bytes":              {strings.NewReader(strings.Repeat("\x00\xff\n\x7f", 100_000)), report.ErrNoJSON},
		"one line, too long": {strings.NewReader(`{"a":"` + strings.Repeat("a", 4<<20) + `"}`), report.ErrNoJSON},
		"an error":           {iotest.ErrReader(broken), broken},
	} {
		if err := report.NewCollector().Read(c.log); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	s := summary(t, line(t, nil)+`{"a":"`+strings.Repeat("a", 4<<20)+"\"}\n"+line(t, nil))
	if s.Denied != 2 || s.OtherLines != 1 {
		t.Errorf("around a long line: %d denied, %d others", s.Denied, s.OtherLines)
	}
}

// TestSummary_IsBounded floods a collector with names that occur once: what occurs
// often stays, and the rest is counted.
func TestSummary_IsBounded(t *testing.T) {
	t.Parallel()
	const random = 90_000
	log, writer := io.Pipe()
	often, teams := line(t, nil), line(t, fields{"task_team": "RANDOM"})
	once := line(t, fields{"resource": "RANDOM", "dag_id": "RANDOM"})
	go func() {
		for i := range random {
			text := strings.ReplaceAll(once, "RANDOM", fmt.Sprintf("random_%d", i))
			if i%10 == 0 {
				text += often
			}
			if i%20 == 0 {
				text += strings.ReplaceAll(teams, "RANDOM", fmt.Sprintf("random_%d", i))
			}
			_, _ = io.WriteString(writer, text)
		}
		_ = writer.Close()
	}()
	collector := report.NewCollector()
	if err := collector.Read(log); err != nil {
		t.Fatal(err)
	}
	s := collector.Summary()
	if s.Denied != random+random/10+random/20 || len(s.Groups) > 1000 || len(s.Groups[0].Resources) > 100 {
		t.Errorf("%d denied, %d groups", s.Denied, len(s.Groups))
	}
	if first := s.Groups[0]; *first.TaskTeam != "team_a" || first.Resources[0].Name != "var_b" || first.Resources[0].Count != random/10 {
		t.Errorf("the most frequent: %+v", first.Resources[0])
	}
	var groups, resources int64
	for _, group := range s.Groups {
		groups += group.Count
		for _, resource := range group.Resources {
			resources += resource.Count
		}
	}
	if groups+s.Cut.Groups != s.Denied || resources+s.Cut.Resources != s.Denied || s.Cut.Groups == 0 || s.Cut.Dags == 0 {
		t.Errorf("%d denials: %d in groups, %d by resources, cut: %+v", s.Denied, groups, resources, s.Cut)
	}
	var text bytes.Buffer
	if err := s.Text(&text); err != nil || !strings.Contains(text.String(), fmt.Sprintf("groups of %d denials", s.Cut.Groups)) {
		t.Errorf("the report does not say what was cut: %v", err)
	}
}

func TestTimeline_HasAHundredStepsAtMost(t *testing.T) {
	t.Parallel()
	const day = 86400
	for name, c := range map[string]struct {
		seconds []int64 // from the first denial
		step    int64
		steps   int
	}{
		"one":             {[]int64{0}, 60, 1},
		"minutes":         {[]int64{0, 59, 61, 90 * 60}, 60, 3},
		"two weeks":       {[]int64{0, 7 * day, 14 * day}, 6 * 3600, 3},
		"beside an error": {[]int64{0, 60, 60 * 365 * day}, 364 * day, 2},
	} {
		var log strings.Builder
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		for _, at := range c.seconds {
			log.WriteString(line(t, fields{"ts": start + at}))
		}
		got := summary(t, log.String()).Timeline
		var counted int64
		for _, step := range got.Steps {
			counted += step.Refused + step.Forwarded
		}
		if got.StepSeconds != c.step || len(got.Steps) != c.steps || counted != int64(len(c.seconds)) {
			t.Errorf("%s: %+v, want %d steps of %d s", name, got, c.steps, c.step)
		}
	}
}

func TestOwnership_SuggestsByReasonAndKind(t *testing.T) {
	t.Parallel()
	grants := func(of, name, access string) string {
		file := fmt.Sprintf("grants:\n  - to: team_a\n    %s: [%q]\n", of, name)
		if access != "" {
			file += "    access: " + access + "\n"
		}
		return file
	}
	for name, c := range map[string]struct {
		change fields
		want   string // "" is a sentence instead
	}{
		"another team's variable":     {nil, ""},
		"another team's connection":   {fields{"kind": "connection"}, ""},
		"another team's dag":          {fields{"kind": "dag"}, grants("dags", "var_b", "")},
		"counting another team's dag": {fields{"kind": "dag", "action": "count"}, grants("dags", "var_b", "")},
		"triggering it":               {fields{"kind": "dag", "action": "trigger"}, grants("dags", "var_b", "trigger")},
		"clearing it":                 {fields{"kind": "dag", "action": "clear"}, grants("dags", "var_b", "trigger")},
		"another team's asset":        {fields{"kind": "asset"}, grants("assets", "var_b", "")},
		"writing its values":          {fields{"kind": "asset", "action": "write"}, `assets: {"var_b": ""}`},
		"another team's XCom":         {fields{"kind": "xcom"}, ""},
		"writing it":                  {fields{"kind": "xcom", "action": "write"}, ""},
		"a task without a team":       {fields{"reason": "teamless_task", "task_team": "", "kind": "dag"}, `dags: {"dag_a": "team_b"}`},
		"its variable":                {fields{"reason": "teamless_task", "task_team": ""}, ""},
		"its list of keys":            {fields{"reason": "teamless_task", "task_team": "", "owner_team": nil, "resource": nil}, ""},
		"what is global":              {fields{"reason": "global_write", "owner_team": "", "action": "write"}, `variables: {"var_b": "team_a"}`},
		"a global dag's XComs":        {fields{"reason": "global_write", "owner_team": "", "action": "write", "kind": "xcom"}, ""},
		"another task's XCom":         {fields{"reason": "not_own_task", "kind": "xcom", "task_team": nil, "owner_team": nil}, ""},
		"a token":                     {fields{"reason": "token_expired", "task_team": nil, "owner_team": nil}, ""},
		"all":                         {fields{"resource": "*"}, ""},
		"a prefix":                    {fields{"resource": "var*"}, ""},
		"what is cut":                 {fields{"resource": strings.Repeat("v", 512) + "..."}, ""},
		"bytes":                       {fields{"resource": "v\uFFFD"}, ""},
		"lines":                       {fields{"resource": "a\nb"}, ""},
		"quotes":                      {fields{"kind": "dag", "resource": "a\"b': {}#"}, grants("dags", "a\"b': {}#", "")},
		"what YAML reads as a number": {fields{"kind": "dag", "resource": "1e3"}, grants("dags", "1e3", "")},
		"fences of Markdown":          {fields{"kind": "dag", "resource": "```"}, grants("dags", "```", "")},
	} {
		s := summary(t, line(t, c.change))
		var got, want any
		if err := errors.Join(yaml.Unmarshal([]byte(s.Ownership), &got), yaml.Unmarshal([]byte(c.want), &want)); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, s.Ownership)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || (len(s.Unsolved) == 1) != (c.want == "") {
			t.Errorf("%s: %v, want %v\n%v", name, got, want, s.Unsolved)
		}
	}
}

func TestOwnership_IsOneFileWithoutContradiction(t *testing.T) {
	t.Parallel()
	s := summary(t,
		line(t, fields{"kind": "dag", "resource": "dag_b"})+line(t, fields{"kind": "dag", "resource": "dag_c"})+
			line(t, fields{"kind": "xcom", "resource": "dag_b"})+ // Airflow's, and takes nothing from the grant
			line(t, fields{"kind": "asset", "action": "write"})+line(t, fields{"kind": "asset", "action": "write", "task_team": "team_c"})+ // once
			line(t, fields{"kind": "dag", "reason": "teamless_task", "task_team": "", "dag_id": "dag_g"})+
			line(t, fields{"kind": "dag", "reason": "teamless_task", "task_team": "", "dag_id": "dag_g", "owner_team": "team_c"})) // two teams
	var file struct {
		Dags, Variables, Assets map[string]string
		Grants                  []struct{ Dags []string }
	}
	if err := yaml.Unmarshal([]byte(s.Ownership), &file); err != nil {
		t.Fatalf("%v:\n%s", err, s.Ownership)
	}
	if len(file.Dags) != 1 || file.Dags["dag_g"] != "team_b" || len(file.Variables) != 0 || len(file.Assets) != 1 ||
		len(file.Grants) != 1 || fmt.Sprint(file.Grants[0].Dags) != "[dag_b dag_c]" || len(s.Unsolved) != 2 {
		t.Errorf("%+v\n%v", file, s.Unsolved)
	}
}

// TestForms_ObeyNothingInAName writes names that a terminal, Markdown and HTML would
// obey.
func TestForms_ObeyNothingInAName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"a\x1b[31mb", "a\nb", "a\u202Eb", "a\u2028b", "<script>alert(1)</script>", "`<img src=x onerror=alert(1)>`", "a|b", "</pre><script>alert(1)</script>", "]]>", "{{.}}",
	} {
		s := summary(t, line(t, fields{
			"resource": name, "dag_id": name, "task_team": name, "owner_team": name, "kind": name, "action": name, "reason": name,
		})+line(t, fields{"resource": name}))
		var text, markdown, page, asJSON bytes.Buffer
		if err := errors.Join(s.Text(&text), s.Markdown(&markdown), s.HTML(&page), s.JSON(&asJSON)); err != nil {
			t.Fatal(err)
		}
		for form, written := range map[string]string{"text": text.String(), "Markdown": markdown.String(), "HTML": page.String()} {
			if strings.ContainsAny(written, "\x1b\u202E\u2028") {
				t.Errorf("%s of %q has a control character", form, name)
			}
		}
		if strings.Contains(page.String(), "<script>alert") || strings.Contains(page.String(), "<img") || strings.Count(page.String(), "<script>") != 1 {
			t.Errorf("the page has markup of %q", name)
		}
		for row := range strings.Lines(markdown.String()) {
			if unspanned := codeSpan.ReplaceAllString(row, ""); strings.HasPrefix(row, "|") && strings.ContainsAny(unspanned, "<>") {
				t.Errorf("Markdown has markup of %q: %s", name, row)
			}
		}
		if strings.Count(asJSON.String(), "\n") != 1 || !json.Valid(asJSON.Bytes()) {
			t.Errorf("JSON of %q is not one line", name)
		}
	}
}
