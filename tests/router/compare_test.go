package router_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dagfence/dagfence/caddymodule/route"
)

// is reports whether a reading of the fence is what Airflow makes of the request:
// the same endpoint, and the same in all that the fence judges by.
func (r reading) is(f route.Reading) error {
	// Airflow 3.0 takes one segment where later releases take a path.
	if anyPath := strings.NewReplacer(":path", ""); r.Method != f.Route.Method || anyPath.Replace(r.Path) != anyPath.Replace(f.Route.Pattern) {
		return fmt.Errorf("the fence reads %s %s", f.Route.Method, f.Route.Pattern)
	}
	names := r.names()
	for _, field := range []struct{ name, fence, airflow string }{
		{"dag_id", f.DagID, names.dag},
		{"run_id", f.RunID, names.run},
		{"task_id", f.TaskID, names.task},
		{"key", f.Key, names.key},
		{"id", canonicalID(f.ID), names.id},
		{"asset name or alias", f.AssetName + f.AssetAlias, names.asset[0]},
		{"asset uri", f.AssetURI, names.asset[1]},
	} {
		if field.fence != field.airflow {
			return fmt.Errorf("%s: the fence reads %q, Airflow %q", field.name, field.fence, field.airflow)
		}
	}
	if index, given := r.mapIndex(); given != f.HasMapIndex && index != "-1" || f.HasMapIndex && index != strconv.Itoa(f.MapIndex) {
		return fmt.Errorf("map_index: the fence reads %d (given: %t), Airflow %q", f.MapIndex, f.HasMapIndex, index)
	}
	return nil
}

// named is what a request names.
type named struct {
	dag, run, task, key, id string
	asset                   [2]string
}

// names maps Airflow's parameters to the fence's names. Where the fence goes by
// the path alone, a query parameter of the same name says nothing.
func (r reading) names() named {
	text := func(names ...string) string {
		for _, name := range names {
			if value, ok := r.Params[name].(string); ok {
				return value
			}
		}
		return ""
	}
	inPath := func(name string) string {
		if strings.Contains(r.Path, "{"+name+"}") || strings.Contains(r.Path, "{"+name+":path}") {
			return text(name)
		}
		return ""
	}
	n := named{dag: text("dag_id"), run: inPath("run_id"), task: inPath("task_id")}
	n.key = inPath("key") + inPath("variable_key") + inPath("connection_id")
	n.id = inPath("task_instance_id") + inPath("connection_test_id") + inPath("callback_id")
	n.asset = [2]string{text("name", "alias_name"), text("uri")}
	return n
}

// mapIndex is the map_index that Airflow goes by, if any.
func (r reading) mapIndex() (index string, given bool) {
	number, given := r.Params["map_index"].(json.Number)
	return number.String(), given
}

// canonicalID is a UUID as Python prints it, in whatever form it was written.
func canonicalID(id string) string {
	id = strings.TrimPrefix(strings.Trim(strings.ToLower(id), "{}"), "urn:uuid:")
	if digits := strings.ReplaceAll(id, "-", ""); len(digits) == 32 {
		return strings.Join([]string{digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]}, "-")
	}
	return id
}

// permitted reports whether the own task may do what Airflow would, by the rules'
// own words and in the world of the strict site.
func (r reading) permitted(version string) bool {
	f := kindOf(r)
	n := r.names()
	ours := func(name string) bool { return slices.Contains(ownNames, name) || slices.Contains(sharedNames, name) }
	switch f.Kind {
	case route.Public, route.Documentation:
		return true
	case route.Self:
		return n.id == ownTask
	case route.Variable:
		return f.Action == route.List || ours(n.key)
	case route.Connection:
		return ours(n.key)
	case route.Dag:
		return ours(n.dag)
	case route.Asset:
		return (n.asset[0] == "" || ours(n.asset[0])) && (n.asset[1] == "" || ours(n.asset[1])) && n.asset != [2]string{}
	case route.XCom:
		if !f.Action.Mutates() {
			return ours(n.dag)
		}
		index, given := r.mapIndex()
		legacy := f.Action == route.Delete && (!given || index == "-1") && version != "" && version < "2025-09-23"
		return n.dag == ownDag && n.run == ownRun && n.task == ownID && (index == strconv.Itoa(ownIndex) || legacy)
	}
	return false
}

// kindOf finds the route that Airflow matched; the zero Route is none of ours.
func kindOf(r reading) route.Route {
	anyPath := strings.NewReplacer(":path", "")
	for _, f := range route.Table() {
		if f.Method == r.Method && anyPath.Replace(f.Pattern) == anyPath.Replace(r.Path) {
			return f
		}
	}
	return route.Route{}
}

// compare says what is wrong about a request that both sites judged, given what
// Airflow makes of the original bytes and of those that the open site let
// through (nil if none).
func compare(r request, open, strict outcome, original answer, forwarded *answer, older bool) error {
	if err := sane(open); err != nil {
		return fmt.Errorf("open site: %w", err)
	}
	if err := sane(strict); err != nil {
		return fmt.Errorf("strict site: %w", err)
	}
	if forwarded == nil {
		if len(strict.arrived) > 0 {
			return fmt.Errorf("the strict site forwards what the open one answers with %d", open.status)
		}
		return nil
	}
	for parser, airflow := range forwarded.both() {
		if err := compareReading(airflow, open.handed[0], older); err != nil {
			return fmt.Errorf("%s: %w; Airflow makes of it %v", parser, err, airflow)
		}
		// Whitespace around a header, for one, only arrive without: what upstream would
		// have refused it may serve, but never as another resource.
		if before := original.both()[parser]; airflow.matches() && before.matches() && before.String() != airflow.String() {
			return fmt.Errorf("%s: the original would be %v, what arrives is %v", parser, before, airflow)
		}
		if token := "Bearer " + strings.TrimPrefix(r.headers[0], "Authorization: Bearer "); airflow.matches() && airflow.Authorization != token {
			return fmt.Errorf("%s: the credential that arrives is not the one that was sent", parser)
		}
	}
	if len(strict.arrived) == 0 {
		return nil
	}
	if head(strict.arrived[0]) != head(open.arrived[0]) {
		return fmt.Errorf("the strict site forwards %q, the open one %q", head(strict.arrived[0]), head(open.arrived[0]))
	}
	for parser, airflow := range forwarded.both() {
		if airflow.matches() && !airflow.permitted(headerOf(strict.arrived[0], "Airflow-Api-Version")) {
			return fmt.Errorf("%s: the task may not do what the strict site lets through: %v", parser, airflow)
		}
	}
	return nil
}

// sane reports whether a site answered as one should, whatever the request.
func sane(o outcome) error {
	switch {
	case o.status >= 500 && o.status != http.StatusNotImplemented && o.status != http.StatusHTTPVersionNotSupported:
		return fmt.Errorf("answers %d", o.status)
	case len(o.arrived) > 1 || len(o.handed) != len(o.arrived):
		return fmt.Errorf("%d requests arrive out of one, %d were handed on", len(o.arrived), len(o.handed))
	case len(o.arrived) == 1 && o.status != http.StatusOK:
		return fmt.Errorf("answers %d though a request arrives", o.status)
	}
	return nil
}

// compareReading holds what the fence judged against what Airflow will do; older
// reports that the release lacks what newer ones have.
func compareReading(airflow reading, h handed, older bool) error {
	switch {
	case airflow.Behind > 0:
		return fmt.Errorf("%d requests arrive as one", airflow.Behind+1)
	case airflow.Elsewhere != "" && !h.inside:
		return fmt.Errorf("below another mount Airflow would serve it as %s", airflow.Elsewhere)
	case airflow.touchesNothing():
		return nil
	case !airflow.matches() && !h.inside:
		return nil // something else of Airflow's
	case !airflow.matches():
		return fmt.Errorf("an answer that is not expected")
	case !h.inside:
		return fmt.Errorf("the fence takes it for none of the Execution API's")
	case h.err != nil || len(h.readings) == 0:
		return fmt.Errorf("the fence could not have read it: %w", h.err)
	}
	if len(h.readings) > 1 && older {
		return anyReading(airflow, h.readings)
	}
	// The newest release picks what stands first.
	judged := h.readings[0]
	if err := airflow.is(judged); err != nil {
		return err
	}
	if h.kind != judged.Route.Kind.String() {
		return fmt.Errorf("the fence has judged a %s, and reads a %s", h.kind, judged.Route.Kind)
	}
	if h.dagID != judged.DagID && len(h.readings) == 1 {
		return fmt.Errorf("the fence has judged dag %q, and reads %q", h.dagID, judged.DagID)
	}
	return nil
}

// anyReading holds it against each reading: which of them an older release picks
// is what the fence can't know.
func anyReading(airflow reading, readings []route.Reading) error {
	var all error
	for _, judged := range readings {
		err := airflow.is(judged)
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return all
}

// head is a request's line.
func head(raw []byte) string {
	line, _, _ := strings.Cut(string(raw), "\r\n")
	return line
}

// headerOf returns a header of raw bytes that Go has written.
func headerOf(raw []byte, name string) string {
	for line := range strings.SplitSeq(string(raw), "\r\n") {
		if value, ok := strings.CutPrefix(line, name+": "); ok {
			return value
		}
	}
	return ""
}
