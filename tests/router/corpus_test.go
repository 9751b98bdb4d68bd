package router_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

// oddRequest is a line of testdata/corpus.jsonl: a request that a careless
// fence gets wrong.
type oddRequest struct {
	ID, Category, Note string
	Method, Target     string
	Headers            []string
	Body               string
	Raw                string // instead of these four
	Token              string // a name in tokens
	// Must is "allow" (it arrives once, as it was sent), "deny" (a 4xx, and
	// nothing arrives) or "same_resource": either denied, or it arrives as what
	// it was, and Permitted says that the rules have nothing against it.
	Must      string
	Permitted bool
	Airflow   answer
}

var repeated = regexp.MustCompile(`\{\{repeat (.) (\d+)\}\}`)

// oddRequests reads the corpus.
func oddRequests(t *testing.T) []oddRequest {
	t.Helper()
	content, err := os.ReadFile("testdata/corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	content = repeated.ReplaceAllFunc(content, func(found []byte) []byte {
		parts := repeated.FindSubmatch(found)
		times, err := strconv.Atoi(string(parts[2]))
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Repeat(parts[1], times)
	})
	var all []oddRequest
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	for {
		var odd oddRequest
		if err := decoder.Decode(&odd); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("testdata/corpus.jsonl:%d: %v", len(all)+1, err)
		}
		all = append(all, odd)
	}
}

// bytes are the request on the wire. The connection ends with it.
func (o oddRequest) bytes(tokens map[string]string) []byte {
	raw := o.Raw
	if raw == "" {
		lines := []string{o.Method + " " + o.Target + " HTTP/1.1", "Host: airflow", "Connection: close"}
		if !strings.Contains(strings.Join(o.Headers, "\n"), "Authorization:") && o.Token != "none" {
			lines = append(lines, "Authorization: Bearer {{TOKEN}}")
		}
		lines = append(lines, o.Headers...)
		if o.Body != "" {
			lines = append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(o.Body)))
		}
		raw = strings.Join(append(lines, "", o.Body), "\r\n")
	}
	raw = strings.ReplaceAll(raw, "{{TOKEN}}", tokens[o.Token])
	for name, token := range tokens {
		raw = strings.ReplaceAll(raw, "{{TOKEN:"+name+"}}", token)
	}
	return []byte(raw)
}

// newWorld is the world of the lookup service: who owns what.
func newWorld() *resolvertest.World {
	world := new(resolvertest.World)
	for name, task := range taskOf {
		world.Run(name, task)
	}
	for kind, teams := range map[resolver.Kind]map[string][]string{
		resolver.KindDag:        {"team_a": {"dag_a"}, "team_b": {"dag_b"}, "": {"dag_g"}},
		resolver.KindVariable:   {"team_a": {"var_a", "a/b", "ключ", "sp ace", "100%"}, "team_b": {"var_b", "pct%2Fkey"}, "": {"keys", "global_var"}},
		resolver.KindConnection: {"team_a": {"conn_a"}, "team_b": {"conn_b"}, "": {"global_conn"}},
	} {
		for team, names := range teams {
			for _, name := range names {
				world.Own(kind, name, team)
			}
		}
	}
	return world
}

func TestCorpus_HoldsAtTheEdge(t *testing.T) {
	lookup := httptest.NewServer(resolvertest.Service(newWorld()))
	t.Cleanup(lookup.Close)
	s := startSites(t, "tcp", map[string]string{"corpus": fmt.Sprintf("dagfence {\n token {\n  secret %s\n }\n lookup %s\n}", secret, lookup.URL)})["corpus"]
	tokens := corpusTokens(t)
	for _, odd := range oddRequests(t) {
		t.Run(odd.ID+" "+odd.Category, func(t *testing.T) {
			raw := odd.bytes(tokens)
			statuses := exchange(t, s, raw)
			arrived, _ := s.upstream.take()
			if err := odd.holds(raw, statuses, arrived, takeHanded(s.name)); err != nil {
				t.Errorf("%s %s: %v; answers %v", odd.Note, odd.Target, err, statuses)
			}
		})
	}
}

// holds reports whether a request became of what it must.
func (o oddRequest) holds(raw []byte, statuses []int, arrived [][]byte, given []handed) error {
	if len(statuses) == 0 {
		return errors.New("no answer")
	}
	for _, status := range statuses {
		if status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported {
			return errors.New("an error of the server's")
		}
	}
	denied := len(arrived) == 0 && statuses[0] >= 400
	switch {
	case o.Must == "deny" && !denied:
		return fmt.Errorf("it is not denied, %q arrived", arrived)
	case denied && o.Must == "allow":
		return errors.New("it is denied")
	case denied:
		return nil
	case len(arrived) != 1 || len(given) != 1:
		return fmt.Errorf("%d requests arrived", len(arrived))
	case o.Must != "allow" && !o.Permitted:
		return errors.New("it passes though the rules forbid it")
	case !sameTarget(head(raw), head(arrived[0])):
		return fmt.Errorf("it arrives as %q", head(arrived[0]))
	case headerOf(arrived[0], "Authorization") != headerOf(raw, "Authorization"):
		return errors.New("the credential does not arrive as it was")
	case o.Raw == "" && !bytes.HasSuffix(arrived[0], []byte("\r\n\r\n"+o.Body)):
		return errors.New("the body does not arrive as it was")
	}
	for parser, airflow := range o.Airflow.both() {
		airflow.Behind = 0 // what is behind is judged as well
		if err := compareReading(airflow, given[0], false); err != nil {
			return fmt.Errorf("%s: %w", parser, err)
		}
	}
	return nil
}

// exchange sends bytes over a connection of their own, and returns the status of
// each answer until the server hangs up.
func exchange(t *testing.T, s *site, raw []byte) []int {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), s.network, s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write(raw) // the server may hang up before it has read all
	content, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("no answer in time")
	}
	var statuses []int
	for lines := bufio.NewReader(bytes.NewReader(content)); ; {
		response, err := http.ReadResponse(lines, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		statuses = append(statuses, response.StatusCode)
	}
}

// TestCorpus_IsReadByAirflowAsItSays keeps the corpus true.
func TestCorpus_IsReadByAirflowAsItSays(t *testing.T) {
	o := startOracle(t, latest)
	tokens := corpusTokens(t)
	for _, odd := range oddRequests(t) {
		answers, err := o.ask(odd.bytes(tokens))
		if err != nil {
			t.Fatal(err)
		}
		for parser, airflow := range answers[0].both() {
			if want := odd.Airflow.both()[parser]; airflow.String() != want.String() {
				t.Errorf("%s (%s), %s: Airflow makes %v of it, the corpus says %v", odd.ID, odd.Note, parser, airflow, want)
			}
		}
	}
}
