package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dagfence/dagfence/config"
)

// request is one call. Its target is sent unchanged.
type request struct {
	method, target, body string
	headers              []string // lines
	// meanwhile is a request that is answered before the last byte of this body is sent.
	meanwhile *turn
}

// turn is a request with the name of its sender.
type turn struct {
	who string
	request
}

func below(method, path, body string) request {
	return request{method: method, target: string(mount) + path, body: body}
}

func get(path string) request         { return below(http.MethodGet, path, "") }
func head(path string) request        { return below(http.MethodHead, path, "") }
func del(path string) request         { return below(http.MethodDelete, path, "") }
func put(path, body string) request   { return below(http.MethodPut, path, body) }
func post(path, body string) request  { return below(http.MethodPost, path, body) }
func patch(path, body string) request { return below(http.MethodPatch, path, body) }

// raw returns a GET of any target, with or without the mount.
func raw(target string) request { return request{method: http.MethodGet, target: target} }

// with returns the request with one more header line.
func (r request) with(line string) request {
	r.headers = append(slices.Clone(r.headers), line)
	return r
}

// after returns the request, with its last byte sent after another one is answered.
func (r request) after(who string, other request) request {
	r.meanwhile = &turn{who, other}
	return r.with("Expect: 100-continue")
}

// verdict is a status, and whether it is upstream's.
type verdict struct {
	status  int
	arrives bool // at upstream, whose status it then is
}

func passes(status int) verdict  { return verdict{status, true} }
func refused(status int) verdict { return verdict{status, false} }

func (v verdict) String() string {
	if v.arrives {
		return fmt.Sprintf("%d upstream", v.status)
	}
	return fmt.Sprintf("%d fence", v.status)
}

// answer is the answer to a request, and what upstream saw of it.
type answer struct {
	status      int
	contentType string
	body        string
	arrived     []arrival
}

// problems returns how the answer differs from what the cell wants, joined. token
// is that of the cell's who.
func (c cell) problems(token string, got answer) error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if got.status != c.want.status {
		wrong("status %d, not %d", got.status, c.want.status)
	}
	if c.want.arrives {
		if want := []arrival{c.arrival(token)}; !slices.Equal(got.arrived, want) {
			wrong("upstream saw %d requests, or another than was sent", len(got.arrived))
		}
		return errors.Join(errs...)
	}
	if len(got.arrived) > 0 {
		wrong("upstream saw it")
	}
	if got.contentType != "application/json" {
		wrong("Content-Type %q, which the Task SDK does not treat as a denial", got.contentType)
	}
	if c.method == http.MethodHead {
		return errors.Join(errs...)
	}
	var body struct{ Detail detail }
	switch err := json.Unmarshal([]byte(got.body), &body); {
	case err != nil:
		wrong("the body is not in the shape of Airflow's errors: %w", err)
	case body.Detail.Reason == "" || body.Detail.Message == "":
		wrong("the body has no reason or no message")
	case strings.Contains(body.Detail.Message, "team_"):
		wrong("the message names an owner")
	}
	return errors.Join(errs...)
}

// authorization is the header's value, "" for none.
func authorization(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

// arrival is what upstream sees of the cell's request, if it passes.
func (c cell) arrival(token string) arrival {
	seen := arrival{method: c.method, target: c.target, authorization: authorization(token), body: c.body}
	for _, line := range c.headers {
		if version, ok := strings.CutPrefix(line, "Airflow-API-Version: "); ok {
			seen.version = version
		}
	}
	return seen
}

// send writes the request byte for byte, since a client library would normalize it.
// tokens has one for each who.
func send(ctx context.Context, address string, tokens map[string]string, who string, r request) (answer, error) {
	token := tokens[who]
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close() //nolint:errcheck // the answer was read, or an error is on its way
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return answer{}, err
	}
	lines := []string{r.method + " " + r.target + " HTTP/1.1", "Host: " + address}
	if value := authorization(token); value != "" {
		lines = append(lines, "Authorization: "+value)
	}
	if r.body != "" {
		lines = append(lines, "Content-Type: application/json", fmt.Sprintf("Content-Length: %d", len(r.body)))
	}
	lines = append(append(lines, r.headers...), "", r.body)
	text, responses := strings.Join(lines, "\r\n"), bufio.NewReader(conn)
	if r.meanwhile != nil {
		if text, err = holdLastByte(conn, responses, text, len(r.body)); err != nil {
			return answer{}, err
		}
		if _, err := send(ctx, address, tokens, r.meanwhile.who, r.meanwhile.request); err != nil {
			return answer{}, err
		}
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(responses, &http.Request{Method: r.method})
	for err == nil && response.StatusCode == http.StatusContinue { // upstream's own
		response, err = http.ReadResponse(responses, &http.Request{Method: r.method})
	}
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, contentType: response.Header.Get("Content-Type"), body: string(body)}, err
}

// holdLastByte sends a request except for its last byte, which it returns: first the
// head, and the body once the fence asks for it, so that it was judged by then.
func holdLastByte(conn io.Writer, responses *bufio.Reader, text string, body int) (last string, err error) {
	head, last := len(text)-body, text[len(text)-1:]
	if _, err := io.WriteString(conn, text[:head]); err != nil {
		return "", err
	}
	response, err := http.ReadResponse(responses, nil)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close() // a 100 has none
	if response.StatusCode != http.StatusContinue {
		return "", fmt.Errorf("answered %d before the body was sent", response.StatusCode)
	}
	_, err = io.WriteString(conn, text[head:len(text)-1])
	return last, err
}

// recorder keeps what upstream saw.
type recorder struct {
	mu   sync.Mutex
	seen []arrival
}

func (r *recorder) saw(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, a)
}

// take returns what was seen since the last call.
func (r *recorder) take() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// Check sends the access matrix to a fence on an address, host:port, with the rules,
// and prints it as a table. The error says how many cells are wrong, if any.
func Check(ctx context.Context, out io.Writer, listen string, rules config.Rules) (err error) {
	var upstreamSaw recorder
	s, err := newStage(ctx, listen, rules, upstreamSaw.saw)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	cells, wrong := matrix(), 0
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "WHO\tREQUEST\tWANTED\tGOT\tOK\tWHY")
	for _, c := range cells {
		token := s.world.tokens[c.who]
		got, err := send(ctx, s.address, s.world.tokens, c.who, c.request)
		if err != nil {
			return fmt.Errorf("sending %s %s to the fence: %w", c.method, clip(c.target), err)
		}
		got.arrived = upstreamSaw.take()
		if c.meanwhile != nil && len(got.arrived) > 0 {
			got.arrived = got.arrived[1:] // the other one
		}
		problems := c.problems(token, got)
		if problems != nil {
			wrong++
		}
		_, _ = fmt.Fprintln(table, c.row(got, problems))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	_, _ = fmt.Fprintf(out, "\n%d cells, %d as wanted, %d wrong\n", len(cells), len(cells)-wrong, wrong)
	if wrong > 0 {
		return fmt.Errorf("%d of %d cells are wrong", wrong, len(cells))
	}
	return nil
}

// row returns the cell's line in the table.
func (c cell) row(got answer, problems error) string {
	ok, why := "ok", c.why
	if problems != nil {
		ok, why = "WRONG", why+": "+strings.ReplaceAll(problems.Error(), "\n", "; ")
	}
	came := verdict{got.status, len(got.arrived) > 0}
	return strings.Join([]string{c.who, c.method + " " + clip(c.target), c.want.String(), came.String(), ok, why}, "\t")
}

// clip shortens a target to 80 bytes.
func clip(target string) string {
	const limit = 80
	if len(target) > limit {
		return target[:limit-3] + "..."
	}
	return target
}
