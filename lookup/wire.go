package lookup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/dagfence/dagfence/resolver"
)

// The limits of one request, beside [resolver.MaxQuestions]: what goes beyond
// them is refused, not cut.
const (
	maxBody = 64 << 10
	maxName = 8 << 10 // the longest path, and name in a query, that a fence reads
)

// readQuestions reads a request strictly: what it does not understand it does
// not answer.
func readQuestions(body []byte) ([]resolver.Question, error) {
	if !utf8.Valid(body) { // the decoder would put another name in its place
		return nil, errors.New("the body is not UTF-8")
	}
	var request resolver.OwnersRequest
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("unexpected data after the JSON object")
	}
	for i, q := range request.Questions {
		if len(q.Name) > maxName {
			return nil, fmt.Errorf("question %d: name is %d bytes long: must be at most %d", i, len(q.Name), maxName)
		}
	}
	return request.Parse()
}
