package demo

import (
	"context"
	"testing"
)

var (
	Matrix = matrix
	Clip   = clip

	Get, Head, Put  = get, head, put
	Passes, Refused = passes, refused
)

type (
	Cell    = cell
	Arrival = arrival
	Answer  = answer
)

// NewCell makes a cell that team_a asks for.
func NewCell(r request, want verdict) Cell { return cell{teamA, r, want, ""} }

// Arrives is what upstream sees of the cell's request.
func (c cell) Arrives(token string) Arrival { return c.arrival(token) }

// NewAnswer makes an answer.
func NewAnswer(status int, contentType, body string, arrived ...Arrival) Answer {
	return answer{status, contentType, body, arrived}
}

// Problems is what is wrong with an answer.
func (c cell) Problems(token string, got Answer) error { return c.problems(token, got) }

// Other is the arrival with another target.
func (a arrival) Other(target string) Arrival {
	a.target = target
	return a
}

// Key identifies the cell.
func (c cell) Key() string {
	key := c.who + " " + c.method + " " + c.target + " " + c.body
	for _, line := range c.headers {
		key += " " + line
	}
	return key
}

// Origin is where a client reaches a fence that listens at the address.
func Origin(address string) string { return (&stage{address: address}).origin() }

// ReasonsOfExamples are what the demo says about its examples.
func ReasonsOfExamples() []string {
	var reasons []string
	for _, c := range examples {
		reasons = append(reasons, c.why)
	}
	return reasons
}

// Stub starts the stub of the Execution API alone, until the test ends. It
// returns its URL, and who's tokens.
func Stub(t *testing.T) (url string, token func(who string) string) {
	t.Helper()
	w, err := newWorld(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := startUpstream(context.WithoutCancel(t.Context()), w, func(arrival) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.close(); err != nil {
			t.Error(err)
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return u.url, func(who string) string { return w.tokens[who] }
}
