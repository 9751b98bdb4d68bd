package router_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// update writes the golden files anew, by what the fence and the newest Airflow
// make of generated requests. Read the difference before it is committed.
var update = flag.Bool("update", false, "write testdata/golden by the installed Airflow")

const (
	goldenRequests = 200 // for each API version
	noVersion      = "none"
)

// golden is a request, what Airflow makes of it, and whether the open site lets
// it through.
type golden struct {
	Method  string  `json:"method"`
	Target  string  `json:"target"`
	Airflow reading `json:"airflow"`
	Passes  bool    `json:"passes"`
}

// request sends a golden under an API version, or none.
func (line golden) request(token, version string) request {
	r := request{method: line.Method, target: line.Target, headers: []string{"Authorization: Bearer " + token}}
	if version != noVersion {
		r.headers = append(r.headers, "Airflow-API-Version: "+version)
	}
	return r
}

// TestGolden_Readings holds the fence to what Airflow's router was seen to make
// of requests under each API version, without Airflow.
func TestGolden_Readings(t *testing.T) {
	open, _ := startOpenAndStrict(t)
	tokens := map[bool]string{false: signOwn(t, "execution"), true: signOwn(t, "workload")}
	var o *oracle
	if *update {
		o = startOracle(t, latest)
	}
	for i, version := range append([]string{noVersion}, versions...) {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join("testdata", "golden", version+".jsonl")
			if *update {
				g := &generator{Rand: rand.New(rand.NewPCG(uint64(i), 0)), table: route.Table(), plain: true}
				writeGoldens(t, path, version, tokens, g, o, open)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(bytes.NewReader(content))
			lines.Buffer(nil, 1<<20)
			n := 0
			for ; lines.Scan(); n++ {
				var line golden
				decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
				decoder.UseNumber()
				if err := decoder.Decode(&line); err != nil {
					t.Fatalf("%s:%d: %v", path, n+1, err)
				}
				checkGolden(t, line, line.request(tokens[wantsWorkload(line.Target)], version), open)
			}
			if n != goldenRequests {
				t.Errorf("%d requests, want %d", n, goldenRequests)
			}
		})
	}
}

func checkGolden(t *testing.T, line golden, r request, open *site) {
	t.Helper()
	got, err := open.send(r.raw(), r.method)
	if err == nil {
		err = sane(got)
	}
	if err == nil && len(got.arrived) > 0 {
		err = compareReading(line.Airflow, got.handed[0], false)
	}
	if err != nil {
		t.Errorf("%s %s: %v; Airflow makes of it %v", line.Method, line.Target, err, line.Airflow)
	}
	if passes := len(got.arrived) > 0; passes != line.Passes {
		t.Errorf("%s %s: passes: %t (%d), want %t; Airflow makes of it %v", line.Method, line.Target, passes, got.status, line.Passes, line.Airflow)
	}
	if len(got.arrived) > 0 && !sameTarget(line.Method+" "+line.Target+" HTTP/1.1", head(got.arrived[0])) {
		t.Errorf("%s %s arrives as %s", line.Method, line.Target, head(got.arrived[0]))
	}
}

// sameTarget reports whether two request lines differ at most in which bytes of
// the path are escaped: Go escapes anew what should have been.
func sameTarget(sent, arrived string) bool {
	a, err := http.ReadRequest(bufio.NewReader(strings.NewReader(sent + "\r\n\r\n")))
	if err != nil {
		return false
	}
	b, err := http.ReadRequest(bufio.NewReader(strings.NewReader(arrived + "\r\n\r\n")))
	return err == nil && a.Method == b.Method && a.URL.Path == b.URL.Path && a.URL.RawQuery == b.URL.RawQuery
}

// wantsWorkload reports the endpoints that take no other scope.
func wantsWorkload(target string) bool { return strings.Contains(target, "/connection-tests/") }

// writeGoldens asks about generated requests; those that the parsers differ
// about, or that JSON can't hold, are left to the other tests.
func writeGoldens(t *testing.T, path, version string, tokens map[bool]string, g *generator, o *oracle, open *site) {
	t.Helper()
	file := new(bytes.Buffer)
	encoder := json.NewEncoder(file)
	encoder.SetEscapeHTML(false)
	known := make(map[string]bool)
	for len(known) < goldenRequests {
		generated := g.next()
		line := golden{Method: generated.method, Target: generated.target}
		if key := line.Method + " " + line.Target; known[key] || !utf8.ValidString(key) || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' }) {
			continue
		}
		r := line.request(tokens[wantsWorkload(line.Target)], version)
		answers, err := o.ask(r.raw())
		if err != nil {
			t.Fatal(err)
		}
		if answers[0].H11.String() != answers[0].HTTPTools.String() {
			continue
		}
		got, err := open.send(r.raw(), r.method)
		if err != nil {
			t.Fatal(err)
		}
		line.Airflow, line.Passes = answers[0].H11, len(got.arrived) > 0
		line.Airflow.Authorization = ""
		known[line.Method+" "+line.Target] = true
		if err := encoder.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
