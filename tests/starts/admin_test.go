package starts_test

import (
	"net/http"
	"os"
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

func TestRun_WarnsOfAConfigurationWithoutAFence(t *testing.T) {
	t.Parallel()
	const warning = "the configuration has no fence"
	fenced := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	for directives, warned := range map[string]bool{"reverse_proxy 127.0.0.1:1": true, "respond upstream": true, fenced: false} {
		p := fence(t, "run", "--config", write(t, "Caddyfile", caddyfile("", site(services.Address(t), directives))))
		p.says(t, running)
		if got := strings.Contains(p.said(), warning); got != warned {
			t.Errorf("%q: warned %v, want %v", directives, got, warned)
		}
		p.signal(t, syscall.SIGKILL)
		p.wait(t, ready)
	}
	// A pipe can be read once.
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.WriteString(caddyfile("", site(services.Address(t), "respond upstream"))); err != nil {
		t.Fatal(err)
	}
	_ = to.Close()
	cmd := exec.CommandContext(t.Context(), sidecar.Build(t), "run", "--adapter", "caddyfile", "--config", "/dev/stdin")
	cmd.Stdin = from
	p := services.Start(t, cmd)
	_ = from.Close()
	sidecar.Within(t, ready, "its start", func() bool { return strings.Contains(p.Output(), running) })
	if !strings.Contains(p.Output(), "nothing warns of a missing fence") {
		t.Errorf("nothing warns that a pipe is not looked at: %s", p.Output())
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
