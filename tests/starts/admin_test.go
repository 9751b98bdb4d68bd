package starts_test

import (
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const adminWarning = "any process that can reach the admin endpoint can remove the fence"

func TestAdminEndpoint_OnTCPIsWarnedOf(t *testing.T) {
	t.Parallel()
	owners := write(t, "owners.yaml", "dags: {dag_a: team_a}\n")
	at := services.Address(t)
	fenced := site(services.Address(t), strings.ReplaceAll(guarded, "OWNERS", owners))
	for name, of := range map[string]struct {
		content string
		warned  bool
	}{
		"on TCP":           {"{\nadmin " + at + " {\norigins " + at + "\n}\n}\n" + fenced, true},
		"off":              {"{\nadmin off\n}\n" + fenced, false},
		"on a unix socket": {"{\nadmin unix/" + t.TempDir() + "/admin.sock\n}\n" + fenced, false},
		"without a fence":  {"{\nadmin " + at + "\n}\n" + site(services.Address(t), "respond upstream"), false},
	} {
		config := write(t, "Caddyfile", of.content)
		p := fence(t, "run", "--config", config)
		p.says(t, running)
		if got := strings.Contains(p.said(), adminWarning); got != of.warned {
			t.Errorf("%s: warned %v, want %v", name, got, of.warned)
		}
		if of.warned {
			output, err := exec.CommandContext(t.Context(), sidecar.Build(t), "reload", "--config", config, "--force").CombinedOutput()
			if err != nil || !strings.Contains(string(output), adminWarning) {
				t.Errorf("reload: %v, not warned: %s", err, output)
			}
		}
		p.signal(t, syscall.SIGKILL)
		p.wait(t, ready)
	}
}

func TestRun_WarnsOfRoutesPastTheFence(t *testing.T) {
	t.Parallel()
	const warning = "without the fence: write dagfence before it"
	fenced := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	for before, warned := range map[string]bool{"": false, "reverse_proxy /execution/variables/* 127.0.0.1:1\n": true} {
		config := write(t, "Caddyfile", "{\nadmin off\n}\n"+site(services.Address(t), "route {\n"+before+fenced+"\nreverse_proxy 127.0.0.1:1\n}"))
		p := fence(t, "run", "--config", config)
		p.says(t, running)
		if got := strings.Contains(p.said(), warning); got != warned {
			t.Errorf("%q before it: warned %v, want %v", before, got, warned)
		}
		p.signal(t, syscall.SIGKILL)
		p.wait(t, ready)
	}
}

// With the admin endpoint off, SIGUSR1 is the way to load another configuration.
func TestSIGUSR1_ReloadsTheRules(t *testing.T) {
	t.Parallel()
	listen, owners := services.Address(t), write(t, "owners.yaml", "variables: {var_b: team_b}\n")
	rules := func(documentation string) string {
		return caddyfile("", site(listen, "dagfence {\nownership_file "+owners+"\nrules {\ndocumentation "+documentation+"\n}\n}\nrespond upstream"))
	}
	config := write(t, "Caddyfile", rules("allow"))
	p := fence(t, "run", "--config", config)
	p.says(t, running)
	status := func() int { return ask(t, http.DefaultClient, "http://"+listen+"/execution/docs") }
	if got := status(); got != http.StatusOK {
		t.Errorf("allowed: %d", got)
	}
	p.reload(t, config, rules("deny"), "successfully reloaded config")
	if got := status(); got != http.StatusForbidden {
		t.Errorf("denied after SIGUSR1: %d", got)
	}
	p.reload(t, config, rules("sometimes"), "failed to reload config")
	if got := status(); got != http.StatusForbidden {
		t.Errorf("after a configuration that can't be loaded: %d", got)
	}
}
