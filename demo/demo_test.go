package demo_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/demo"
	"github.com/dagfence/dagfence/tests/services"
)

// These tests share the one Caddy that a process has, so none is parallel.

const anyPort = "127.0.0.1:0"

// ready is the last line of what the demo prints before it waits.
const ready = "Ctrl-C ends the demo and removes the database."

// temporary sets the demo's directory for its files, and checks when the test ends
// that nothing is left in it.
func temporary(t *testing.T) {
	t.Helper()
	// What a URL could be broken by.
	dir := filepath.Join(t.TempDir(), "a b%20{env.HOME}?c#d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}

func TestShow_ReportsThatItCannotWrite(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	err := demo.Show(t.Context(), io.Discard, anyPort, config.Rules{})
	if err == nil || !strings.Contains(err.Error(), "making a directory for the database") {
		t.Errorf("error %v", err)
	}
}

func TestShow_ReportsThatTheFenceDoesNotStart(t *testing.T) {
	temporary(t)
	err := demo.Show(t.Context(), io.Discard, anyPort, config.Rules{Variables: "perhaps"})
	if err == nil || !strings.Contains(err.Error(), "starting the fence") {
		t.Errorf("error %v", err)
	}
}

// full takes no output.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestDemo_ReportsThatItCannotPrint(t *testing.T) {
	temporary(t)
	if err := demo.Show(t.Context(), full{}, anyPort, config.Rules{}); err == nil {
		t.Error("no error from the demo")
	}
	if err := demo.Check(t.Context(), full{}, anyPort, config.Rules{}); err == nil {
		t.Error("no error from the check")
	}
}

// shown runs the demo until the test ends it, and returns the lines that it prints
// first.
func shown(t *testing.T) (lines []string, end func() (later []string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	go func() { _ = write.CloseWithError(demo.Show(ctx, write, anyPort, config.Rules{})) }()
	output := bufio.NewScanner(read)
	for output.Scan() {
		lines = append(lines, output.Text())
		if output.Text() == ready {
			break
		}
	}
	collected := make(chan []string)
	go func() {
		var later []string
		for output.Scan() {
			later = append(later, output.Text())
		}
		collected <- later
	}()
	return lines, func() []string {
		cancel()
		later := <-collected
		if err := output.Err(); err != nil {
			t.Errorf("the demo ended with %v", err)
		}
		return later
	}
}

var expectation = regexp.MustCompile(`^# (\d{3}) from (upstream|the fence): .`)

// Each line that the demo prints is pasted into a shell, in order, and answers
// as the line above it says.
func TestShow_CurlLinesAnswerAsPrinted(t *testing.T) {
	temporary(t)
	services.Program(t, "curl")
	lines, end := shown(t)
	var script, want, arrive []string
	assignment := regexp.MustCompile(`^[A-Z]='[\w.-]+'$`)
	for i, line := range lines {
		switch {
		case assignment.MatchString(line):
			script = append(script, line)
		case strings.HasPrefix(line, "curl "):
			says := expectation.FindStringSubmatch(lines[i-1])
			if says == nil {
				t.Fatalf("the line above %q is %q", line, lines[i-1])
			}
			want = append(want, says[1])
			if says[2] == "upstream" {
				arrive = append(arrive, line)
			}
			script = append(script, line+" -s -o /dev/null -w '%{http_code}\\n'")
		}
	}
	shell := exec.CommandContext(t.Context(), "sh", "-eu", "-c", strings.Join(script, "\n"))
	shell.Env = []string{"PATH=" + os.Getenv("PATH")} // no proxy
	output, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	later := end()
	if got := strings.Fields(string(output)); !slices.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	later = slices.DeleteFunc(later, func(line string) bool { return !strings.Contains(line, " upstream saw ") })
	if len(later) != len(arrive) || len(arrive) == 0 {
		t.Errorf("upstream saw %d requests, want %d:\n%s", len(later), len(arrive), strings.Join(later, "\n"))
	}
}

// A shell that takes no comments at its prompt would wait for the other quote.
func TestShow_CommentsHaveNoQuotes(t *testing.T) {
	t.Parallel()
	for _, reason := range demo.ReasonsOfExamples() {
		if reason == "" || strings.ContainsAny(reason, `'"`+"`") {
			t.Errorf("reason %q", reason)
		}
	}
}

func TestStage_Origin(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:8081": "http://127.0.0.1:8081",
		"0.0.0.0:8081":   "http://127.0.0.1:8081",
		"[::]:8081":      "http://127.0.0.1:8081",
		"[::1]:8081":     "http://[::1]:8081",
	} {
		if got := demo.Origin(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
