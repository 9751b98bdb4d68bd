package lookup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dagfence/dagfence/resolver"
)

// grant is one entry of the ownership file's list of grants.
type grant struct {
	line             int
	to, dags, assets []string
	trigger          bool
}

// grants are what the file grants of dags, and of assets, by name or prefix. Those
// that match one name add up: what is kept of each name or prefix includes what is
// granted of the shorter prefixes that match it too.
type grants struct {
	dags, assets patterns[*resolver.Grants]
	// given are the entries, in the file's order.
	given []grant
}

// granted has the grants of a kind; none of a kind that can't be granted.
func (o *ownershipRules) granted(kind resolver.Kind) *patterns[*resolver.Grants] {
	switch {
	case o == nil:
	case kind == resolver.KindDag:
		return &o.grants.dags
	case kind.IsAsset():
		return &o.grants.assets
	}
	return new(patterns[*resolver.Grants])
}

// grantsOf returns what the file grants of a thing.
func (o *ownershipRules) grantsOf(key resolver.Key) *resolver.Grants {
	granted, _ := o.granted(key.Kind).find(key.Name)
	return granted
}

// parse reads the list, once the rest of the file has been read.
func (g *grants) parse(node *yaml.Node) error {
	if node.Kind != yaml.SequenceNode {
		return fmt.Errorf("line %d: grants must be a list, each with to, dags or assets, and access", node.Line)
	}
	for _, item := range node.Content {
		entry, err := parseGrant(item)
		if err != nil {
			return fmt.Errorf("line %d: grants: %w", item.Line, err)
		}
		g.given = append(g.given, entry)
	}
	for _, section := range []struct {
		of    func(*grant) []string
		found *patterns[*resolver.Grants]
	}{
		{func(e *grant) []string { return e.dags }, &g.dags},
		{func(e *grant) []string { return e.assets }, &g.assets},
	} {
		if err := g.collect(section.of, section.found); err != nil {
			return err
		}
	}
	return nil
}

// parseGrant reads one entry.
func parseGrant(node *yaml.Node) (entry grant, err error) {
	if node.Kind != yaml.MappingNode {
		return entry, errors.New("each must be a map with to, dags or assets, and access")
	}
	entry.line = node.Line
	access := ""
	fields := map[string]*[]string{"to": &entry.to, "dags": &entry.dags, "assets": &entry.assets}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		list, known := fields[key]
		switch {
		case key == "access" && access == "" && value.Kind == yaml.ScalarNode && value.Value != "":
			access = value.Value
		case known && *list == nil:
			if *list, err = parseNames(value, key == "to"); err != nil {
				return entry, fmt.Errorf("%s: %w", key, err)
			}
		case known, key == "access" && access != "":
			return entry, fmt.Errorf("%s is set twice: remove one", key)
		case key == "access":
			return entry, errors.New("invalid access: must be read or trigger")
		case key == "variables", key == "connections", key == "xcoms":
			return entry, fmt.Errorf("%s cannot be granted, because Airflow itself hides those of another team: make what is to be shared global", key)
		default:
			return entry, fmt.Errorf("unknown key %q: must be to, dags, assets or access", key)
		}
	}
	switch {
	case entry.to == nil:
		return entry, errors.New(`missing to: must be a team, a list of teams, or "*" for every task`)
	case entry.dags == nil && entry.assets == nil:
		return entry, errors.New("missing dags or assets: must name what is granted")
	case access != "" && access != "read" && access != "trigger":
		return entry, fmt.Errorf("invalid access %q: must be read or trigger", access)
	case access == "trigger" && entry.assets != nil:
		return entry, errors.New("access trigger is only for dags: grant the assets in an entry with access read")
	}
	entry.trigger = access == "trigger"
	return entry, nil
}

// parseNames reads a name, or a list of names. Those of teams have no prefixes.
func parseNames(node *yaml.Node, teams bool) ([]string, error) {
	nodes := []*yaml.Node{node}
	if node.Kind == yaml.SequenceNode {
		nodes = node.Content
	}
	if len(nodes) == 0 {
		return nil, errors.New("the list must not be empty")
	}
	names := make([]string, 0, len(nodes))
	for _, node := range nodes {
		err := checkName(node)
		if err == nil && teams && node.Value != resolver.EveryTask {
			err = checkTeam(node)
		}
		switch {
		case err != nil:
			return nil, err
		case teams && node.Value != resolver.EveryTask && strings.HasSuffix(node.Value, "*"):
			return nil, fmt.Errorf(`invalid team %q: must be a team's whole name, or "*" for every task`, node.Value)
		}
		names = append(names, node.Value)
	}
	return names, nil
}

// collect adds up what is granted of each name and prefix of a section.
func (g *grants) collect(of func(*grant) []string, found *patterns[*resolver.Grants]) error {
	for i := range g.given {
		for _, name := range of(&g.given[i]) {
			granted := g.of(name, of)
			if size := granted.Size(); size > resolver.MaxGrantBytes {
				return fmt.Errorf("line %d: grants: %q is granted to teams whose names take %d bytes, and at most %d can be kept: grant it to fewer teams, or to \"*\"",
					g.given[i].line, name, size, resolver.MaxGrantBytes)
			}
			found.add(name, granted)
		}
	}
	return nil
}

// of adds up the entries for a name, or for all names with a prefix.
func (g *grants) of(name string, of func(*grant) []string) *resolver.Grants {
	total := new(resolver.Grants)
	for i := range g.given {
		entry := &g.given[i]
		if !slices.ContainsFunc(of(entry), func(pattern string) bool { return matchesAll(pattern, name) }) {
			continue
		}
		list := &total.Read
		if entry.trigger {
			list = &total.Trigger
		}
		for _, team := range entry.to {
			if !slices.Contains(*list, team) {
				*list = append(*list, team)
			}
		}
	}
	return total
}

// matchesAll reports whether a name or prefix matches another, and all that the
// other matches.
func matchesAll(pattern, other string) bool {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	return pattern == other || isPrefix && strings.HasPrefix(other, prefix)
}

// checkGrants returns an error for an entry that can have no effect by the file's own
// word. An asset has an owner by the file alone, and so has a dag without a
// database, where the teams of tasks are those of the dags.
func (o *ownershipRules) checkGrants(withDatabase bool) error {
	teams := make(map[string]struct{})
	o.dags.addTeams(teams)
	for i := range o.grants.given {
		entry := &o.grants.given[i]
		if name, without := o.assets.withoutOwner(entry.assets); without {
			return fmt.Errorf("line %d: grants: asset %q has no owner in this file, so every team may use it: name its owner under assets, or remove the grant", entry.line, name)
		}
		if withDatabase {
			continue
		}
		if name, without := o.dags.withoutOwner(entry.dags); without {
			return fmt.Errorf("line %d: grants: dag %q has no owner in this file: name its owner under dags, or remove the grant", entry.line, name)
		}
		for _, team := range entry.to {
			if _, known := teams[team]; !known && team != resolver.EveryTask {
				return fmt.Errorf("line %d: grants: team %q owns no dag in this file, so no task is of it: correct the name, or name its dags under dags", entry.line, team)
			}
		}
	}
	return nil
}

// withoutOwner returns the first of the names and prefixes of which nothing is owned.
func (n *names) withoutOwner(granted []string) (name string, without bool) {
	for _, name := range granted {
		if prefix, isPrefix := strings.CutSuffix(name, "*"); !n.owns(prefix, isPrefix) {
			return name, true
		}
	}
	return "", false
}

// owns reports whether a name, or any with a prefix, may have an owner.
func (n *names) owns(name string, isPrefix bool) bool {
	if team, named := n.find(name); named && team != "" {
		return true
	}
	if !isPrefix {
		return false
	}
	for _, owned := range []map[string]string{n.exact, n.prefixes} {
		for other, team := range owned {
			if team != "" && strings.HasPrefix(other, name) {
				return true
			}
		}
	}
	return false
}
