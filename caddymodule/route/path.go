package route

import (
	"path"
	"strings"
	"unicode/utf8"
)

// Mount is where upstream serves the Execution API: "/execution", or a longer
// path under which Airflow's api-server itself is reached.
type Mount string

// Locate tells whether a percent-decoded request path lies inside the mount,
// and gives the rest of it, which is empty or starts with a slash. A path that
// is outside as it stands, but inside once a server between here and Airflow
// tidies its slashes and dots, is an [*Error]. So is one of an endpoint below
// another mount of the same name: that is how a wrong base path shows itself,
// which would otherwise let everything through.
func (m Mount) Locate(decoded string) (rest string, inside bool, err error) {
	if rest, inside = m.cut(decoded); inside {
		return rest, true, nil
	}
	if strings.Contains(decoded, "/.") || strings.Contains(decoded, "//") {
		if _, hidden := m.cut(path.Clean(decoded)); hidden {
			return "", false, &Error{Reason: BadPath, Detail: "the path leads to the Execution API by dots or doubled slashes"}
		}
	}
	if elsewhere(string(m), decoded) {
		return "", false, errElsewhere
	}
	return "", false, nil
}

// elsewhere tells of a path with the mount's last segment in it and one of the
// table's endpoints behind that.
func elsewhere(mount, decoded string) bool {
	last := mount[strings.LastIndexByte(mount, '/'):]
	for {
		i := strings.Index(decoded, last+"/")
		if i < 0 {
			return false
		}
		decoded = decoded[i+len(last):]
		for _, route := range sections[section(decoded)] {
			if route.Kind != Public && route.pattern.match(decoded, new(captures)) {
				return true
			}
		}
	}
}

func (m Mount) cut(decoded string) (rest string, inside bool) {
	rest, inside = strings.CutPrefix(decoded, string(m))
	return rest, inside && (rest == "" || rest[0] == '/')
}

var (
	errBadBytes  = &Error{Reason: BadPath, Detail: "the path has a control byte or is not UTF-8"}
	errBadDots   = &Error{Reason: BadPath, Detail: "the path has a segment of dots"}
	errElsewhere = &Error{Reason: Elsewhere, Detail: "the path is that of an endpoint of the Execution API, but not below the base_path that is set here"}
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
