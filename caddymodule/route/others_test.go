package route_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// TestOtherAPIs_AreOutsideTheMount fills the paths of Airflow's
// public API, of its UI and its static files with names like the mount's. The UI's
// own pages are below "/".
func TestOtherAPIs_AreOutsideTheMount(t *testing.T) {
	t.Parallel()
	file, err := os.Open("testdata/others-3.3.2.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	paths := []string{
		"/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/mapped/{map_index}", "/dags/{dag_id}/tasks/{task_id}", "/dags/{dag_id}/details",
		"/variables", "/connections", "/assets/{asset_id}", "/xcoms", "/dag_runs", "/task_instances",
	}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if path := lines.Text(); path[0] == '/' {
			paths = append(paths, path)
		}
	}
	if len(paths) < 130 {
		t.Fatalf("%d paths are too few", len(paths))
	}
	segment, rest := regexp.MustCompile(`\{\w+\}`), regexp.MustCompile(`\{\w+:path\}`)
	names := []string{"execution", "my_execution", "x-execution", "Execution", "executions", "variables", "health", "..."}
	keys := []string{"execution", "a/b", "a//b", "/a", "a/", "execution/a", "x/execution/y/z", "team/execution/variables", "execution/health", "variables/execution", "icons/execution.svg", "line\nend", "end\n"}
	for _, path := range paths {
		for _, name := range names {
			for _, key := range keys {
				filled := rest.ReplaceAllString(segment.ReplaceAllString(path, name), key)
				for below, mount := range map[string]route.Mount{"": "/execution", "/airflow": "/airflow/execution"} {
					if _, inside, err := mount.Locate(below + filled); (inside || err != nil) && !strings.HasPrefix(filled, "/execution") {
						t.Errorf("%s: %q is inside %v, error %v", mount, below+filled, inside, err)
					}
				}
			}
		}
	}
}
