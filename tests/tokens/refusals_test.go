package tokens_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// encryptionKid names a key of the JWKS that is there to encrypt.
const encryptionKid = "encrypts"

// A reading is what a question's token says, read with as much leniency as
// there is, and apart from the fence's own code.
type reading struct {
	// sent is what stands behind the scheme; token is what Python leaves of it.
	sent, token    string
	header, claims []byte
	// The members of both, nil where they are no JSON object; numbers are
	// json.Number.
	headerOf, claimsOf map[string]any
}

// A difference is one that is meant: its name tells why, holds reports whether a
// token is a case of it.
type difference struct {
	name  string
	holds func(*reading) bool
	// fence is the error that the fence returns for a refusal; airflow is what
	// Airflow says to a grant.
	fence   error
	airflow string
}

// refusals are all the reasons for which the fence refuses what Airflow accepts.
// No token that Airflow signs is touched by any of them.
var refusals = []difference{
	{name: "larger than 8 KiB", fence: identity.ErrTooLarge, holds: func(r *reading) bool { return len(r.sent) > 8<<10 }},
	malformed("white space around the token, which servers take off", func(r *reading) bool { return r.sent != r.token }),
	malformed("base64 with padding, which RFC 7515 forbids", func(r *reading) bool { return strings.Contains(r.token, "=") }),
	malformed("JSON in UTF-16 or UTF-32, or behind a byte order mark", eitherText(isForeign)),
	malformed("half a surrogate pair, which Go can't tell from another", eitherText(hasHalfPair)),
	malformed("a number that JSON or a float64 can't hold", eitherText(hasOddNumber)),
	malformed("nested deeper than 100 levels", eitherText(isDeep)),
	malformed("crit or b64, which no token of Airflow's has", func(r *reading) bool { return given(r.headerOf, "crit") || given(r.headerOf, "b64") }),
	malformed("a date as text or truth value", func(r *reading) bool { return slices.ContainsFunc(dates(r), isNoNumber) }),
	malformed("a date beyond the year 9999", func(r *reading) bool { return slices.ContainsFunc(dates(r), isFarOff) }),
	malformed("a claimed dag, run, task or map index that is none", claimsNoTask),
	{name: "a key that is there to encrypt", fence: identity.ErrUnknownKey, holds: func(r *reading) bool { return r.headerOf["kid"] == encryptionKid }},
}

func malformed(name string, holds func(*reading) bool) difference {
	return difference{name: name, fence: identity.ErrMalformed, holds: holds}
}

func eitherText(holds func([]byte) bool) func(*reading) bool {
	return func(r *reading) bool { return holds(r.header) || holds(r.claims) }
}

// grants are all the reasons for which the fence accepts what Airflow refuses.
// In one the key is trusted, and the signature its own; Airflow would find it by
// no kid at all (a JWK without one), or only by its own thumbprint. In the other
// the scope is one that no endpoint of this release takes, nor the fence there.
var grants = []difference{
	{name: "a trusted key called by its RFC 7638 thumbprint", airflow: "Kid did not match any validation keys", holds: func(r *reading) bool {
		kid, ok := r.headerOf["kid"].(string)
		return ok && len(kid) == base64.RawURLEncoding.EncodedLen(sha256.Size)
	}},
	{name: "a scope of Airflow 3.4's", airflow: "Input should be 'execution' or ", holds: func(r *reading) bool {
		return r.claimsOf["scope"] == "callback"
	}},
}

// oddNumber is what Python's json takes for a number and RFC 8259 does not.
var oddNumber = regexp.MustCompile(`-?(NaN|Infinity)`)

// read reads a question, as FastAPI and PyJWT split it.
func read(q question) *reading {
	r := new(reading)
	_, rest, _ := strings.Cut(q.Header, " ")
	r.sent = strings.TrimLeft(rest, " ")
	r.token = strings.Trim(r.sent, " \t\n\v\f\r\x1c\x1d\x1e\x1f")
	segments := strings.Split(r.token, ".")
	r.header, r.headerOf = open(segments[0])
	if len(segments) > 1 {
		r.claims, r.claimsOf = open(segments[1])
	}
	return r
}

func open(segment string) ([]byte, map[string]any) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(segment, "="))
	if err != nil {
		return nil, nil
	}
	decoder := json.NewDecoder(strings.NewReader(oddNumber.ReplaceAllString(string(text), "0")))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return text, nil
	}
	return text, members
}

var (
	wholePair = regexp.MustCompile(`(?i)\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}`)
	halfPair  = regexp.MustCompile(`(?i)\\ud[89a-f][0-9a-f]{2}`)
)

// hasHalfPair finds half a surrogate pair, as an escape or encoded as UTF-8 can't.
func hasHalfPair(text []byte) bool {
	return !utf8.Valid(text) || halfPair.Match(wholePair.ReplaceAll(text, nil))
}

func isDeep(text []byte) bool {
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	for depth := 0; depth <= 100; {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if delimiter, ok := token.(json.Delim); ok {
			depth += map[json.Delim]int{'{': 1, '[': 1, '}': -1, ']': -1}[delimiter]
		}
	}
	return true
}

// isForeign reports whether it is what Python's json guesses to be another encoding.
func isForeign(text []byte) bool {
	return slices.Contains(text, 0) || strings.HasPrefix(string(text), "\ufeff")
}

func hasOddNumber(text []byte) bool {
	if oddNumber.Match(text) {
		return true
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if number, ok := token.(json.Number); ok {
			if _, err := strconv.ParseFloat(number.String(), 64); err != nil {
				return true
			}
		}
	}
}

func given(members map[string]any, name string) bool {
	_, ok := members[name]
	return ok
}

func dates(r *reading) []any {
	var found []any
	for _, name := range []string{"iat", "nbf", "exp"} {
		if value, ok := r.claimsOf[name]; ok {
			found = append(found, value)
		}
	}
	return found
}

func isNoNumber(value any) bool {
	_, ok := value.(json.Number)
	return !ok
}

func isFarOff(value any) bool {
	number, ok := value.(json.Number)
	if !ok {
		return false
	}
	seconds, err := number.Float64()
	const year10000 = 253402300800
	return err != nil || math.Abs(seconds) > year10000-1
}

func claimsNoTask(r *reading) bool {
	for _, name := range []string{"dag_id", "run_id", "task_id"} {
		if text, ok := r.claimsOf[name].(string); given(r.claimsOf, name) && (!ok || text == "") {
			return true
		}
	}
	if !given(r.claimsOf, "map_index") {
		return false
	}
	number, ok := r.claimsOf["map_index"].(json.Number)
	if !ok {
		return true
	}
	index, err := number.Float64()
	return err != nil || index != math.Trunc(index) || index < -1 || index > math.MaxInt32
}
