// Package deploy_test checks what is in deploy: Kubernetes' manifests, as
// kustomize renders them, and the values for Airflow's chart.
package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/tests/services"
)

const kubernetes = "../../deploy/kubernetes"

// An installation is what an operator applies: an overlay with components, or a
// file.
type installation struct {
	overlay    string
	components []string
	file       string
}

// installations are the overlays as they are and with all components, and the
// files beside them.
var installations = map[string]installation{
	"deployment":            {overlay: "deployment"},
	"deployment, all of it": {overlay: "deployment", components: []string{"execution-api", "redis", "lookup-tls", "tls"}},
	"sidecar":               {overlay: "sidecar"},
	"sidecar, all of it":    {overlay: "sidecar", components: []string{"api-server", "redis", "lookup-tls"}},
	"sidecar-pod":           {file: "sidecar-pod.yaml"},
	"check-from-worker":     {file: "check-from-worker.yaml"},
}

// render returns the manifests of an installation as YAML.
func (i installation) render(t *testing.T) []byte {
	t.Helper()
	if i.file != "" {
		content, err := os.ReadFile(filepath.Join(kubernetes, i.file))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	tree := t.TempDir()
	if err := os.CopyFS(tree, os.DirFS(kubernetes)); err != nil {
		t.Fatal(err)
	}
	i.addComponents(t, filepath.Join(tree, "overlays", i.overlay, "kustomization.yaml"))
	cmd := exec.CommandContext(t.Context(), services.Program(t, "kustomize"), "build", filepath.Join(tree, "overlays", i.overlay))
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	rendered, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("kustomize: %v\n%s", err, stderr)
	}
	return rendered
}

// addComponents does what the overlay's file tells its reader to: it takes the #
// away from the components.
func (i installation) addComponents(t *testing.T, file string) {
	t.Helper()
	if i.components == nil {
		return
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, commented := range append([]string{"components:"}, i.components...) {
		if commented != "components:" {
			commented = "  - ../../components/" + commented
		}
		if strings.Count(text, "\n# "+commented) != 1 {
			t.Fatalf("%s does not offer %q", file, commented)
		}
		text = strings.Replace(text, "\n# "+commented, "\n"+commented, 1)
	}
	if strings.Contains(text, "\n#   - ../../components/") {
		t.Fatalf("%s offers a component that no test renders", file)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// manifests are the objects of an installation.
func (i installation) manifests(t *testing.T) []manifest {
	t.Helper()
	return parse(t, i.render(t))
}

// A manifest is an object of Kubernetes'. JSON's names are matched whatever their
// case, so these are all its fields that are looked at.
type manifest struct {
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Data map[string]string
	Spec json.RawMessage
	pod  *pod // of a pod, or of what makes pods
}

type pod struct {
	Labels map[string]string
	podSpec
}

type podSpec struct {
	AutomountServiceAccountToken  *bool
	SecurityContext               security
	InitContainers, Containers    []container
	TerminationGracePeriodSeconds int
	TopologySpreadConstraints     []struct{ LabelSelector selector }
	Volumes                       []struct {
		Name      string
		ConfigMap *struct{ Name string }
		Secret    *struct{ SecretName string }
		EmptyDir  *struct{}
	}
}

func (p *podSpec) all() []container { return slices.Concat(p.InitContainers, p.Containers) }

type container struct {
	Name, Image string
	Args        []string
	Env         []struct {
		Name, Value string
		ValueFrom   struct{ SecretKeyRef struct{ Name, Key string } }
	}
	Ports []struct {
		Name          string
		ContainerPort int
	}
	StartupProbe, LivenessProbe, ReadinessProbe *struct {
		HTTPGet struct{ Path, Port, Scheme any }
	}
	SecurityContext security
	Resources       struct{ Requests, Limits map[string]any }
	VolumeMounts    []struct{ Name, MountPath string }
}

// isFence reports whether it runs dagfence.
func (c *container) isFence() bool { return strings.Contains(c.Image, "/dagfence") }

type security struct {
	RunAsNonRoot, ReadOnlyRootFilesystem bool
	RunAsUser                            int
	AllowPrivilegeEscalation             *bool
	Capabilities                         struct{ Add, Drop []string }
	SeccompProfile                       struct{ Type string }
}

type selector struct{ MatchLabels map[string]string }

func (s selector) matches(labels map[string]string) bool {
	for name, value := range s.MatchLabels {
		if labels[name] != value {
			return false
		}
	}
	return true
}

// parse reads YAML documents.
func parse(t *testing.T, content []byte) []manifest {
	t.Helper()
	var found []manifest
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var document map[string]any
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		var m manifest
		convert(t, document, &m)
		switch m.Kind {
		case "Pod":
			m.pod = &pod{Labels: m.Metadata.Labels}
			convert(t, m.Spec, &m.pod.podSpec)
		case "Deployment", "Job":
			var spec struct {
				Template struct {
					Metadata struct{ Labels map[string]string }
					Spec     podSpec
				}
			}
			convert(t, m.Spec, &spec)
			m.pod = &pod{spec.Template.Metadata.Labels, spec.Template.Spec}
		}
		found = append(found, m)
	}
}

// convert turns what was decoded into a value of another type.
func convert(t *testing.T, from, to any) {
	t.Helper()
	encoded, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(encoded, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}
