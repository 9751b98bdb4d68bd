package route

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// param is a query parameter that an endpoint reads.
type param struct {
	name string
	kind paramKind
	into field
}

type paramKind uint8

const (
	text paramKind = iota
	integer
	list
)

// paramKinds are what may stand behind a parameter's name and a colon.
var paramKinds = map[string]paramKind{"": text, "int": integer, "list": list}

// queryFields are the query parameters that say what a request touches.
var queryFields = map[string]field{
	"dag_id": dagID, "map_index": mapIndex,
	"name": assetName, "uri": assetURI,
}

// maxName is the longest name in a query, in bytes, as long as a path may be.
// Airflow's ids have 250 characters, a key 512.
const maxName = 8 << 10

// parseParams compiles a route's Query; the parameter alias names an asset alias.
// It panics on a kind of parameter that is unknown: the table is data of this
// package.
func parseParams(query, alias string) []param {
	if query == "" {
		return nil
	}
	var params []param
	for part := range strings.SplitSeq(query, ",") {
		name, kindName, _ := strings.Cut(part, ":")
		kind, known := paramKinds[kindName]
		if !known {
			panic(fmt.Sprintf("route: unknown kind of parameter in %q", query))
		}
		into := queryFields[name]
		if name == alias {
			into = assetAlias
		}
		params = append(params, param{name: name, kind: kind, into: into})
	}
	return params
}

// fill sets a reading's fields from the path's captures and the query, and
// refuses what upstream's parser could read in another way.
func (r *Reading) fill(values *captures, rawQuery string) error {
	if err := r.readQuery(values, rawQuery); err != nil {
		return err
	}
	r.DagID, r.RunID, r.TaskID = values[dagID], values[runID], values[taskID]
	r.Key, r.ID = values[key], values[selfID]
	r.AssetName, r.AssetURI, r.AssetAlias = values[assetName], values[assetURI], values[assetAlias]
	if values[mapIndex] != "" {
		index, err := strconv.Atoi(values[mapIndex])
		if err != nil {
			return errNotAnInteger
		}
		r.MapIndex, r.HasMapIndex = index, true
	}
	return r.complete()
}

// complete refuses a reading that lacks the name of what it touches; upstream
// answers 422 or 404 to it.
func (r *Reading) complete() error {
	missing := false
	switch r.Route.Kind {
	case Variable:
		missing = r.Key == "" && r.Route.Action != List
	case Connection:
		missing = r.Key == ""
	case XCom:
		missing = r.DagID == "" || r.Key == ""
	case Dag:
		missing = r.DagID == ""
	case Asset:
		missing = r.AssetName+r.AssetURI+r.AssetAlias == ""
	case Public, Documentation, Self:
	}
	if missing {
		return &Error{Reason: BadQuery, Detail: "the request does not name the " + r.Route.Kind.String() + " it is about"}
	}
	return nil
}

var (
	errBadEscape    = &Error{Reason: BadQuery, Detail: "the query has an invalid percent escape, control byte or UTF-8 sequence"}
	errGivenTwice   = &Error{Reason: BadQuery, Detail: "a query parameter that takes one value is given more than once"}
	errLongName     = &Error{Reason: BadQuery, Detail: "a query parameter that names something is longer than 8 KiB"}
	errNotAnInteger = &Error{Reason: BadQuery, Detail: "a query parameter that takes an integer is not a plain decimal one"}
)

// readQuery walks the query as Python's urllib.parse.parse_qsl does, which
// Starlette uses: pairs are split at & alone, a plus is a space, names are
// decoded too, and the last of several values wins (here: refused).
func (r *Reading) readQuery(values *captures, rawQuery string) error {
	var seen uint32 // a bit for each of the route's parameters
	var scratch [128]byte
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		name, value, _ := strings.Cut(pair, "=")
		decoded, ok := unescape(scratch[:0], name)
		if !ok {
			return errBadEscape
		}
		i := slices.IndexFunc(r.Route.params, func(p param) bool { return p.name == string(decoded) })
		decoded, ok = unescape(scratch[:0], value)
		if !ok {
			return errBadEscape
		}
		if i < 0 || r.Route.params[i].kind == list {
			continue
		}
		if seen&(1<<i) != 0 {
			return errGivenTwice
		}
		seen |= 1 << i
		p := r.Route.params[i]
		if p.kind == integer && !isInteger(decoded) {
			return errNotAnInteger
		}
		if p.into == ignored {
			continue
		}
		if len(value) > maxName {
			return errLongName
		}
		if strings.ContainsAny(value, "%+") {
			value = string(decoded)
		}
		values[p.into] = value
	}
	return nil
}

// unescape appends s to into, decoded as application/x-www-form-urlencoded.
// It refuses what parsers disagree about: bad escapes (Python keeps them as they
// are), control bytes, what is not UTF-8 (Python replaces it), and bytes beyond
// ASCII that are not escaped (Starlette takes them for Latin-1).
func unescape(into []byte, s string) ([]byte, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(s) {
				return nil, false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high > 15 || low > 15 {
				return nil, false
			}
			c, i = high<<4|low, i+2
		}
		if c < ' ' || c == 0x7f || c == s[i] && c > 0x7f {
			return nil, false
		}
		into = append(into, c)
	}
	return into, utf8.Valid(into)
}

// unhex returns a hexadecimal digit's value, or 16 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// isInteger reports whether b is a decimal integer in its one canonical form.
// Pydantic takes more: 3_0 is 30, +3, 03 and 3.0 are 3.
func isInteger(b []byte) bool {
	digits := b
	if len(digits) > 1 && digits[0] == '-' {
		digits = digits[1:]
		if digits[0] == '0' {
			return false
		}
	}
	if len(digits) == 0 || len(digits) > 18 || (digits[0] == '0' && len(digits) > 1) {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
