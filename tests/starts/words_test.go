package starts_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// rounds is how often each kind of exit is tried.
func rounds() int {
	if os.Getenv("DAGFENCE_SOAK") != "" {
		return 200
	}
	return 10
}

// exit is a way in which the binary ends.
type exit struct {
	args, env []string
	// behind waits until it says so, and then sends the signals.
	behind  string
	signals []syscall.Signal
	code    int
	// last is in the last line, and line, if set, in some line.
	last, line string
}

// failures are the starts that fail, each with a part of what it says.
func failures(tb testing.TB) map[string]exit {
	tb.Helper()
	signed := []string{"AIRFLOW__API_AUTH__JWT_SECRET=" + secret}
	owners := write(tb, "owners.yaml", "dags: {dag_a: team_a}\n")
	unknown := "sqlite:///" + database(tb)
	taken := services.Address(tb)
	fence(tb, proxy(tb, "127.0.0.1:1", taken)...).says(tb, running)
	options := func(arguments ...string) exit {
		return exit{args: append([]string{"proxy", "--listen", services.Address(tb), "--upstream", "http://127.0.0.1:1"}, arguments...), env: signed}
	}
	with := func(e exit, last string) exit {
		e.code, e.last = 1, last
		return e
	}
	usage := func(e exit, last string) exit {
		e.code, e.last = 2, last
		return e
	}
	config := func(name, content, last string) exit {
		return with(exit{args: []string{"run", "--config", write(tb, name, content)}, env: signed}, last)
	}
	shipped, err := filepath.Abs("../../Caddyfile")
	if err != nil {
		tb.Fatal(err)
	}
	keyless := options("--ownership-file", owners)
	keyless.env = []string{"AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH=/nowhere/key.pem"}
	return map[string]exit{
		"an unknown command":      usage(exit{args: []string{"fence"}}, `unknown command "fence" for "dagfence"`),
		"an unknown flag":         usage(options("--lisen", ":8081"), "unknown flag: --lisen"),
		"no upstream":             usage(exit{args: []string{"proxy"}}, "--upstream is missing"),
		"no owners":               with(options(), "no ownership source configured"),
		"no owners' file":         with(options("--ownership-file", "/nowhere.yaml"), "ownership_file: reading: open /nowhere.yaml"),
		"no key file":             with(keyless, "token public_key: open /nowhere/key.pem"),
		"an unknown schema":       with(options("--database", unknown), "not a metadata database that can be read"),
		"a port in use":           with(exit{args: proxy(tb, "127.0.0.1:1", taken), env: signed}, taken+": another process listens there"),
		"the status port in use":  with(exit{args: proxy(tb, "127.0.0.1:1", services.Address(tb), "--status", taken), env: signed}, taken+": another process listens there"),
		"a foreign address":       with(exit{args: proxy(tb, "127.0.0.1:1", services.Address(tb), "--status", "198.51.100.1:8083"), env: signed}, "198.51.100.1:8083: bind: "),
		"the shipped Caddyfile":   with(exit{args: []string{"run", "--config", shipped}}, "no token key configured"),
		"no Caddyfile":            with(exit{args: []string{"run", "--config", "/nowhere/Caddyfile"}}, "--config: stat /nowhere/Caddyfile: no such file"),
		"a Caddyfile's syntax":    config("Caddyfile", ":8081 {\ndagfence {\n", "Caddyfile:"),
		"a Caddyfile's option":    config("Caddyfile", "{\nadmin off\nlog {\noutput dagfence_stderr\n}\n}\n:8081 {\ndagfence {\nmode off\n}\n}\n", "mode"),
		"a JSON's field":          config("config.json", `{"apps":{"http":{"servers":{"a":{"listen":[":8081"],"routes":[{"handle":[{"handler":"dagfence","modes":"x"}]}]}}}}}`, `unknown field "modes"`),
		"JSON that is none":       config("config.json", `{"apps":`, "unexpected end of JSON input"),
		"lookup without owners":   with(exit{args: []string{"lookup"}}, "no ownership source configured"),
		"lookup's unknown schema": with(exit{args: []string{"lookup", "--listen", services.Address(tb), "--database", unknown}}, "not a metadata database that can be read"),
		"lookup's port in use":    with(exit{args: []string{"lookup", "--listen", taken, "--ownership-file", owners}}, "address already in use: must be a free address"),
		"check's flags":           usage(exit{args: []string{"check", "--fence", "fence:8081"}}, "--fence is not the URL of a server"),
		"demo's port in use":      with(exit{args: []string{"demo", "--listen", taken}}, taken+": another process listens there"),
		"a file to compare":       with(exit{args: []string{"routes", "--compare", "/nowhere.tsv"}}, "open /nowhere.tsv"),
	}
}

// ends are the ways to end what runs.
func ends(tb testing.TB) map[string]func() exit {
	tb.Helper()
	signed := []string{"AIRFLOW__API_AUTH__JWT_SECRET=" + secret}
	owners := write(tb, "owners.yaml", "dags: {dag_a: team_a}\n")
	return map[string]func() exit{
		"SIGTERM": func() exit {
			return exit{args: proxy(tb, "127.0.0.1:1", services.Address(tb)), behind: running, signals: []syscall.Signal{syscall.SIGTERM}, last: `"msg":"shutdown complete"`, env: signed}
		},
		"SIGINT": func() exit {
			return exit{args: []string{"run", "--config", write(tb, "Caddyfile", caddyfile("", site(services.Address(tb), "dagfence {\nownership_file "+owners+"\n}")))}, behind: running, signals: []syscall.Signal{syscall.SIGINT}, last: `"msg":"shutdown complete"`, env: signed}
		},
		"lookup's SIGTERM": func() exit {
			return exit{args: []string{"lookup", "--listen", services.Address(tb), "--ownership-file", owners}, behind: "lookup service listens", signals: []syscall.Signal{syscall.SIGTERM}, last: "lookup service ended"}
		},
		"a second SIGTERM": func() exit {
			return exit{
				args: proxy(tb, "127.0.0.1:1", services.Address(tb), "--status", services.Address(tb)), behind: running, signals: []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM},
				last: "Error: ended at once by a second signal (terminated)", code: 2, env: signed,
			}
		},
		"a crash": func() exit {
			return exit{
				args: proxy(tb, "127.0.0.1:1", services.Address(tb)), behind: running, signals: []syscall.Signal{syscall.SIGABRT},
				line: "SIGABRT: abort", code: 2, env: signed,
			}
		},
	}
}

// database is one that Airflow never saw.
func database(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "other.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		tb.Fatal(err)
	}
	_, err = db.ExecContext(tb.Context(), "create table stranger (id integer)")
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

// try runs it once, and compares how it ended.
func (e exit) try(t *testing.T, program string, to stderr) {
	t.Helper()
	p := start(t, program, to, e.env, e.args...)
	told := p.began
	for i, s := range e.signals {
		if i == 0 {
			p.says(t, e.behind)
			told = time.Now()
		} else {
			p.says(t, "shutting down")
		}
		p.signal(t, s)
	}
	if code := p.wait(t, ready); code != e.code {
		t.Errorf("it ended with code %d, want %d", code, e.code)
	}
	p.endedWithin(t, soon, time.Since(told))
	said := p.settled()
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, e.last) || !strings.HasSuffix(said, "\n") {
		t.Errorf("its last words are %q, want %q", last, e.last)
	}
	if !strings.Contains(said, e.line) {
		t.Errorf("it does not say %q", e.line)
	}
	if len(e.signals) == 0 && !strings.HasPrefix(lines[len(lines)-1], "Error: ") {
		t.Errorf("its last line is %q, want an error", lines[len(lines)-1])
	}
	if strings.Contains(said, secret) {
		t.Error("the secret is in the log")
	}
}

func TestEveryExit_SaysWhy(t *testing.T) {
	t.Parallel()
	program := sidecar.Build(t)
	failing, running := failures(t), ends(t)
	for name, e := range failing {
		running[name] = func() exit { return e }
	}
	for name, exit := range running {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range rounds() {
				exit().try(t, program, drained)
				exit().try(t, program, file)
			}
		})
	}
}

func TestPanic_ComesBehindTheLog(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "panics")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./testdata/panics")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var want strings.Builder
	for i := range 20 {
		fmt.Fprintf(&want, "entry %d\n", i)
	}
	want.WriteString("panic: the last word\n")
	for range rounds() {
		for _, to := range []stderr{drained, file, slow} {
			p := start(t, program, to, nil)
			if code := p.wait(t, ready); code != 2 {
				t.Errorf("code %d, want 2", code)
			}
			if said := p.settled(); !strings.HasPrefix(said, want.String()) || !strings.HasSuffix(said, "\n") {
				t.Errorf("it says %q, want %q first", said, want.String())
			}
		}
	}
}

func TestSlowReader_GetsTheLastWords(t *testing.T) {
	t.Parallel()
	program := sidecar.Build(t)
	for range rounds() {
		ends(t)["SIGTERM"]().try(t, program, slow)
		ends(t)["a second SIGTERM"]().try(t, program, slow)
	}
	failing := failures(t)
	for _, name := range []string{"no upstream", "an unknown schema", "a port in use", "the shipped Caddyfile", "lookup without owners"} {
		failing[name].try(t, program, slow)
	}
}

func TestReaderThatNeverReads_HoldsNoExitUp(t *testing.T) {
	t.Parallel()
	program := sidecar.Build(t)
	for name, e := range failures(t) {
		p := start(t, program, unread, e.env, e.args...)
		if code := p.wait(t, ready); code != e.code {
			t.Errorf("%s: code %d, want %d", name, code, e.code)
		}
		p.endedWithin(t, soon, time.Since(p.began))
	}
	for name, signals := range map[string]int{"SIGTERM": 1, "a second SIGTERM": 2} {
		e := ends(t)[name]()
		p := start(t, program, unread, e.env, e.args...)
		url := "http://" + e.args[2] + "/execution/variables/var_b"
		for began := time.Now(); ask(t, http.DefaultClient, url) != http.StatusUnauthorized && time.Since(began) < ready; {
			time.Sleep(5 * time.Millisecond)
		}
		for range 100 { // until the pipe is full
			if status := ask(t, http.DefaultClient, url); status != http.StatusUnauthorized {
				t.Fatalf("%s: a request is answered %d", name, status)
			}
		}
		told := time.Now()
		for range signals {
			p.signal(t, syscall.SIGTERM)
			time.Sleep(100 * time.Millisecond)
		}
		if code := p.wait(t, ready); code != e.code {
			t.Errorf("%s: code %d, want %d", name, code, e.code)
		}
		p.endedWithin(t, soon, time.Since(told))
	}
}
