package router_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

// latest is the newest final release of Airflow that the fence knows.
const latest = "3.3.2"

// reading is what Airflow makes of a request.
type reading struct {
	// Kind is "match" where the endpoint would have run, and "status" where an
	// answer came before that.
	Kind string `json:"kind"`
	Code int    `json:"code,omitempty"`
	// Method, Path (the route's pattern) and Params (as validated) tell a match.
	Method string         `json:"method,omitempty"`
	Path   string         `json:"path,omitempty"`
	Params map[string]any `json:"params,omitempty"`
	// Authorization is the credential that Airflow would go by.
	Authorization string `json:"authorization,omitempty"`
	// Behind is how many requests more the same bytes hold.
	Behind int `json:"behind,omitempty"`
	// Elsewhere is the endpoint that it would be below another mount.
	Elsewhere string `json:"elsewhere,omitempty"`
	// Next is the reading of the request that follows on the same connection.
	Next *reading `json:"next,omitempty"`
	// Error is an exception that left the router, which is a 500.
	Error string `json:"error,omitempty"`
}

func (r reading) matches() bool { return r.Kind == "match" }

// touchesNothing reports whether the answer came before any endpoint: a redirect or an error,
// of the client's or, on the way to an endpoint, of Airflow's own.
func (r reading) touchesNothing() bool {
	return r.Kind == "status" && r.Code >= 300 && r.Code <= 500
}

// String shows all but the credential.
func (r reading) String() string {
	r.Authorization, r.Next = "", nil
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// answer is how the two parsers that uvicorn may run with lead to a reading.
type answer struct {
	HTTPTools reading `json:"httptools"`
	H11       reading `json:"h11"`
}

func (a answer) both() map[string]reading {
	return map[string]reading{"httptools": a.HTTPTools, "h11": a.H11}
}

// oracle is Airflow's own router, in a process of its own.
type oracle struct {
	version string
	conn    net.Conn
	input   *bufio.Reader
}

// startOracle starts the router of an Airflow release until the test ends.
func startOracle(t *testing.T, version string) *oracle {
	t.Helper()
	socket := filepath.Join(socketDir(t), "oracle")
	cmd := exec.CommandContext(t.Context(), filepath.Join(environment(t, version), "bin", "python"), "oracle.py", socket)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "AIRFLOW_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, "AIRFLOW_HOME="+t.TempDir(), "AIRFLOW__API_AUTH__JWT_SECRET="+secret,
		"AIRFLOW__CORE__LOAD_EXAMPLES=False", "AIRFLOW__CORE__MULTI_TEAM=True", "AIRFLOW__LOGGING__LOGGING_LEVEL=CRITICAL")
	services.Start(t, cmd).WaitReady(t, services.Dial("unix", socket))
	conn, err := new(net.Dialer).DialContext(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &oracle{version: version, conn: conn, input: bufio.NewReader(conn)}
}

// environment is the Python environment of a release. Making one downloads
// hundreds of MB, so that happens only where servers are required.
func environment(t *testing.T, version string) string {
	t.Helper()
	args := []string{"--cached", version}
	if os.Getenv("DAGFENCE_TEST_SERVERS") == "required" {
		args = args[1:]
	}
	output, err := exec.CommandContext(t.Context(), "../../scripts/airflow-env", args...).Output()
	if err != nil {
		reason := "not made yet"
		if failed := new(exec.ExitError); errors.As(err, &failed) && len(failed.Stderr) > 0 {
			reason = string(failed.Stderr)
		}
		services.Missing(t, "the environment of Airflow "+version+": "+reason)
	}
	return strings.TrimSpace(string(output))
}

// ask tells what Airflow makes of the bytes of each request.
func (o *oracle) ask(requests ...[]byte) ([]answer, error) {
	var questions []question
	for _, raw := range requests {
		questions = append(questions, question{raw: raw})
	}
	return o.converse(questions)
}

// question is the bytes of a request, and of one that follows on the same
// connection, if any.
type question struct{ raw, next []byte }

// converse asks questions that are few and short enough for the socket's buffers.
func (o *oracle) converse(questions []question) ([]answer, error) {
	frames := new(bytes.Buffer)
	for _, asked := range questions {
		for _, raw := range [][]byte{asked.raw, asked.next} {
			frames.Write(binary.BigEndian.AppendUint32(nil, uint32(len(raw))))
		}
		frames.Write(asked.raw)
		frames.Write(asked.next)
	}
	if _, err := o.conn.Write(frames.Bytes()); err != nil {
		return nil, fmt.Errorf("asking the oracle: %w", err)
	}
	answers := make([]answer, len(questions))
	for i := range answers {
		var length [4]byte
		if _, err := io.ReadFull(o.input, length[:]); err != nil {
			return nil, fmt.Errorf("reading the oracle's answer: %w", err)
		}
		decoder := json.NewDecoder(io.LimitReader(o.input, int64(binary.BigEndian.Uint32(length[:]))))
		decoder.UseNumber() // a map_index has more digits than a float64
		if err := decoder.Decode(&answers[i]); err != nil {
			return nil, fmt.Errorf("decoding the oracle's answer: %w", err)
		}
	}
	return answers, nil
}
