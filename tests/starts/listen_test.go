package starts_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// refuses makes sure that a start fails at once, with an error that holds the words.
func (p *process) refuses(tb testing.TB, words string) {
	tb.Helper()
	p.failsWith(tb, 1, words)
}

// failsWith makes sure that it ends at once with a code, and with an error that holds
// the words.
func (p *process) failsWith(tb testing.TB, want int, words string) {
	tb.Helper()
	if code := p.wait(tb, ready); code != want {
		tb.Errorf("%v ended with code %d, want %d", p.cmd.Args[1:], code, want)
	}
	p.endedWithin(tb, soon, time.Since(p.began))
	lines := strings.Split(strings.TrimSpace(p.settled()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "Error: ") || !strings.Contains(last, words) {
		tb.Errorf("%v says %q, want an error with %q", p.cmd.Args[1:], last, words)
	}
}

// A fence in audit mode that was left behind would let pass its share of what the
// new one denies.
func TestLeftoverFence_IsNotJoined(t *testing.T) {
	t.Parallel()
	upstream := sidecar.NewRecorder(t)
	port := services.Port(t)
	at := func(host string) string { return net.JoinHostPort(host, port) }
	for _, left := range []string{"127.0.0.1", "", "0.0.0.0", "::", "::1"} {
		old := fence(t, proxy(t, upstream.Addr, at(left), "--audit")...)
		old.says(t, running)
		for _, host := range []string{"127.0.0.1", "localhost", "", "0.0.0.0", "::", "::1", "127.0.0.9"} {
			any := left != "127.0.0.1" && left != "::1"
			if beside := host == "127.0.0.9" || left == "::1" && (host == "127.0.0.1" || host == "localhost") || left == "127.0.0.1" && host == "::1"; beside && !any {
				p := fence(t, proxy(t, upstream.Addr, at(host))...)
				p.says(t, running)
				p.signal(t, syscall.SIGTERM)
				p.wait(t, ready)
				continue
			}
			fence(t, proxy(t, upstream.Addr, at(host))...).refuses(t, at(host)+": another process listens there")
			fence(t, proxy(t, upstream.Addr, services.Address(t), "--status", at(host))...).refuses(t, at(host)+": another process listens there")
		}
		old.signal(t, syscall.SIGTERM)
		if code := old.wait(t, ready); code != 0 {
			t.Errorf("the first ended with code %d", code)
		}
	}
}

func TestTwoStartsAtOnce_OneSurvives(t *testing.T) {
	t.Parallel()
	upstream := sidecar.NewRecorder(t)
	for range 2 * rounds() {
		one, two := services.Address(t), services.Address(t)
		// The ports are the same, and come in another order.
		first := fence(t, proxy(t, upstream.Addr, one, "--status", two)...)
		second := fence(t, proxy(t, upstream.Addr, two, "--status", one)...)
		var winner, loser *process
		select {
		case <-first.ended:
			winner, loser = second, first
		case <-second.ended:
			winner, loser = first, second
		case <-time.After(ready):
			t.Fatal("both go on")
		}
		loser.refuses(t, "another process listens there")
		winner.says(t, running)
		if status := ask(t, http.DefaultClient, "http://"+winner.cmd.Args[3]+"/execution/variables/a"); status != http.StatusUnauthorized {
			t.Errorf("the one that survived answers %d", status)
		}
		winner.signal(t, syscall.SIGKILL)
		winner.wait(t, ready)
	}
}

const guarded = "dagfence {\nownership_file OWNERS\n}\nrespond upstream"

// reload has a process read its Caddyfile again, and waits for what it says.
func (p *process) reload(tb testing.TB, config, content, words string) {
	tb.Helper()
	before := strings.Count(p.said(), words)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	p.signal(tb, syscall.SIGUSR1)
	for began := time.Now(); strings.Count(p.said(), words) == before; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > ready {
			tb.Fatalf("it does not say %q:\n%s", words, p.said())
		}
	}
}

func TestReload_KeepsItsAddressesAndChangesThem(t *testing.T) {
	t.Parallel()
	owners := write(t, "owners.yaml", "dags: {dag_a: team_a}\n")
	guarded := strings.ReplaceAll(guarded, "OWNERS", owners)
	port := services.Port(t)
	listen := net.JoinHostPort("127.0.0.1", port)
	path := filepath.Join(t.TempDir(), "fence.sock")
	bySocket := "http://fence {\nbind unix/" + path + "\n" + guarded + "\n}\n"
	config := write(t, "Caddyfile", caddyfile("", site(listen, guarded)+bySocket))
	p := fence(t, "run", "--config", config)
	p.says(t, running)
	const done = "successfully reloaded config"
	for i, sites := range []string{
		site(listen, guarded+" 1") + bySocket,
		site(listen, guarded+" 2") + bySocket,
		site("[::]:"+port, guarded+" 3") + bySocket, // the wildcard, beside what it has
		site("[::]:"+port, guarded+" 4") + bySocket,
		site(listen, guarded+" 5") + site(services.Address(t), guarded),
		site(listen, guarded+" 6") + bySocket,
	} {
		p.reload(t, config, caddyfile("", sites), done)
		url := "http://" + listen + "/execution/variables/a"
		status := ask(t, http.DefaultClient, url)
		if status == 0 { // the connection waited at a listener that was being closed
			status = ask(t, http.DefaultClient, url)
		}
		if status != http.StatusUnauthorized {
			t.Errorf("after reload %d it answers %d", i+1, status)
		}
	}

	taken := services.Address(t)
	other := fence(t, proxy(t, "127.0.0.1:1", taken)...)
	other.says(t, running)
	p.reload(t, config, caddyfile("", site(listen, guarded)+site(taken, guarded)), taken+": another process listens there")
	if status := ask(t, http.DefaultClient, "http://"+listen+"/execution/variables/a"); status != http.StatusUnauthorized {
		t.Errorf("after a reload that failed it answers %d", status)
	}
	other.signal(t, syscall.SIGKILL)
	other.wait(t, ready)
	p.reload(t, config, caddyfile("", site(listen, guarded)+site(taken, guarded)), done)
}

func TestUnixSocket_OfAnotherProcessIsNotTakenAway(t *testing.T) {
	t.Parallel()
	guarded := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	path := filepath.Join(t.TempDir(), "fence.sock")
	for name, address := range map[string]string{"a file": "unix/" + path + "|0600", "an abstract name": fmt.Sprintf("unix/@dagfence-test-%d", os.Getpid())} {
		config := write(t, "Caddyfile", caddyfile("", "http://fence {\nbind "+address+"\n"+guarded+"\n}\n"))
		plain, _, _ := strings.Cut(strings.TrimPrefix(address, "unix/"), "|")
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", plain)
		}}}
		for round := range 2 {
			old := fence(t, "run", "--config", config)
			old.says(t, running)
			fence(t, "run", "--config", config).refuses(t, "unix/"+plain+": another process listens there")
			if status := ask(t, client, "http://fence/execution/variables/a"); status != http.StatusUnauthorized {
				t.Errorf("%s, round %d: it answers %d", name, round, status)
			}
			old.signal(t, syscall.SIGKILL) // and leaves the file behind
			old.wait(t, ready)
		}
	}
}

func TestUDP_IsLookedAtWhereHTTP3Is(t *testing.T) {
	t.Parallel()
	guarded := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	listen := services.Address(t)
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	secure := fmt.Sprintf("https://:%s {\nbind %s\ntls internal\n%s\n}\n", port, host, guarded)
	config := func(protocols string) string {
		return write(t, "Caddyfile", strings.Replace(caddyfile("skip_install_trust\nservers {\nprotocols "+protocols+"\n}", secure), "auto_https off", "auto_https disable_redirects", 1))
	}
	fence(t, "run", "--config", config("h1 h2 h3")).refuses(t, "udp/"+listen+": another process listens there")
	fence(t, "run", "--config", config("h1 h2")).says(t, running)
}

func TestPortsInARange_AreEachLookedAt(t *testing.T) {
	t.Parallel()
	guarded := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	host, _, err := net.SplitHostPort(services.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	fence(t, proxy(t, "127.0.0.1:1", host+":8083")...).says(t, running)
	p := start(t, sidecar.Build(t), drained, []string{"AIRFLOW__API_AUTH__JWT_SECRET=" + secret, "PORTS=8081-8084"},
		"run", "--config", write(t, "config.json", fmt.Sprintf(`{"admin":{"disabled":true},"apps":{"http":{"servers":{"a":{"listen":["%s:{env.PORTS}"],
		"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"dagfence","ownership_file":%q}]}]}}}}}`,
			host, strings.Fields(guarded)[3])))
	p.refuses(t, host+":8083: another process listens there")
}

func TestValidate_PassesWhileTheFenceRuns(t *testing.T) {
	t.Parallel()
	guarded := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	config := write(t, "Caddyfile", caddyfile("", site(services.Address(t), guarded)))
	fence(t, "run", "--config", config).says(t, running)
	if p := fence(t, "validate", "--config", config); p.wait(t, ready) != 0 {
		t.Errorf("it says %s", p.settled())
	}
}

// What fails comes behind the first listeners, and Caddy would then wait for
// shutdown_delay, and serve.
func TestFailingStart_ServesNothing(t *testing.T) {
	t.Parallel()
	guarded := strings.ReplaceAll(guarded, "OWNERS", write(t, "owners.yaml", "dags: {dag_a: team_a}\n"))
	listen := services.Address(t)
	var over atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !over.Load() {
				if status := ask(t, http.DefaultClient, "http://"+listen+"/execution/variables/a"); status != 0 {
					t.Errorf("a request is answered %d", status)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	config := write(t, "Caddyfile", caddyfile("shutdown_delay 2s", site(listen, guarded)+"http://:8083 {\nbind 198.51.100.1\nrespond 200\n}\n"))
	for range 2 * rounds() { // Caddy starts its servers in any order
		fence(t, proxy(t, "127.0.0.1:1", listen, "--status", "198.51.100.1:8083")...).refuses(t, "198.51.100.1:8083")
		fence(t, "run", "--config", config).refuses(t, "198.51.100.1:8083")
	}
	over.Store(true)
	clients.Wait()
}
