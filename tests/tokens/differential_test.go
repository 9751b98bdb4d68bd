package tokens_test

import (
	"crypto/sha256"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestToken_RefusedByAirflowIsRefused asks both about tokens that are made
// up, 20,000 or as many as DAGFENCE_FUZZ_TOKENS says.
func TestToken_RefusedByAirflowIsRefused(t *testing.T) {
	t.Parallel()
	wanted := 20_000
	if more := os.Getenv("DAGFENCE_FUZZ_TOKENS"); more != "" {
		var err error
		if wanted, err = strconv.Atoi(more); err != nil {
			t.Fatalf("DAGFENCE_FUZZ_TOKENS: %v", err)
		}
	}
	directory := t.TempDir()
	profiles := deployments(t, directory)
	oracle := airflow(t, settingsOf(directory, "private.pem"))
	fence := newFence(t, settingsOf(directory, "public.pem"))

	asked := make(chan question, 1000)
	go func() {
		defer close(asked)
		g := newGenerator(1, profiles)
		for distinct := map[[32]byte]struct{}{}; len(distinct) < wanted; {
			q := g.next()
			if oracle.send(q) != nil { // receive tells
				return
			}
			asked <- q
			distinct[sha256.Sum256([]byte(q.Header))] = struct{}{}
		}
	}()
	seen := tally{}
	for q := range asked {
		var a answer
		oracle.receive(t, &a)
		seen[fence.judge(t, q, a)]++
	}
	seen.check(t, wanted)
}

// check shows the counts, and that both verdicts and each difference that is
// written down were seen.
func (seen tally) check(t *testing.T, wanted int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%7d %s", seen[name], name)
	}
	for _, name := range []string{bothAccept, bothRefuse} {
		if seen[name] < wanted/10 {
			t.Errorf("%s: %d of %d, too few to mean anything", name, seen[name], wanted)
		}
	}
	for _, d := range slices.Concat(refusals, grants) {
		if seen[d.name] == 0 && version() == latest {
			t.Errorf("%q never happened: take it off the list", d.name)
		}
	}
}
