package deploy_test

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const helm = "../../deploy/helm/"

// chartValues are what both values files set.
type chartValues struct {
	Config            struct{ Core map[string]string }
	AllowPodLaunching *bool
	Workers           struct {
		ServiceAccount struct{ AutomountServiceAccountToken *bool }
	}
	APIServer struct {
		Args                              []string
		ExtraInitContainers, ExtraVolumes []map[string]any
	}
}

func valuesOf(t *testing.T, name string) (values chartValues) {
	t.Helper()
	content, err := os.ReadFile(helm + name)
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any
	if err := yaml.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	convert(t, document, &values)
	return values
}

// chartPod is a pod of what the values add to the api-server's.
func chartPod(t *testing.T) []byte {
	t.Helper()
	values := valuesOf(t, "values-sidecar.yaml")
	pod, err := yaml.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "airflow-api-server"},
		"spec": map[string]any{
			"automountServiceAccountToken": false,
			"initContainers":               values.APIServer.ExtraInitContainers,
			"containers":                   []any{map[string]any{"name": "api-server", "image": "apache/airflow:3.2.2", "args": values.APIServer.Args}},
			"volumes":                      values.APIServer.ExtraVolumes,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// As the chart's jwt_secret, for a release named airflow.
	return []byte(strings.ReplaceAll(string(pod), `{{ include "jwt_secret" . }}`, "airflow-jwt-secret"))
}

// TestChart_HasTheSidecarOfTheManifests compares the two ways to put the fence
// into the api-server's pod: they differ in the port, which the chart declares
// itself, and in the token of the chart's service account, which is kept away.
func TestChart_HasTheSidecarOfTheManifests(t *testing.T) {
	t.Parallel()
	found := installations["sidecar, all of it"].manifests(t)
	at := slices.IndexFunc(found, func(m manifest) bool { return m.Kind == "Deployment" && m.Metadata.Name == "airflow-api-server" })
	if at < 0 {
		t.Fatal("there is no api-server")
	}
	var plain struct {
		Template struct {
			Spec struct{ InitContainers []map[string]any }
		}
	}
	convert(t, found[at].Spec, &plain)
	charted := valuesOf(t, "values-sidecar.yaml").APIServer.ExtraInitContainers[0]
	drop(t, charted, "volumeMounts", "/var/run/secrets/kubernetes.io/serviceaccount")
	drop(t, plain.Template.Spec.InitContainers[0], "ports", "8080")
	if sidecar := plain.Template.Spec.InitContainers[0]; !reflect.DeepEqual(charted, sidecar) {
		t.Errorf("the chart's sidecar is\n%v\nthat of components/api-server\n%v", charted, sidecar)
	}
}

// drop takes the one element that holds a word out of a list.
func drop(t *testing.T, container map[string]any, list, word string) {
	t.Helper()
	all, _ := container[list].([]any)
	left := slices.DeleteFunc(slices.Clone(all), func(one any) bool { return strings.Contains(fmt.Sprint(one), word) })
	if len(left) != len(all)-1 {
		t.Fatalf("%s has %d elements with %s, want one", list, len(all)-len(left), word)
	}
	container[list] = left
}

// TestChart_PointsTasksAtTheFence looks at what Celery's and Kubernetes' workers
// read, and at where the api-server listens.
func TestChart_PointsTasksAtTheFence(t *testing.T) {
	t.Parallel()
	own := valuesOf(t, "values-deployment.yaml")
	if url := own.Config.Core["execution_api_server_url"]; url != "http://dagfence:8081/execution/" {
		t.Errorf("with a deployment of the fence, tasks are given %q", url)
	}
	if command := own.APIServer.Args[2]; !strings.HasSuffix(command, " --apps core") {
		t.Errorf("beside the fence, the chart's api-server runs %q, which serves the Execution API too", command)
	}
	sidecar := valuesOf(t, "values-sidecar.yaml")
	if url, set := sidecar.Config.Core["execution_api_server_url"]; set {
		t.Errorf("tasks are given %q: the chart's own default leads to the api-server's Service, whose port the fence has", url)
	}
	if command := sidecar.APIServer.Args[2]; !strings.HasSuffix(command, " --host 127.0.0.1 --port 8090") {
		t.Errorf("in the fence's pod, the api-server runs %q, which others reach", command)
	}
	for _, values := range []chartValues{own, sidecar} {
		if values.Config.Core["multi_team"] != "True" {
			t.Errorf("multi_team is %q, and the fence's configuration has it on", values.Config.Core["multi_team"])
		}
	}
}

// The chart's defaults let a task change its own pod's labels, by which the policies
// know the fence.
func TestChart_LetsNoTaskStartOrChangePods(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"values-deployment.yaml", "values-sidecar.yaml"} {
		values := valuesOf(t, name)
		for value, set := range map[string]*bool{
			"allowPodLaunching": values.AllowPodLaunching,
			"workers.serviceAccount.automountServiceAccountToken": values.Workers.ServiceAccount.AutomountServiceAccountToken,
		} {
			if set == nil || *set {
				t.Errorf("%s: %s is not false, as it is by default", name, value)
			}
		}
	}
}
