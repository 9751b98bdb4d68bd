package route

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Release is what the Execution API of one Airflow release serves, by its own
// routers.
type Release struct {
	// Versions are its API versions, oldest first.
	Versions []string
	// Routes are its endpoints, in the order in which its routers try them. An
	// endpoint whose parameters or scopes changed with an API version is there
	// more than once. Its Kind is Public or Self, as far as the release tells, or
	// zero; its Action is zero.
	Routes []Route
}

// releaseColumns head the rows that scripts/airflow-routes.py prints.
const releaseColumns = "method\tpath\tsince\tuntil\tquery\tscopes\tself"

// ReadRelease reads what scripts/airflow-routes.py prints.
func ReadRelease(from io.Reader) (Release, error) {
	var release Release
	headed := false
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		line := lines.Text()
		if versions, ok := strings.CutPrefix(line, "# versions: "); ok {
			release.Versions = strings.Fields(versions)
		}
		switch {
		case strings.HasPrefix(line, "#"):
		case !headed && line == releaseColumns:
			headed = true
		default:
			route, err := release.row(strings.Split(line, "\t"))
			if err != nil {
				return Release{}, fmt.Errorf("reading the routes of a release: %q: %w", line, err)
			}
			release.Routes = append(release.Routes, route)
		}
	}
	if err := lines.Err(); err != nil {
		return Release{}, fmt.Errorf("reading the routes of a release: %w", err)
	}
	if !headed || len(release.Routes) == 0 {
		return Release{}, errors.New("reading the routes of a release: there are none")
	}
	return release, nil
}

// row reads one endpoint.
func (r *Release) row(column []string) (Route, error) {
	if len(column) != 1+strings.Count(releaseColumns, "\t") {
		return Route{}, fmt.Errorf("there are %d columns", len(column))
	}
	route := Route{Method: column[0], Pattern: column[1], Since: column[2], Until: column[3], Query: column[4], Scopes: column[5]}
	for _, version := range []string{route.Since, route.Until} {
		if version != "" && !slices.Contains(r.Versions, version) {
			return Route{}, fmt.Errorf("%s is none of the release's API versions", version)
		}
	}
	switch {
	case route.Scopes == "":
		route.Kind = Public
	case column[6] == "self":
		route.Kind = Self
	}
	return route, nil
}

// has reports whether a route is there under an API version.
func (r *Route) has(version string) bool {
	return r.Since <= version && (r.Until == "" || version <= r.Until)
}

// name tells endpoints apart, whether or not a parameter takes slashes.
func (r *Route) name() string { return r.Method + " " + strings.ReplaceAll(r.Pattern, ":path}", "}") }
