package starts_test

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// silent takes connections until the test ends, and never answers. The channel
// holds a word for each.
func silent(tb testing.TB) (addr string, asked <-chan struct{}) {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	connected := make(chan struct{}, 100)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			connected <- struct{}{}
		}
	})
	tb.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String(), connected
}

func TestStartThatHangs_EndsAtTheFirstSignal(t *testing.T) {
	t.Parallel()
	const before = "Error: signal (terminated) received before the start was over"
	for name, c := range map[string]struct {
		// args are the command's, with DB for what never answers.
		args, env []string
		last      string
	}{
		"proxy's PostgreSQL":  {[]string{"proxy", "--listen", services.Address(t), "--upstream", "http://127.0.0.1:1", "--database", "postgresql://u@DB/x"}, nil, before},
		"beside its status":   {[]string{"proxy", "--listen", services.Address(t), "--status", services.Address(t), "--upstream", "http://127.0.0.1:1", "--database", "postgresql://u@DB/x"}, nil, before},
		"proxy's MySQL":       {[]string{"proxy", "--listen", services.Address(t), "--upstream", "http://127.0.0.1:1", "--database", "mysql://u@DB/x"}, nil, before},
		"proxy's JWKS":        {[]string{"proxy", "--listen", services.Address(t), "--upstream", "http://127.0.0.1:1", "--lookup", "http://127.0.0.1:1"}, []string{"AIRFLOW__API_AUTH__TRUSTED_JWKS_URL=http://DB/jwks"}, before},
		"a Caddyfile's":       {[]string{"run", "--config", write(t, "Caddyfile", caddyfile("shutdown_delay 5s", site(services.Address(t), "dagfence")))}, []string{"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql://u@DB/x"}, before},
		"lookup's PostgreSQL": {[]string{"lookup", "--listen", services.Address(t), "--database", "postgresql://u@DB/x"}, nil, before},
		"check's PostgreSQL":  {[]string{"check", "--database", "postgresql://u@DB/x"}, nil, "Error: signal (terminated) received before all was checked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, asked := silent(t)
			fill := func(words []string) []string {
				filled := make([]string, 0, len(words)+1)
				for _, word := range words {
					filled = append(filled, strings.ReplaceAll(word, "DB", addr))
				}
				return filled
			}
			p := start(t, sidecar.Build(t), drained, append(fill(c.env), "AIRFLOW__API_AUTH__JWT_SECRET="+secret), fill(c.args)...)
			select {
			case <-asked:
			case <-time.After(ready):
				t.Fatal("it asks nobody")
			}
			told := time.Now()
			p.signal(t, syscall.SIGTERM)
			if code := p.wait(t, ready); code != 1 {
				t.Errorf("it ended with code %d, want 1", code)
			}
			p.endedWithin(t, time.Second, time.Since(told))
			if lines := strings.Split(strings.TrimSpace(p.settled()), "\n"); lines[len(lines)-1] != c.last {
				t.Errorf("its last words are %q, want %q", lines[len(lines)-1], c.last)
			}
		})
	}
}

// What runs ends as ever, whatever its sites are: the first signal lets requests
// in flight end.
func TestWhatRuns_IsNotTakenForAStart(t *testing.T) {
	t.Parallel()
	for name, directives := range map[string]string{
		"without a fence": "respond 200",
		"with one":        "dagfence {\nownership_file " + write(t, "owners.yaml", "dags: {dag_a: team_a}\n") + "\n}\nrespond 200",
	} {
		listen := services.Address(t)
		p := fence(t, "run", "--config", write(t, "Caddyfile", caddyfile("shutdown_delay 500ms", site(listen, directives))))
		p.says(t, running)
		for began := time.Now(); ask(t, http.DefaultClient, "http://"+listen+"/") != http.StatusOK && time.Since(began) < ready; {
			time.Sleep(5 * time.Millisecond)
		}
		told := time.Now()
		p.signal(t, syscall.SIGTERM)
		if code := p.wait(t, ready); code != 0 || time.Since(told) < 500*time.Millisecond {
			t.Errorf("%s: it ended with code %d after %v", name, code, time.Since(told))
		}
	}
}

func TestArguments_AreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"proxy", "--upstream", "http://127.0.0.1:1", "--audit", "true"},
		{"proxy", "http://u:" + secret + "@127.0.0.1:1"},
		{"lookup", "--", "x"},
		{"check", "x"},
		{"routes", "x"},
		{"demo", "--check", "x", "y"},
	} {
		p := fence(t, args...)
		p.failsWith(t, 2, "unexpected argument: dagfence "+args[0]+" takes flags only")
		if strings.Contains(p.settled(), secret) {
			t.Errorf("%s: the argument is shown", args[0])
		}
	}
}

func TestPortsThatTheSystemChooses_AreTwo(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		p := fence(t, proxy(t, "127.0.0.1:1", address, "--status", address)...)
		p.says(t, running)
		served := regexp.MustCompile(`"actual_address":"([^"]+)"`)
		sidecar.Within(t, ready, "it names two addresses", func() bool { return len(served.FindAllString(p.said(), -1)) == 2 })
		var statuses []int
		for _, match := range served.FindAllStringSubmatch(p.said(), -1) {
			statuses = append(statuses, ask(t, http.DefaultClient, "http://"+match[1]+"/live"))
		}
		if slices.Sort(statuses); !slices.Equal(statuses, []int{http.StatusOK, http.StatusBadGateway}) {
			t.Errorf("%s: /live is answered %v", address, statuses)
		}
	}
	fence(t, proxy(t, "127.0.0.1:1", ":0", "--status", ":0")...).failsWith(t, 2, "overlap: set --status to another port")
}
