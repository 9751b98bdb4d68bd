package monitoring_test

import (
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dagfence/dagfence/tests/sidecar"
)

// The headings of docs/metrics.md below which the metrics of each process are.
const (
	ofBoth   = "Metrics of fence and lookup service"
	ofFence  = "Metrics of a fence"
	ofLookup = "Metrics of the lookup service"
	ofOthers = "Metrics of others"
)

// labels are the values of each label of a metric.
type labels map[string][]string

var quoted = regexp.MustCompile("`([a-z0-9_.*]+)`")

// documented returns the metrics below a heading of docs/metrics.md, with their labels.
func documented(t *testing.T, heading string) map[string]labels {
	t.Helper()
	_, section, found := strings.Cut(read(t, "docs/metrics.md"), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/metrics.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	metrics := make(map[string]labels)
	for _, part := range strings.Split(section, "\n### `")[1:] {
		name, text, _ := strings.Cut(part, "`")
		metrics[name] = make(labels)
		for _, item := range strings.Split(text, "\n- `")[1:] {
			label, values, _ := strings.Cut(item, "`")
			metrics[name][label] = nil
			for _, value := range quoted.FindAllStringSubmatch(values, -1) {
				metrics[name][label] = append(metrics[name][label], value[1])
			}
		}
		if _, has := metrics[name]["reason"]; has {
			metrics[name]["reason"] = documentedReasons(t)
		}
	}
	return metrics
}

func documentedReasons(t *testing.T) (reasons []string) {
	t.Helper()
	_, table, _ := strings.Cut(read(t, "docs/metrics.md"), "\n## Reasons\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, value := range quoted.FindAllStringSubmatch(cells[1], -1) {
				reasons = append(reasons, value[1])
			}
		}
	}
	return reasons
}

// compareWithPage compares what fence and lookup service serve with docs/metrics.md.
func compareWithPage(t *testing.T, w *world) {
	t.Helper()
	for process, heading := range map[*sidecar.Dagfence]string{w.fence: ofFence, w.lookup: ofLookup} {
		status, body := process.Probe(t.Context(), "/metrics")
		if status != http.StatusOK {
			t.Fatalf("/metrics: %d %s", status, body)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		want := documented(t, ofBoth)
		maps.Copy(want, documented(t, heading))
		for name := range want {
			if families[name] == nil {
				t.Errorf("%s: %s is documented, and not served", heading, name)
			}
		}
		others := othersDocumented(t)
		for name, family := range families {
			known, ok := want[name]
			if !ok {
				if !slices.ContainsFunc(others, func(pattern string) bool { matches, _ := filepath.Match(pattern, name); return matches }) {
					t.Errorf("%s: %s is served, and not documented", heading, name)
				}
				continue
			}
			for _, series := range family.GetMetric() {
				if len(series.GetLabel()) != len(known) {
					t.Errorf("%s has the labels %v, documented are %v", name, series.GetLabel(), known)
				}
				for _, label := range series.GetLabel() {
					if !slices.Contains(known[label.GetName()], label.GetValue()) {
						t.Errorf("%s has %s=%q, which is not documented", name, label.GetName(), label.GetValue())
					}
				}
			}
		}
	}
}

// othersDocumented are the patterns of metrics that are not dagfence's.
func othersDocumented(t *testing.T) (patterns []string) {
	t.Helper()
	_, section, _ := strings.Cut(read(t, "docs/metrics.md"), "\n## "+ofOthers+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, match := range quoted.FindAllStringSubmatch(section, -1) {
		patterns = append(patterns, match[1])
	}
	return patterns
}

// values returns what a pattern finds in files of the tree.
func values(t *testing.T, prefix, pattern string, files ...string) (found []string) {
	t.Helper()
	for _, glob := range files {
		paths, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil || paths == nil {
			t.Fatalf("%s: no file (%v)", glob, err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, absolute(t, path)), -1) {
				found = append(found, prefix+match[1])
			}
		}
	}
	return found
}

// list returns the strings in a list that follows a pattern in a file.
func list(t *testing.T, pattern, file string) (found []string) {
	t.Helper()
	for _, items := range values(t, "", pattern+`[^{]*\{([^}]*)\}`, file) {
		for _, item := range regexp.MustCompile(`"(\w[\w.]*)"`).FindAllStringSubmatch(items, -1) {
			found = append(found, item[1])
		}
	}
	return found
}

// TestLabels_AreDocumentedInFull compares the sets that labels are taken from, in the
// source, with docs/metrics.md.
func TestLabels_AreDocumentedInFull(t *testing.T) {
	t.Parallel()
	outcomes := list(t, "var outcomeNames =", "resolver/resolver.go")
	both, fence, service := documented(t, ofBoth), documented(t, ofFence), documented(t, ofLookup)
	for name, c := range map[string]struct{ documented, known []string }{
		"kind":    {fence["dagfence_decisions_total"]["kind"], list(t, "var kindNames =", "caddymodule/route/route.go")},
		"action":  {fence["dagfence_decisions_total"]["action"], list(t, "var actionNames =", "caddymodule/route/route.go")},
		"outcome": {fence["dagfence_decisions_total"]["outcome"], list(t, "var outcomeNames =", "caddymodule/decide/decision.go")},
		"mode":    {fence["dagfence_decisions_total"]["mode"], values(t, "", `\treturn "(\w+)"`, "caddymodule/decide/policy.go")},
		"reason": {documentedReasons(t), slices.Concat(
			values(t, "", `Reason = "(\w+)"`, "caddymodule/decide/decision.go", "caddymodule/route/errors.go"),
			values(t, "", `(?:reason: |badRequest\()"(\w+)"`, "caddymodule/*.go"),
			values(t, "token_", `= &Error\{"(\w+)"`, "caddymodule/identity/errors.go"))},
		"tier":           {fence["dagfence_cache_requests_total"]["tier"], missing(list(t, "var tierNames =", "resolver/observe.go"), []string{"source"})},
		"result":         {fence["dagfence_cache_requests_total"]["result"], values(t, "", `\tResult\w+ = "(\w+)"`, "resolver/observe.go")},
		"source":         {fence["dagfence_lookup_duration_seconds"]["source"], values(t, "", `\tSource\w+ += "(\w+)"`, "resolver/observe.go")},
		"lookup outcome": {fence["dagfence_lookup_duration_seconds"]["outcome"], outcomes},
		"sdk_version":    {fence["dagfence_denials_not_honoured_total"]["sdk_version"], append(list(t, "var ignoringSDKs =", "caddymodule/sdk.go"), "other")},
		"cause": {both["dagfence_invalidations_total"]["cause"], slices.Concat(
			values(t, "", `invalidated\("(\w+)"`, "caddymodule/*.go"), values(t, "", `invalidations\.WithLabelValues\("(\w+)"`, "lookup/metrics.go"))},
		"service outcome":  {service["dagfence_lookup_request_duration_seconds"]["outcome"], outcomes},
		"question outcome": {service["dagfence_lookup_questions_total"]["outcome"], outcomes},
		"question kind":    {service["dagfence_lookup_questions_total"]["kind"], append(list(t, "var kindNames =", "resolver/resolver.go"), "unknown")},
	} {
		if len(c.known) < 2 {
			t.Errorf("%s: only %v was found in the source", name, c.known)
		}
		if extra, lacking := missing(c.documented, c.known), missing(c.known, c.documented); extra != nil || lacking != nil {
			t.Errorf("%s: docs/metrics.md lacks %v, and has %v, which is not in the source", name, lacking, extra)
		}
	}
}
