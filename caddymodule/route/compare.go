package route

import (
	"fmt"
	"slices"
	"strings"
)

// Compare compares the table with a release. missing says what a fence with this
// table would refuse, or read in another way than the release, a sentence each;
// extra says what the table has and the release does not, as it has of every
// release but the newest.
func Compare(release Release) (missing, extra []string) {
	rows := make(map[string]int, len(table))
	for i := range table {
		rows[table[i].name()] = i
	}
	for _, version := range release.Versions {
		if !slices.Contains(apiVersions[:], version) {
			missing = append(missing, "API version "+version+" is not known")
		}
	}
	places := make([]int, len(release.Routes)) // in the table; -1 is none
	served := make(map[string]bool)
	for i := range release.Routes {
		theirs := &release.Routes[i]
		served[theirs.name()] = true
		place, known := rows[theirs.name()]
		if !known {
			places[i] = -1
			missing = append(missing, fmt.Sprintf("%s is not in the table: add %s", theirs.name(), theirs.asRow()))
			continue
		}
		places[i] = place
		for _, difference := range table[place].missing(theirs, release.Versions) {
			missing = append(missing, theirs.name()+": "+difference)
		}
		for _, difference := range table[place].extra(theirs) {
			extra = append(extra, theirs.name()+": "+difference)
		}
	}
	for i := range table {
		if !served[table[i].name()] {
			extra = append(extra, table[i].name()+" is not in the release")
		}
	}
	return append(missing, release.misplaced(places)...), extra
}

// missing says what a row of the table does not have of the release's.
func (r *Route) missing(theirs *Route, versions []string) (missing []string) {
	for _, version := range versions {
		if theirs.has(version) && !r.has(version) {
			missing = append(missing, fmt.Sprintf("API version %s has it, and the table has it from %s until %q", version, r.Since, r.Until))
		}
	}
	if theirs.Pattern != r.Pattern && strings.Contains(theirs.Pattern, ":path}") {
		missing = append(missing, fmt.Sprintf("the release matches slashes, as in %s, the table %s", theirs.Pattern, r.Pattern))
	}
	if more := without(theirs.Query, r.Query); more != "" {
		missing = append(missing, fmt.Sprintf("query parameters %s: the table has %q", more, r.Query))
	}
	for scope := range strings.SplitSeq(theirs.Scopes, ",") {
		if theirs.NeedsToken() && !r.TakesScope(scope) {
			missing = append(missing, fmt.Sprintf("tokens of scope %q are taken, and the table has %q", scope, r.Scopes))
		}
	}
	if !theirs.NeedsToken() && r.NeedsToken() {
		missing = append(missing, fmt.Sprintf("no token is needed, and the table says that it touches a %v", r.Kind))
	}
	if theirs.NeedsToken() && !r.NeedsToken() {
		missing = append(missing, "a token is needed, and the table says that it is public")
	}
	if theirs.Kind == Self && r.Kind != Self {
		missing = append(missing, fmt.Sprintf("the id in its path is the token's own, and the table says that it touches a %v", r.Kind))
	}
	return missing
}

// extra says what a row of the table has and the release's has not.
func (r *Route) extra(theirs *Route) (extra []string) {
	if theirs.Pattern != r.Pattern && strings.Contains(r.Pattern, ":path}") {
		extra = append(extra, "the table matches slashes, as in "+r.Pattern)
	}
	if more := without(r.Query, theirs.Query); more != "" {
		extra = append(extra, "the release has no query parameters "+more)
	}
	if more := without(r.Scopes, theirs.Scopes); more != "" {
		extra = append(extra, "the release takes no tokens of scope "+more)
	}
	if r.Kind == Self && theirs.Kind != Self {
		extra = append(extra, "the release takes another task's id too")
	}
	return extra
}

// without returns what is in one list with commas and not in another.
func without(list, other string) string {
	others := strings.Split(other, ",")
	return strings.Join(slices.DeleteFunc(strings.Split(list, ","), func(one string) bool { return slices.Contains(others, one) }), ",")
}

// misplaced says which endpoints that can match one path, under one API version,
// the table tries in another order than the release, given the release's places
// in the table. The first match wins.
func (r *Release) misplaced(places []int) (missing []string) {
	for later := range r.Routes {
		for first := range later {
			a, b := &r.Routes[first], &r.Routes[later]
			if places[first] < 0 || places[later] < 0 || places[first] <= places[later] || a.Method != b.Method {
				continue
			}
			together := slices.ContainsFunc(r.Versions, func(v string) bool { return a.has(v) && b.has(v) })
			if together && overlap(strings.Split(a.Pattern, "/"), strings.Split(b.Pattern, "/")) {
				missing = append(missing, fmt.Sprintf("%s comes before %s in the release, and behind it in the table", a.name(), b.name()))
			}
		}
	}
	return missing
}

// overlap reports whether two patterns, split at slashes, can match one path.
func overlap(a, b []string) bool {
	isRest := func(p []string) bool { return len(p) > 0 && strings.HasSuffix(p[0], ":path}") }
	isParam := func(part string) bool { return strings.HasPrefix(part, "{") }
	switch {
	case isRest(a): // it ends here, or takes the other's next part too
		return overlap(a[1:], b) || len(b) > 0 && overlap(a, b[1:])
	case isRest(b):
		return overlap(b, a)
	case len(a) == 0 || len(b) == 0:
		return len(a) == len(b)
	default:
		return (a[0] == b[0] || isParam(a[0]) || isParam(b[0])) && overlap(a[1:], b[1:])
	}
}

// asRow writes a release's endpoint as a row of the table, with what only a
// reader can say left out.
func (r *Route) asRow() string {
	var row strings.Builder
	add := func(name, value, zero string) {
		if value != zero {
			_, _ = fmt.Fprintf(&row, "%s: %q, ", name, value)
		}
	}
	add("Method", r.Method, "")
	add("Pattern", r.Pattern, "")
	add("Query", r.Query, "")
	add("Since", r.Since, "")
	add("Until", r.Until, "")
	add("Scopes", r.Scopes, "execution")
	kind := "?"
	if r.Kind != 0 {
		kind = strings.ToUpper(r.Kind.String()[:1]) + r.Kind.String()[1:]
	}
	return "{" + row.String() + "Kind: " + kind + ", Action: ?}"
}
