package deploy_test

import (
	"maps"
	"slices"
	"testing"
)

// A policy is a NetworkPolicy's spec.
type policy struct {
	PodSelector selector
	PolicyTypes []string
	Ingress     []struct {
		From  []struct{ PodSelector, NamespaceSelector *selector }
		Ports []struct{ Port int }
	}
}

func policyOf(t *testing.T, m manifest) (p policy) {
	t.Helper()
	convert(t, m.Spec, &p)
	if len(p.PolicyTypes) != 1 || p.PolicyTypes[0] != "Ingress" {
		t.Errorf("NetworkPolicy %s: policyTypes are %v", m.Metadata.Name, p.PolicyTypes)
	}
	return p
}

// peers are the pods that a policy lets in.
func (p *policy) peers() (selectors []selector) {
	for _, rule := range p.Ingress {
		for _, from := range rule.From {
			if from.PodSelector != nil {
				selectors = append(selectors, *from.PodSelector)
			}
		}
	}
	return selectors
}

// reaches reports whether a pod with labels may connect to a port of another in
// the same namespace, as Kubernetes has it: pods that no policy selects are open,
// and policies add up.
func reaches(policies []policy, from, to map[string]string, port int) bool {
	isolated := false
	for _, p := range policies {
		if !p.PodSelector.matches(to) {
			continue
		}
		isolated = true
		for _, rule := range p.Ingress {
			peer := len(rule.From) == 0
			for _, one := range rule.From {
				peer = peer || one.PodSelector != nil && one.NamespaceSelector == nil && one.PodSelector.matches(from)
			}
			for _, open := range rule.Ports {
				if peer && open.Port == port {
					return true
				}
			}
			if peer && len(rule.Ports) == 0 {
				return true
			}
		}
	}
	return !isolated
}

// TestNetworkPolicies_LeaveNoWayAroundTheFence asks the policies of each overlay
// who reaches whom.
func TestNetworkPolicies_LeaveNoWayAroundTheFence(t *testing.T) {
	t.Parallel()
	fence := map[string]string{"app.kubernetes.io/name": "dagfence", "app.kubernetes.io/component": "fence"}
	lookup := map[string]string{"app.kubernetes.io/name": "dagfence", "app.kubernetes.io/component": "lookup"}
	worker, apiServer, executionAPI := chartPods["worker"], chartPods["api-server"], chartPods["execution-api"]
	other := map[string]string{"app": "other"}
	type way struct {
		what     string
		from, to map[string]string
		port     int
		open     bool
	}
	own := []way{
		{"the fence to the Execution API", fence, executionAPI, 8080, true},
		{"a worker to the Execution API", worker, executionAPI, 8080, false},
		{"the api-server to the Execution API", apiServer, executionAPI, 8080, false},
		{"another pod to the Execution API", other, executionAPI, 8080, false},
		{"a worker to the fence", worker, fence, 8081, true},
		{"another pod to the fence", other, fence, 8081, false},
		{"a worker to the fence's status", worker, fence, 8083, false},
		{"the fence to the lookup service", fence, lookup, 8082, true},
		{"a worker to the lookup service", worker, lookup, 8082, false},
		{"a worker to the user interface", worker, apiServer, 8080, true},
	}
	sidecar := []way{
		{"a worker to the fence", worker, apiServer, 8080, true},
		{"a worker to the api-server behind it", worker, apiServer, 8090, false},
		{"a worker to the fence's status", worker, apiServer, 8083, false},
		{"the fence to the lookup service", apiServer, lookup, 8082, true},
		{"a worker to the lookup service", worker, lookup, 8082, false},
	}
	for name, ways := range map[string][]way{"deployment": own, "deployment, all of it": own, "sidecar": sidecar, "sidecar, all of it": sidecar} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var policies []policy
			pods := []map[string]string{worker, apiServer, executionAPI, other}
			for _, m := range installations[name].manifests(t) {
				if m.Kind == "NetworkPolicy" {
					policies = append(policies, policyOf(t, m))
				}
				if m.pod != nil {
					pods = append(pods, m.pod.Labels)
				}
			}
			for _, way := range ways {
				if !slices.ContainsFunc(pods, func(labels map[string]string) bool { return maps.Equal(labels, way.to) }) {
					t.Errorf("%s: no pod has the labels %v", way.what, way.to)
				}
				if open := reaches(policies, way.from, way.to, way.port); open != way.open {
					t.Errorf("%s: open is %v, want %v", way.what, open, way.open)
				}
			}
		})
	}
}
