package monitoring_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// limit is longer than anything here takes, on a busy machine too.
const limit = time.Minute

// situation is what goes wrong, and what fires then that did not before.
type situation struct {
	name   string
	begin  func(t *testing.T, w *world)
	alerts []string
}

var situations = []situation{
	{"tasks reach for another team's variables, with a Task SDK that ignores denials", func(t *testing.T, w *world) {
		t.Helper()
		w.load(t, 200*time.Millisecond, func(n int64) { w.send(t, w.fence, task(n%3), oldSDK, fmt.Sprintf("GET /variables/b_%d", n%5)) })
	}, []string{"DagfenceRefusalsSurge", "DagfenceDenialsNotHonoured"}},
	{"Redis is gone, nobody asks twice, and the operator makes mistakes", func(t *testing.T, w *world) {
		t.Helper()
		w.redis.Stop()
		for _, stop := range w.calm {
			stop()
		}
		for range 8 {
			w.load(t, 5*time.Millisecond, func(n int64) {
				w.send(t, w.fence, task(n), "", fmt.Sprintf("GET /variables/a_%d", n%names))
				w.send(t, w.embedding, task(n), "", fmt.Sprintf("GET /variables/a_%d", n%names))
			})
		}
		write(t, w.ownershipFile, "dags: [dag_a]\n")
		write(t, w.caddyfile, strings.Replace(read(t, w.caddyfile), "dags audit", "dags sometimes", 1))
		w.fence.Signal(t, syscall.SIGUSR1)
	}, []string{"DagfenceRedisUnusable", "DagfenceCacheIneffective", "DagfenceOwnershipFileInvalid", "DagfenceReloadFailed"}},
	{"the lookup service has another token, and the database is locked", func(t *testing.T, w *world) {
		t.Helper()
		write(t, w.lookupToken, "another-token")
		execute(t, w.database, "BEGIN; LOCK TABLE variable IN ACCESS EXCLUSIVE MODE")
	}, []string{"DagfenceSourceRefuses", "DagfenceNotReady", "DagfenceLookupSlow", "DagfenceUnavailable"}},
	{"a fence is gone", func(t *testing.T, w *world) {
		t.Helper()
		w.embedding.Stop()
	}, []string{"DagfenceDown"}},
}

func TestAlerts_FireInTheirSituations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := startPrometheus(t, map[string][]string{
		"dagfence": {w.fence.Status, w.embedding.Status}, "dagfence-lookup": {w.lookup.Status},
	})
	w.usual(t)
	later := alertNames(t)
	quiet := func() error { return p.checkFiring(t, nil, later) }
	sidecar.Eventually(t, limit, quiet)
	time.Sleep(2 * time.Second) // windows with enough in them
	sidecar.Eventually(t, limit, quiet)
	compareWithPage(t, w)
	queries := append(panelQueries(t), recordedNames(t)...)
	for _, s := range situations {
		later = missing(later, s.alerts)
		s.begin(t, w)
		took := sidecar.Eventually(t, limit, func() error {
			queries = p.unanswered(t, queries)
			return p.checkFiring(t, s.alerts, later)
		})
		t.Logf("%s: %v fire after %v", s.name, s.alerts, took)
	}
	if len(later) > 0 {
		t.Errorf("alerts that fire in no situation: %v", later)
	}
	if len(queries) > 0 {
		t.Errorf("queries that return nothing in any situation: %q", queries)
	}
	if failed := p.failedRules(t); failed != nil {
		t.Errorf("rules that can't be evaluated: %v", failed)
	}
	compareWithPage(t, w)
}

// checkFiring returns an error unless all of some alerts fire, and none of others.
func (p *prometheus) checkFiring(t *testing.T, all, none []string) error {
	t.Helper()
	firing, err := p.firing(t)
	if err != nil {
		return err
	}
	if lacking, extra := missing(all, firing), missing(none, missing(none, firing)); lacking != nil || extra != nil {
		return fmt.Errorf("%q do not fire, %q do", lacking, extra)
	}
	return nil
}

// unanswered returns the queries that return nothing now.
func (p *prometheus) unanswered(t *testing.T, queries []string) []string {
	t.Helper()
	return slices.DeleteFunc(queries, func(query string) bool {
		series, err := p.query(t, query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		return series > 0
	})
}

// missing returns what one list has and the other lacks.
func missing(of, in []string) (lacking []string) {
	for _, one := range of {
		if !slices.Contains(in, one) {
			lacking = append(lacking, one)
		}
	}
	return lacking
}

// rules are the shipped ones.
func rules(t *testing.T) (all []rule) {
	t.Helper()
	var content struct {
		Groups []struct{ Rules []rule }
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/dagfence.rules.yml")), &content); err != nil {
		t.Fatal(err)
	}
	for _, group := range content.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

type rule struct {
	Alert, Record string
	Annotations   map[string]string
}

func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, r := range rules(t) {
		if r.Alert != "" {
			names = append(names, r.Alert)
		}
	}
	return names
}

func recordedNames(t *testing.T) (names []string) {
	t.Helper()
	for _, r := range rules(t) {
		if r.Record != "" {
			names = append(names, r.Record)
		}
	}
	return names
}

// panelQueries are those of the dashboard, for all instances.
func panelQueries(t *testing.T) (queries []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "deploy/grafana/dagfence.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, strings.ReplaceAll(inSeconds(target.Expr), "$instance", ".*"))
		}
	}
	return queries
}

func TestAlerts_FireAtTheirThresholds(t *testing.T) {
	t.Parallel()
	promtool(t, "test", "rules", "testdata/alerts.yml")
}

func TestShippedConfiguration_IsValid(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(root, "deploy/prometheus")
	promtool(t, "check", "rules", filepath.Join(dir, "dagfence.rules.yml"))
	promtool(t, "check", "config", filepath.Join(dir, "prometheus.yml"))
	// Debian's promtool has no Kubernetes in it.
	kubernetes := strings.ReplaceAll(read(t, "deploy/prometheus/kubernetes.yml"), "kubernetes_sd_configs:\n      - role: pod\n", "static_configs: []\n")
	file := filepath.Join(t.TempDir(), "kubernetes.yml")
	write(t, file, strings.ReplaceAll(kubernetes, "dagfence.rules.yml", filepath.Join(absolute(t, dir), "dagfence.rules.yml")))
	promtool(t, "check", "config", file)
}

// TestScrapesOnKubernetes_KeepPortsOfTheManifests compares container;port of the
// scrapes with the pods.
func TestScrapesOnKubernetes_KeepPortsOfTheManifests(t *testing.T) {
	t.Parallel()
	kept := regexp.MustCompile(`regex: (\S+);(\S+)`).FindAllStringSubmatch(read(t, "deploy/prometheus/kubernetes.yml"), -1)
	if len(kept) != 2 {
		t.Fatalf("%d scrapes: want those of fence and lookup service", len(kept))
	}
	for i, manifests := range [][]string{{
		"deploy/kubernetes/overlays/deployment/fence.yaml", "deploy/kubernetes/components/api-server/sidecar.yaml", "deploy/helm/values-sidecar.yaml",
	}, {"deploy/kubernetes/base/lookup.yaml"}} {
		for _, manifest := range manifests {
			content := read(t, manifest)
			if container, port := "- name: "+kept[i][1]+"\n", "{name: "+kept[i][2]+", containerPort: "; !strings.Contains(content, container) || !strings.Contains(content, port) {
				t.Errorf("%s lacks %q or %q", manifest, container, port)
			}
		}
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	whole, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func promtool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), services.Program(t, "promtool"), args...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func TestAlerts_SayWhatToDo(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/metrics.md")
	described := regexp.MustCompile(`(?m)^### (Dagfence\w+)$`).FindAllStringSubmatch(page, -1)
	names := alertNames(t)
	if len(described) != len(names) {
		t.Errorf("%d alerts are described, there are %d", len(described), len(names))
	}
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", r.Alert)
		}
		if want := "https://github.com/dagfence/dagfence/blob/main/docs/metrics.md#" + strings.ToLower(r.Alert); r.Annotations["runbook_url"] != want {
			t.Errorf("the runbook of %s is %q, want %q", r.Alert, r.Annotations["runbook_url"], want)
		}
		if !strings.Contains(page, "\n### "+r.Alert+"\n") {
			t.Errorf("docs/metrics.md has no heading %s", r.Alert)
		}
	}
}
