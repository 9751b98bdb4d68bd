package route

import (
	"path"
	"strings"
	"unicode/utf8"
)

// Mount is where upstream serves the Execution API: "/execution", or a longer
// path under which Airflow's api-server itself is reached.
type Mount string

// Locate reports whether a percent-decoded request path lies inside the mount,
// and returns the rest of it, which is empty or starts with a slash. A path that
// is outside is an [*Error] if it leads to the Execution API all the same: once a
// server between here and Airflow tidies its slashes and dots, or because Airflow
// serves the API elsewhere. The latter is how a wrong base path shows itself,
// which would otherwise let everything through.
func (m Mount) Locate(decoded string) (rest string, inside bool, err error) {
	if rest, inside = m.cut(decoded); inside {
		return rest, true, nil
	}
	if strings.Contains(decoded, "/.") || strings.Contains(decoded, "//") {
		if _, hidden := m.cut(path.Clean(decoded)); hidden {
			return "", false, errHidden
		}
	}
	// Whatever stands before the name may go on the way: a handle_path /x* behind
	// the fence makes /execution of /xexecution.
	if err := elsewhere(airflowMount, decoded); err != nil {
		return "", false, err
	}
	return "", false, elsewhere(string(m[strings.LastIndexByte(string(m), '/'):]), decoded)
}

// airflowMount is the name that Airflow itself mounts the API by.
const airflowMount = "execution"

// maxNames is how often a path may have the mount's name. What stands behind each
// is tidied and looked at whole, which a path of nothing but names would make take
// longer than all else that a request costs.
const maxNames = 8

// elsewhere refuses a path with the mount's name in it and one of the table's
// endpoints behind that, as it stands or tidied.
func elsewhere(name, decoded string) error {
	for range maxNames {
		i := strings.Index(decoded, name+"/")
		if i < 0 {
			return nil
		}
		decoded = decoded[i+len(name):]
		if isEndpoint(decoded) {
			return errElsewhere
		}
		// Starlette drops one of the slashes at the start for each mount, and a line
		// end, before which Python's $ matches; elsewhere it takes one for a name.
		tidied := decoded[len(decoded)-len(strings.TrimLeft(decoded, "/"))-1:]
		for _, form := range [...]string{tidied, strings.TrimRight(tidied, "\n")} {
			if isEndpoint(form) || isEndpoint(path.Clean(form)) {
				return errHidden
			}
		}
	}
	if strings.Contains(decoded, name+"/") {
		return errManyNames
	}
	return nil
}

// isEndpoint reports whether the path is one of an endpoint that reads or changes
// something, under any API version.
func isEndpoint(path string) bool {
	for _, route := range sections[section(path)] {
		if route.Kind != Public && route.pattern.match(path, new(captures)) {
			return true
		}
	}
	return false
}

func (m Mount) cut(decoded string) (rest string, inside bool) {
	rest, inside = strings.CutPrefix(decoded, string(m))
	return rest, inside && (rest == "" || rest[0] == '/')
}

var (
	errBadBytes  = &Error{Reason: BadPath, Detail: "the path has a control byte or is not UTF-8"}
	errBadDots   = &Error{Reason: BadPath, Detail: "the path has a segment of dots"}
	errHidden    = &Error{Reason: BadPath, Detail: "the path leads to the Execution API by dots, doubled slashes or a line end"}
	errElsewhere = &Error{Reason: Elsewhere, Detail: "the path is that of an endpoint of the Execution API, but not below the base_path that is set here"}
	errManyNames = &Error{Reason: BadPath, Detail: "the path has the name of the Execution API's mount more than eight times"}
	errBadSlash  = &Error{Reason: BadPath, Detail: "the path has an empty segment right behind the mount"}
)

// checkPath refuses paths that servers read differently: a line end, before
// which Python's $ matches; bytes that Python replaces; dot segments, which
// proxies remove and Starlette keeps; a doubled slash behind the mount, which
// Starlette drops together with a line end.
func checkPath(rest string) error {
	if rest == "" {
		return errUnlisted
	}
	for i := range len(rest) {
		if rest[i] < ' ' || rest[i] == 0x7f {
			return errBadBytes
		}
	}
	if !utf8.ValidString(rest) {
		return errBadBytes
	}
	if len(rest) > 1 && rest[1] == '/' {
		return errBadSlash
	}
	for i := strings.Index(rest, "/."); i >= 0; {
		end := strings.IndexByte(rest[i+1:], '/')
		part := rest[i+1:]
		if end >= 0 {
			part = rest[i+1 : i+1+end]
		}
		if part == "." || part == ".." {
			return errBadDots
		}
		next := strings.Index(rest[i+1:], "/.")
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return nil
}
