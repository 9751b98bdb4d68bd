package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/tests/services"
)

const (
	// every is how often Prometheus scrapes and evaluates.
	every = "400ms"
	// window stands for all windows of the shipped rules and panels.
	window = "5s"
)

// inSeconds returns rules or a query with short windows, and alerts that fire at once.
// Nobody knows what is usual on a day.
func inSeconds(text string) string {
	text = regexp.MustCompile(`(?m)^ *for: .*\n`).ReplaceAllString(text, "")
	return regexp.MustCompile(`\[(?:\d+[mh]|\$__rate_interval)\]`).ReplaceAllString(text, "["+window+"]")
}

// prometheus is a running Prometheus.
type prometheus struct{ addr string }

// startPrometheus runs one with the shipped configuration and rules, which scrapes
// these targets of each job.
func startPrometheus(t *testing.T, targets map[string][]string) *prometheus {
	t.Helper()
	program, dir := services.Program(t, "prometheus"), t.TempDir()
	write(t, filepath.Join(dir, "dagfence.rules.yml"), inSeconds(read(t, "deploy/prometheus/dagfence.rules.yml")))
	var config struct {
		Global  map[string]string `yaml:"global"`
		Rules   []string          `yaml:"rule_files"`
		Scrapes []map[string]any  `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "deploy/prometheus/prometheus.yml")), &config); err != nil {
		t.Fatal(err)
	}
	config.Global["scrape_interval"], config.Global["evaluation_interval"], config.Global["scrape_timeout"] = every, every, every
	for _, scrape := range config.Scrapes {
		job, _ := scrape["job_name"].(string)
		scrape["static_configs"] = []map[string]any{{"targets": targets[job]}}
	}
	changed, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "prometheus.yml")
	write(t, file, string(changed))
	p := &prometheus{addr: services.Address(t)}
	// The test's own context ends before its cleanups, and would end it early.
	process := services.Start(t, exec.CommandContext(context.WithoutCancel(t.Context()), program, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.addr, "--query.lookback-delta=2s"))
	process.WaitReady(t, func(ctx context.Context) error { return p.get(ctx, "/api/v1/status/buildinfo", new(json.RawMessage)) })
	return p
}

// read reads a file of the tree, or one at an absolute path.
func read(t *testing.T, path string) string {
	t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// get asks Prometheus' API.
func (p *prometheus) get(ctx context.Context, path string, data any) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+path, http.NoBody)
	if err != nil {
		return err
	}
	answered, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answered.Body.Close()
	body := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(answered.Body).Decode(&body); err != nil {
		return fmt.Errorf("%s: %d %w", path, answered.StatusCode, err)
	}
	if body.Status != "success" {
		return fmt.Errorf("%s: %s", path, body.Error)
	}
	return nil
}

// query returns how many series a query returns whose value is a number.
func (p *prometheus) query(t *testing.T, query string) (series int, err error) {
	t.Helper()
	var data struct {
		Result []struct{ Value [2]any }
	}
	err = p.get(t.Context(), "/api/v1/query?query="+url.QueryEscape(query), &data)
	for _, one := range data.Result {
		if one.Value[1] != "NaN" {
			series++
		}
	}
	return series, err
}

// firing returns the names of the alerts that fire.
func (p *prometheus) firing(t *testing.T) (names []string, err error) {
	t.Helper()
	var data struct {
		Alerts []struct {
			State  string
			Labels map[string]string
		}
	}
	err = p.get(t.Context(), "/api/v1/alerts", &data)
	for _, alert := range data.Alerts {
		if alert.State == "firing" {
			names = append(names, alert.Labels["alertname"])
		}
	}
	return names, err
}

// failedRules returns the rules that could not be evaluated, and why.
func (p *prometheus) failedRules(t *testing.T) (failed []string) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.get(t.Context(), "/api/v1/rules", &data); err != nil {
		return []string{err.Error()}
	}
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				failed = append(failed, rule.Name+" is "+rule.Health+": "+rule.LastError)
			}
		}
	}
	return failed
}
