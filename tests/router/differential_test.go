package router_test

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/caddymodule/route"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

// The two sites' rules: in the open one everything is the own team's, so that all
// that can be read passes; in the strict one all but a few names are another's.
const options = `dagfence {
	multi_team on
	token {
		secret %s
	}
	lookup %s
	%s
}`

// startOpenAndStrict starts an open and a strict fence.
func startOpenAndStrict(t *testing.T) (open, strict *site) {
	t.Helper()
	const everything = "*"
	theirs := map[string]string{everything: "theirs"}
	for _, name := range ownNames {
		theirs[name] = "ours"
	}
	for _, name := range sharedNames {
		theirs[name] = ""
	}
	ours := map[string]string{everything: "ours"}
	sites := startSites(t, "unix", map[string]string{
		"open":   fmt.Sprintf(options, secret, lookupService(t, ours), "rules {\n xcom_writes off\n documentation allow\n }"),
		"strict": fmt.Sprintf(options, secret, lookupService(t, theirs), "rules {\n documentation allow\n }"),
	})
	sites["open"].next = neighbour(t)
	return sites["open"], sites["strict"]
}

// lookupService has the same owners for the same names, whatever they name, and "*"
// the owner of all others. The own task is a current attempt.
func lookupService(t *testing.T, owners map[string]string) string {
	t.Helper()
	teamOf := func(name string) string {
		if team, named := owners[name]; named {
			return team
		}
		return owners["*"]
	}
	server := httptest.NewServer(resolvertest.Service(resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		answers := make([]resolver.Answer, len(questions))
		for i, question := range questions {
			answer := resolver.Answer{Outcome: resolver.Found, Team: teamOf(question.Name), AsOf: time.Now()}
			if question.Kind == resolver.KindTask {
				answer.Team = teamOf(ownDag)
				answer.Current, answer.StoredTeam = true, answer.Team
				answer.Task = resolver.Task{DagID: ownDag, RunID: ownRun, TaskID: ownID, MapIndex: ownIndex}
			}
			answers[i] = answer
		}
		return answers
	})))
	t.Cleanup(server.Close)
	return server.URL
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %q is not a number", name, text)
	}
	return number
}

// trial is one request on its way through the test.
type trial struct {
	request
	open, strict outcome
	// next is what became of another client's request behind it, at the open site.
	next outcome
	err  error
}

// neighbour is what another client sends behind each request that is tried. Its
// token's scheme is what tells it from others'.
func neighbour(t *testing.T) request {
	t.Helper()
	return request{
		method: "PUT", target: "/execution/task-instances/" + ownTask + "/heartbeat",
		headers: []string{"Authorization: bEaReR " + signOwn(t, "execution")},
	}
}

// following is the neighbour's request, if it came on the same connection.
func (t trial) following() []byte {
	if len(t.open.arrived) == 1 && len(t.next.arrived) == 1 && t.next.conn == t.open.conn {
		return t.next.arrived[0]
	}
	return nil
}

// holdsNext reports whether the neighbour's request was read as it was sent.
func (t trial) holdsNext(forwarded *answer) error {
	if len(t.next.arrived) != 1 || t.next.status != http.StatusOK {
		return fmt.Errorf("the request behind it is answered with %d, and arrives %d times", t.next.status, len(t.next.arrived))
	}
	if t.following() == nil {
		return nil
	}
	for parser, airflow := range forwarded.both() {
		read := airflow.Next
		ours := read.matches() && read.Path == "/task-instances/{task_instance_id}/heartbeat" && read.Behind == 0 &&
			canonicalID(read.names().id) == ownTask && strings.HasPrefix(read.Authorization, "bEaReR ")
		if !ours && read.Kind != "closed" {
			return fmt.Errorf("%s: of the request behind it on the connection Airflow makes %v", parser, read)
		}
	}
	return nil
}

// judge sends a request to both sites.
func judge(r request, open, strict *site) trial {
	tried := trial{request: r}
	if tried.open, tried.err = open.send(r.raw(), r.method); tried.err != nil {
		tried.err = fmt.Errorf("open site: %w", tried.err)
		return tried
	}
	if len(tried.open.arrived) > 0 {
		if tried.next, tried.err = open.sendNext(); tried.err != nil {
			tried.err = fmt.Errorf("open site, the request behind it: %w", tried.err)
			return tried
		}
	}
	if tried.strict, tried.err = strict.send(r.raw(), r.method); tried.err != nil {
		tried.err = fmt.Errorf("strict site: %w", tried.err)
	}
	return tried
}

// tally counts what the trials were like: a test that only ever asks for what
// is refused would prove nothing.
type tally struct {
	requests, forwarded, followed, allowed, refusedMatches int
	reached                                                map[string]int
}

func (n *tally) count(tried trial, original answer, forwarded *answer) {
	n.requests++
	if forwarded == nil {
		if original.HTTPTools.matches() && original.H11.matches() {
			n.refusedMatches++
		}
		return
	}
	n.forwarded++
	if tried.following() != nil {
		n.followed++
	}
	if forwarded.H11.matches() {
		f := kindOf(forwarded.H11) // by the name that the table has for it
		n.reached[f.Method+" "+f.Pattern]++
	}
	if len(tried.strict.arrived) > 0 {
		n.allowed++
	}
}

// settle asks the oracle about each trial, and compares.
func settle(o *oracle, batch []trial, counts *tally) (int, error) {
	var questions []question
	for _, tried := range batch {
		questions = append(questions, question{raw: tried.raw()})
		for _, arrived := range tried.open.arrived {
			questions = append(questions, question{raw: arrived, next: tried.following()})
		}
	}
	answers, err := o.converse(questions)
	if err != nil {
		return 0, err
	}
	for i, tried := range batch {
		original := answers[0]
		answers = answers[1:]
		var forwarded *answer
		if n := len(tried.open.arrived); n > 0 {
			forwarded = &answers[0]
			answers = answers[n:]
		}
		err := tried.err
		if err == nil {
			err = compare(tried.request, tried.open, tried.strict, original, forwarded, o.version < latest)
		}
		if err == nil && forwarded != nil {
			err = tried.holdsNext(forwarded)
		}
		if err != nil {
			return i, err
		}
		counts.count(tried, original, forwarded)
	}
	return 0, nil
}

// shrink looks for a shorter request that still shows a difference.
func shrink(o *oracle, r request, open, strict *site) request {
	fails := func(r request) bool {
		tried := judge(r, open, strict)
		_, err := settle(o, []trial{tried}, &tally{reached: map[string]int{}})
		return err != nil
	}
	for i := len(r.headers) - 1; i > 0 && r.body == ""; i-- { // the first is the credential, one may frame the body
		shorter := r
		shorter.headers = slices.Delete(slices.Clone(r.headers), i, i+1)
		if fails(shorter) {
			r = shorter
		}
	}
	for size := len(r.target) / 2; size > 0; size /= 2 {
		for at := 1; at+size <= len(r.target); {
			shorter := r
			shorter.target = r.target[:at] + r.target[at+size:]
			if fails(shorter) {
				r = shorter
			} else {
				at += size
			}
		}
	}
	return r
}

// TestArrival_IsWhatWasJudged sends generated requests, DAGFENCE_FUZZ_REQUESTS
// of them and no two the same, through a whole Caddy, and asks Airflow's own
// router what it makes of what arrives. DAGFENCE_FUZZ_SEED makes others, and
// DAGFENCE_FUZZ_AIRFLOW names another release than the latest.
func TestArrival_IsWhatWasJudged(t *testing.T) {
	const batchSize = 100
	wanted := setting(t, "DAGFENCE_FUZZ_REQUESTS", 20_000)
	g := &generator{
		Rand:  rand.New(rand.NewPCG(uint64(setting(t, "DAGFENCE_FUZZ_SEED", 1)), 0)),
		table: route.Table(), execution: signOwn(t, "execution"), workload: signOwn(t, "workload"), callback: signOwn(t, "callback"),
	}
	version := latest
	if other, ok := os.LookupEnv("DAGFENCE_FUZZ_AIRFLOW"); ok {
		version = other
	}
	o := startOracle(t, version)
	open, strict := startOpenAndStrict(t)
	batches := make(chan []trial, 2)
	stop := make(chan struct{})
	go func() {
		defer close(batches)
		seed := maphash.MakeSeed()
		known := make(map[uint64]struct{}, wanted)
		for len(known) < wanted {
			var batch []trial
			for len(batch) < batchSize && len(known) < wanted {
				r := g.next()
				hash := maphash.Bytes(seed, r.raw())
				if _, again := known[hash]; again {
					continue
				}
				known[hash] = struct{}{}
				batch = append(batch, judge(r, open, strict))
			}
			select {
			case batches <- batch:
			case <-stop:
				return
			}
		}
	}()
	counts := &tally{reached: make(map[string]int)}
	started := time.Now()
	for batch := range batches {
		at, err := settle(o, batch, counts)
		if err == nil {
			if counts.requests%100_000 == 0 {
				t.Logf("%d requests in %v", counts.requests, time.Since(started).Round(time.Second))
			}
			continue
		}
		close(stop)
		for range batches { // until the sites are free
		}
		shown := shrink(o, batch[at].request, open, strict)
		tried := judge(shown, open, strict)
		_, shownErr := settle(o, []trial{tried}, counts)
		t.Fatalf("after %d requests: %v\nin short: %v\n%s\nat first: %q", counts.requests, err, shownErr, redact(shown), batch[at].target)
	}
	took := time.Since(started)
	t.Logf("%d distinct requests in %v (%.0f a second): %d forwarded, %d of these by the strict rules, %d followed on the same connection; of the refused, Airflow would have routed %d",
		counts.requests, took.Round(time.Second), float64(counts.requests)/took.Seconds(), counts.forwarded, counts.allowed, counts.followed, counts.refusedMatches)
	if counts.followed < counts.forwarded*9/10 {
		t.Errorf("%d of %d forwarded requests were followed on the same connection: too few to prove anything", counts.followed, counts.forwarded)
	}
	enough := min(wanted/2000, 100) // there are only so many ways to ask for /docs
	newest := newestVersion(t, version)
	for _, r := range route.Table() {
		if r.Since > newest {
			continue // this release does not have it yet
		}
		if n := counts.reached[r.Method+" "+r.Pattern]; n < enough && version >= latest {
			t.Errorf("%s %s was reached by %d requests: too few to prove anything", r.Method, r.Pattern, n)
		}
	}
}

// redact shows a request without its credential.
func redact(r request) string {
	r.headers = slices.Clone(r.headers)
	r.headers[0] = "Authorization: Bearer ..."
	return strings.ReplaceAll(fmt.Sprintf("%q", r.raw()), `\r\n`, "\\r\\n\n\t")
}
