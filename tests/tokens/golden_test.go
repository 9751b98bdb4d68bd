package tokens_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

var update = flag.Bool("update", false, "make the golden sample of tokens anew, with Airflow's answers")

const (
	golden = "testdata/sample.jsonl"
	// ofEachKind is how many tokens of each kind the sample has at most, not
	// counting large ones but for one.
	ofEachKind, largeInSample = 7, 1500
)

// A known question is one that Airflow has answered.
type known struct {
	question
	Airflow answer `json:"airflow"`
}

// TestGolden_Sample holds the fence against answers that Airflow gave before: the
// property without Python.
func TestGolden_Sample(t *testing.T) {
	t.Parallel()
	if *update {
		sample(t)
	}
	file, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fence := newFence(t, settingsOf("testdata", "public.pem"))
	seen, total := tally{}, 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); total++ {
		var k known
		if err := json.Unmarshal(lines.Bytes(), &k); err != nil {
			t.Fatal(err)
		}
		seen[fence.judge(t, k.question, k.Airflow)]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	seen.check(t, total)
}

// sample makes keys, asks Airflow about tokens under them, and keeps some of
// each kind and the public halves of the keys.
func sample(t *testing.T) {
	t.Helper()
	directory := t.TempDir()
	g := newGenerator(2, deployments(t, directory))
	for _, name := range []string{"jwks.json", "public.pem"} {
		if err := os.WriteFile(filepath.Join("testdata", name), must(os.ReadFile(filepath.Join(directory, name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	oracle, fence := airflow(t, settingsOf(directory, "private.pem")), newFence(t, settingsOf(directory, "public.pem"))
	var kept bytes.Buffer
	kinds := tally{}
	for range 20_000 {
		k := known{question: g.next()}
		if err := oracle.send(k.question); err != nil {
			t.Fatal(err)
		}
		oracle.receive(t, &k.Airflow)
		_, err := fence.ask(k.question)
		kind := fence.judge(t, k.question, k.Airflow) + identity.Reason(err) + k.Airflow.Error[:min(len(k.Airflow.Error), 40)]
		if kind == bothAccept {
			kind += k.Validator + k.Airflow.Scope
		}
		if kinds[kind]++; kinds[kind] > ofEachKind || (len(k.Header) > largeInSample && kinds[kind] > 1) {
			continue
		}
		k.Airflow.Error = k.Airflow.Error[:min(len(k.Airflow.Error), 100)]
		kept.Write(append(must(json.Marshal(k)), '\n'))
	}
	if err := os.WriteFile(golden, kept.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
