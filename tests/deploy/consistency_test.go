package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// chartPods are the labels of pods that Airflow's chart makes, with the release
// named airflow.
var chartPods = map[string]map[string]string{
	"worker":        {"tier": "airflow", "component": "worker", "release": "airflow"},
	"api-server":    {"tier": "airflow", "component": "api-server", "release": "airflow"},
	"execution-api": {"tier": "airflow", "component": "execution-api-server", "release": "airflow"},
}

// charted are the names that Airflow's chart gives, with the release named
// airflow, and that docs/deployment.md says how to change.
var charted = []string{
	"Secret airflow-jwt-secret", "Secret airflow-metadata", "Secret airflow-fernet-key", "Secret airflow-api-secret-key",
	"ConfigMap airflow-config", "Service airflow-execution-api-server", "Service airflow-api-server",
}

// documented matches a Secret that the operator is told to make, up to the end of
// the command.
var documented = regexp.MustCompile(`(?s)kubectl create secret (?:generic|tls) (?:-n airflow )?([\w-]+)(.*?)\n[^ ]`)

// secretsOf returns the keys of the Secrets that a page has commands for.
func secretsOf(t *testing.T, page string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	for _, command := range documented.FindAllStringSubmatch(string(content), -1) {
		keys := found[command[1]]
		for _, key := range regexp.MustCompile(`--from-file=([\w.-]+)`).FindAllStringSubmatch(command[2], -1) {
			keys = append(keys, key[1])
		}
		if strings.Contains(command[2], "--cert=") {
			keys = append(keys, "tls.crt", "tls.key")
		}
		found[command[1]] = keys
	}
	return found
}

func TestSelectors_MatchPods(t *testing.T) {
	t.Parallel()
	for name, installed := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := installed.manifests(t)
			known := slices.Collect(maps.Values(chartPods))
			for _, m := range found {
				if m.pod != nil {
					known = append(known, m.pod.Labels)
				}
			}
			check := func(of string, s selector) {
				if len(s.MatchLabels) == 0 || !slices.ContainsFunc(known, s.matches) {
					t.Errorf("%s selects %v, which no pod has", of, s.MatchLabels)
				}
			}
			for _, m := range found {
				name := m.Kind + " " + m.Metadata.Name
				switch m.Kind {
				case "Deployment":
					var spec struct{ Selector selector }
					convert(t, m.Spec, &spec)
					if !spec.Selector.matches(m.pod.Labels) || len(spec.Selector.MatchLabels) == 0 {
						t.Errorf("%s selects %v, and its pods have %v", name, spec.Selector.MatchLabels, m.pod.Labels)
					}
					for _, spread := range m.pod.TopologySpreadConstraints {
						if !maps.Equal(spread.LabelSelector.MatchLabels, spec.Selector.MatchLabels) {
							t.Errorf("%s spreads pods of %v", name, spread.LabelSelector.MatchLabels)
						}
					}
				case "PodDisruptionBudget":
					var spec struct{ Selector selector }
					convert(t, m.Spec, &spec)
					check(name, spec.Selector)
				case "Service":
					var spec struct{ Selector map[string]string }
					convert(t, m.Spec, &spec)
					check(name, selector{spec.Selector})
				case "NetworkPolicy":
					policy := policyOf(t, m)
					check(name, policy.PodSelector)
					for _, peer := range policy.peers() {
						check(name, peer)
					}
				}
			}
		})
	}
}

func TestReferences_Exist(t *testing.T) {
	t.Parallel()
	ours := secretsOf(t, "../../docs/deployment.md")
	maps.Copy(ours, secretsOf(t, kubernetes+"/sidecar-pod.yaml"))
	for name, installed := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := installed.manifests(t)
			known := slices.Clone(charted)
			for _, m := range found {
				known = append(known, m.Kind+" "+m.Metadata.Name)
			}
			for name := range ours {
				known = append(known, "Secret "+name)
			}
			for _, m := range found {
				if m.pod == nil {
					continue
				}
				for _, reference := range references(m.pod) {
					if !slices.Contains(known, reference) {
						t.Errorf("%s %s refers to %s, which is not there and not documented", m.Kind, m.Metadata.Name, reference)
					}
				}
				for _, problem := range files(m.pod, found, ours) {
					t.Errorf("%s %s: %s", m.Kind, m.Metadata.Name, problem)
				}
			}
		})
	}
}

// references are the objects that a pod needs.
func references(p *pod) (names []string) {
	for _, volume := range p.Volumes {
		if volume.ConfigMap != nil {
			names = append(names, "ConfigMap "+volume.ConfigMap.Name)
		}
		if volume.Secret != nil {
			names = append(names, "Secret "+volume.Secret.SecretName)
		}
	}
	for _, c := range p.all() {
		for _, variable := range c.Env {
			if name := variable.ValueFrom.SecretKeyRef.Name; name != "" {
				names = append(names, "Secret "+name)
			}
		}
	}
	return names
}

// files returns what is wrong with the files that a pod's fences name: each has to
// be a key of what is mounted there.
func files(p *pod, found []manifest, secrets map[string][]string) (problems []string) {
	for _, c := range p.all() {
		if !c.isFence() {
			continue
		}
		text := strings.Join(c.Args, "\n")
		for _, content := range configOf(p, found) {
			text += "\n" + content
		}
		for _, path := range regexp.MustCompile(`(?:/run/secrets|/etc/dagfence)/[\w./-]+`).FindAllString(text, -1) {
			if !hasFile(p, c, found, secrets, path) {
				problems = append(problems, "nothing has the file "+path)
			}
		}
	}
	return problems
}

func hasFile(p *pod, c container, found []manifest, secrets map[string][]string, path string) bool {
	for _, mount := range c.VolumeMounts {
		key, below := strings.CutPrefix(path, mount.MountPath+"/")
		if !below {
			continue
		}
		for _, volume := range p.Volumes {
			switch {
			case volume.Name != mount.Name:
			case volume.Secret != nil:
				return slices.Contains(secrets[volume.Secret.SecretName], key) ||
					volume.Secret.SecretName == "airflow-jwt-secret" && key == "jwt-secret"
			case volume.ConfigMap != nil:
				_, has := configOf(p, found)[key]
				return has
			}
		}
	}
	return false
}

// configOf returns the ConfigMap that a pod's fence has.
func configOf(p *pod, found []manifest) map[string]string {
	for _, volume := range p.Volumes {
		for _, m := range found {
			if volume.ConfigMap != nil && m.Kind == "ConfigMap" && m.Metadata.Name == volume.ConfigMap.Name && m.Data["Caddyfile"] != "" {
				return m.Data
			}
		}
	}
	return nil
}

func TestPorts_Exist(t *testing.T) {
	t.Parallel()
	for name, installed := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := installed.manifests(t)
			for _, m := range found {
				if m.pod != nil {
					checkProbes(t, m)
				}
				if m.Kind == "Service" {
					checkService(t, m, found)
				}
				for _, content := range m.Data {
					for _, target := range regexp.MustCompile(`(?m)(?:reverse_proxy|lookup) (?:https?://)?([a-z-]+):(\d+)`).FindAllStringSubmatch(content, -1) {
						checkTarget(t, found, target[1], target[2])
					}
				}
			}
		})
	}
}

// checkProbes checks that probes ask ports of the pod for what is served there.
func checkProbes(t *testing.T, m manifest) {
	t.Helper()
	open := make(map[string]bool)
	for _, c := range m.pod.all() {
		for _, port := range c.Ports {
			open[port.Name], open[fmt.Sprint(port.ContainerPort)] = true, true
		}
	}
	for _, c := range m.pod.all() {
		probes := 0
		for _, probe := range []*struct {
			HTTPGet struct{ Path, Port, Scheme any }
		}{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if probe == nil {
				continue
			}
			probes++
			if !open[fmt.Sprint(probe.HTTPGet.Port)] {
				t.Errorf("%s %s: a probe of %s asks port %v, which is not open", m.Kind, m.Metadata.Name, c.Name, probe.HTTPGet.Port)
			}
			secure := slices.ContainsFunc(c.Args, func(arg string) bool { return strings.HasPrefix(arg, "--tls-cert") })
			if secure != (probe.HTTPGet.Scheme == "HTTPS") {
				t.Errorf("%s %s: a probe of %s asks by %v", m.Kind, m.Metadata.Name, c.Name, probe.HTTPGet.Scheme)
			}
			if path := probe.HTTPGet.Path; c.isFence() && path != "/live" && path != "/ready" {
				t.Errorf("%s %s: a probe asks for %v", m.Kind, m.Metadata.Name, path)
			}
		}
		if c.isFence() && m.Kind != "Job" && probes < 2 {
			t.Errorf("%s %s: %s has %d probes", m.Kind, m.Metadata.Name, c.Name, probes)
		}
	}
}

func checkService(t *testing.T, m manifest, found []manifest) {
	t.Helper()
	var spec struct {
		IPFamilyPolicy string
		Selector       map[string]string
		Ports          []struct {
			Port       int
			TargetPort any
		}
	}
	convert(t, m.Spec, &spec)
	if spec.IPFamilyPolicy != "PreferDualStack" {
		t.Errorf("Service %s: ipFamilyPolicy is %q", m.Metadata.Name, spec.IPFamilyPolicy)
	}
	for _, port := range spec.Ports {
		open := false
		for _, other := range found {
			if other.pod == nil || !(selector{spec.Selector}).matches(other.pod.Labels) {
				continue
			}
			for _, c := range other.pod.all() {
				for _, has := range c.Ports {
					open = open || has.Name == port.TargetPort || fmt.Sprint(has.ContainerPort) == fmt.Sprint(port.TargetPort)
				}
			}
		}
		if !open {
			t.Errorf("Service %s: its pods have no port %v", m.Metadata.Name, port.TargetPort)
		}
	}
}

// checkTarget checks that a host is a Service with the port.
func checkTarget(t *testing.T, found []manifest, host, port string) {
	t.Helper()
	for _, m := range found {
		if m.Kind == "Service" && m.Metadata.Name == host {
			if !strings.Contains(string(m.Spec), `"port":`+port+`,`) && !strings.Contains(string(m.Spec), `"port":`+port+`}`) {
				t.Errorf("Service %s has no port %s", host, port)
			}
			return
		}
	}
	if !slices.Contains(charted, "Service "+host) || port != "8080" {
		t.Errorf("there is no Service %s with port %s", host, port)
	}
}

func TestPods_AreRestricted(t *testing.T) {
	t.Parallel()
	for name, installed := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := installed.manifests(t)
			for _, m := range found {
				if m.pod == nil {
					continue
				}
				if token := m.pod.AutomountServiceAccountToken; token == nil || *token {
					t.Errorf("%s %s has a service-account token", m.Kind, m.Metadata.Name)
				}
				for _, c := range m.pod.all() {
					for _, problem := range unrestricted(m.pod, c) {
						t.Errorf("%s %s: %s: %s", m.Kind, m.Metadata.Name, c.Name, problem)
					}
				}
			}
		})
	}
}

// unrestricted returns what the restricted Pod Security Standard has against a
// container, and for fences what else they can do without.
func unrestricted(p *pod, c container) (problems []string) {
	own, all := c.SecurityContext, p.SecurityContext
	expect := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	expect(own.RunAsNonRoot || all.RunAsNonRoot, "runAsNonRoot is not set")
	expect(own.SeccompProfile.Type == "RuntimeDefault" || all.SeccompProfile.Type == "RuntimeDefault", "seccompProfile is not RuntimeDefault")
	expect(slices.Equal(own.Capabilities.Drop, []string{"ALL"}) && own.Capabilities.Add == nil, "capabilities are not dropped")
	expect(own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation, "allowPrivilegeEscalation is not false")
	for _, variable := range c.Env {
		expect(variable.Name == "GOMEMLIMIT" || variable.Name == "AIRFLOW__CORE__MULTI_TEAM" || variable.Value == "", variable.Name+" is a literal")
	}
	if c.isFence() {
		expect(own.RunAsUser == 65532 || all.RunAsUser == 65532, "runAsUser is not 65532")
		expect(own.ReadOnlyRootFilesystem, "readOnlyRootFilesystem is not set")
		expect(c.Resources.Requests["cpu"] != nil && c.Resources.Requests["memory"] != nil && c.Resources.Limits["memory"] != nil, "resources are not set")
	}
	return problems
}

// TestImages_AreOfOneVersion is told by the overlays what the version is.
func TestImages_AreOfOneVersion(t *testing.T) {
	t.Parallel()
	versions := make(map[string]bool)
	note := func(t *testing.T, p *pod) {
		t.Helper()
		for _, c := range p.all() {
			name, tag, tagged := strings.Cut(c.Image, ":")
			if !tagged || tag == "latest" || tag == "" {
				t.Errorf("the image %q has no version", c.Image)
			}
			if c.isFence() {
				versions[name+":"+tag] = true
			}
		}
	}
	for _, installed := range installations {
		for _, m := range installed.manifests(t) {
			if m.pod != nil {
				note(t, m.pod)
			}
		}
	}
	note(t, parse(t, chartPod(t))[0].pod)
	if len(versions) != 1 {
		t.Errorf("images of the fence are %v, want one", slices.Sorted(maps.Keys(versions)))
	}
}

// TestTLS_ChangesNothingElse compares the Caddyfile of components/tls with that of
// the overlay, which it takes the place of.
func TestTLS_ChangesNothingElse(t *testing.T) {
	t.Parallel()
	caddyfile := func(of string) string {
		content, err := os.ReadFile(kubernetes + of + "/Caddyfile")
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	want := strings.NewReplacer(
		"\tpersist_config off\n", "\tpersist_config off\n\tauto_https off\n",
		"protocols h1\n", "protocols h1 h2\n",
		":8081 {\n", "https://:8081 {\n\ttls {\n\t\tget_certificate dagfence_files /run/secrets/dagfence-tls/tls.crt /run/secrets/dagfence-tls/tls.key\n\t}\n",
		":8083 {", "http://:8083 {",
	).Replace(caddyfile("/overlays/deployment"))
	if got := caddyfile("/components/tls"); got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
}
