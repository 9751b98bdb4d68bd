// Package route reads a request to Airflow's Execution API as Airflow's own
// router would: which endpoint it is, and which dag, task, variable, connection,
// XCom or asset it touches.
//
// It is pure: method, path, query and API version in, a [Match] or an [Error]
// out. What two parsers could read differently is refused, so that upstream
// can't see another resource than the one that was judged.
package route

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what an endpoint touches.
type Kind uint8

// The kinds of endpoint. The zero Kind is none; nothing that has it passes.
const (
	_ Kind = iota
	// Public endpoints need no token: health.
	Public
	// Documentation endpoints describe the API, and need no token either. Upstream
	// makes some of them anew for each request, which takes it long.
	Documentation
	// Self endpoints carry the task instance's own id in the path.
	Self
	// Variable endpoints touch one Airflow variable, or list the keys of all.
	Variable
	// Connection endpoints touch one Airflow connection.
	Connection
	// XCom endpoints touch the XComs of one task.
	XCom
	// Dag endpoints touch one dag, its runs or its task instances.
	Dag
	// Asset endpoints touch one asset, its events or its stored values.
	Asset
)

var kindNames = [...]string{"none", "public", "documentation", "self", "variable", "connection", "xcom", "dag", "asset"}

// String returns the kind's name in metrics and logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Action says what an endpoint does to what it touches.
type Action uint8

// The actions. The zero Action reads nothing and is no action at all.
const (
	_ Action = iota
	// Read returns what is stored.
	Read
	// List returns the names of all there are.
	List
	// Count returns counts or states; Airflow answers for a dag that does not
	// exist as for one without runs.
	Count
	// Write creates or overwrites.
	Write
	// Delete removes.
	Delete
	// Trigger starts a dag run.
	Trigger
	// Clear runs a dag run's tasks again.
	Clear
)

var actionNames = [...]string{"none", "read", "list", "count", "write", "delete", "trigger", "clear"}

// String returns the action's name in metrics and logs.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// Mutates reports whether the action changes something. An action that is not
// known to only read does.
func (a Action) Mutates() bool { return a != Read && a != List && a != Count }

// Route is one endpoint of the Execution API: a row of the table.
type Route struct {
	// Method is the HTTP method, upper case, as RFC 9110 compares it.
	Method string
	// Pattern is the path behind the mount, in Starlette's notation.
	// {name} takes one segment, {name:path} takes slashes too.
	Pattern string
	// Query names the query parameters that the endpoint reads, separated by
	// commas: name is a scalar, name:int one that FastAPI reads as an integer,
	// name:list a list.
	Query string
	// Alias is the one of those parameters that names an asset alias.
	Alias string
	// Since and Until bound the Airflow-API-Version values that have the
	// endpoint, both included. An empty Until means that it is still there.
	Since, Until string
	// Kind and Action say what the endpoint touches and how.
	Kind   Kind
	Action Action
	// Scopes names the token scopes that the endpoint takes, separated by commas.
	// Empty means "execution" alone, as in Airflow (execution_api/security.py).
	Scopes string

	pattern  pattern
	params   []param
	versions versionSet
}

// TakesScope reports whether the endpoint takes a token of the scope. None takes
// one without a scope.
func (r *Route) TakesScope(scope string) bool {
	if r.Scopes == "" {
		return scope == "execution"
	}
	for taken := range strings.SplitSeq(r.Scopes, ",") {
		if taken == scope {
			return true
		}
	}
	return false
}

// NeedsToken reports whether the endpoint wants a task's token.
func (r *Route) NeedsToken() bool { return r.Kind != Public && r.Kind != Documentation }

// Reading is one way in which upstream may read a request. The strings point
// into the request's own path where nothing had to be decoded.
type Reading struct {
	Route *Route
	// DagID comes from the path or the query; RunID, TaskID from the path.
	DagID, RunID, TaskID string
	// Key is a variable key, conn_id, XCom key or store key.
	Key string
	// ID is the task instance, connection test or callback id of a Self endpoint.
	ID string
	// AssetName and AssetURI name an asset, one of them or both; AssetAlias names an
	// asset alias.
	AssetName, AssetURI, AssetAlias string
	// MapIndex is the query's map_index, and HasMapIndex reports that it was there.
	MapIndex    int
	HasMapIndex bool
}

// maxReadings is how many endpoints one request can mean, over all API
// versions; a test keeps it true.
const maxReadings = 2

// Match is every way in which upstream may read a request, given that it picks
// the newest API version that it has and that is not newer than the one the
// request asks for. A request is allowed only if each reading is.
type Match struct {
	readings [maxReadings]Reading
	n        int
	// APIVersion is the version that the request asks for, empty where it asks
	// for none.
	APIVersion string
}

// Readings returns the readings, the one of the newest API version first. There
// is at least one in a Match that came without an error.
func (m *Match) Readings() []Reading { return m.readings[:m.n] }

// Request is what a request to the Execution API is read from.
type Request struct {
	Method string
	// Path is the path behind the mount, percent-decoded once. It starts with
	// a slash.
	Path string
	// RawQuery is the query as it was sent, without the question mark.
	RawQuery string
	// APIVersion is the Airflow-API-Version header, and HasAPIVersion reports
	// whether there was one.
	APIVersion    string
	HasAPIVersion bool
}

// Find reads a request, in Airflow's order of routes, under every API version
// that upstream may pick. The error is always an [*Error].
func Find(r Request) (Match, error) {
	m := Match{APIVersion: r.APIVersion}
	if err := checkPath(r.Path); err != nil {
		return m, err
	}
	versions, err := versionsUpTo(r)
	if err != nil {
		return m, err
	}
	routes := sections[section(r.Path)]
	wrongMethod := false
	for i := range routes {
		route := &routes[i]
		if route.versions&versions == 0 {
			continue
		}
		var values captures
		if !route.pattern.match(r.Path, &values) {
			continue
		}
		if route.Method != r.Method {
			wrongMethod = true
			continue
		}
		if m.n == maxReadings {
			return m, &Error{Reason: Ambiguous, Detail: "the request could mean more endpoints than are known to overlap"}
		}
		reading := &m.readings[m.n]
		m.n++
		reading.Route = route
		if err := reading.fill(&values, r.RawQuery); err != nil {
			return m, err
		}
		versions &^= route.versions
		if versions == 0 {
			break
		}
	}
	if m.n > 0 {
		return m, nil
	}
	if wrongMethod {
		return m, &Error{
			Reason: MethodNotAllowed, Allow: methodsOf(r.Path, versions),
			Detail: "this endpoint of the Execution API does not take the request's method",
		}
	}
	return m, errUnlisted
}

// methodsOf lists the methods that a path takes under one of the versions.
func methodsOf(path string, versions versionSet) string {
	var methods []string
	for _, route := range sections[section(path)] {
		if route.versions&versions != 0 && route.pattern.match(path, new(captures)) && !slices.Contains(methods, route.Method) {
			methods = append(methods, route.Method)
		}
	}
	return strings.Join(methods, ", ")
}

// section is the first segment of a path that starts with a slash: routes with
// different first segments never match the same path.
func section(path string) string {
	path = path[1:]
	if i := strings.IndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return path
}
