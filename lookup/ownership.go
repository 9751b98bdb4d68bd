package lookup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/dagfence/dagfence/resolver"
)

// ownershipRules is what one version of the ownership file says. A nil *ownershipRules says
// nothing.
type ownershipRules struct {
	dags, bundles, variables, connections, assets names
	grants                                        grants
}

// patterns maps names, and prefixes of names, to values.
type patterns[T any] struct {
	exact, prefixes map[string]T
	// lengths holds the prefixes' lengths once each, the longest first.
	lengths []int
}

// names maps a name, or a prefix, to a team; "" is unowned.
type names struct {
	patterns[string]
	// upper has the same names in upper case, where the section's things may
	// live in the environment; else nil.
	upper *names
	// split holds the names and prefixes of upper that are given to several teams.
	split map[string]bool
}

// find returns the value of a name: exact beats the longest prefix.
func (p *patterns[T]) find(name string) (value T, named bool) {
	text, isPrefix, named := p.match(name)
	if named {
		value, _ = p.get(text, isPrefix)
	}
	return value, named
}

// match returns the name or prefix by which a name is found.
func (p *patterns[T]) match(name string) (text string, isPrefix, named bool) {
	if _, named = p.exact[name]; named {
		return name, false, true
	}
	for _, length := range p.lengths {
		if length > len(name) {
			continue
		}
		if _, named = p.prefixes[name[:length]]; named {
			return name[:length], true, true
		}
	}
	return "", false, false
}

// get returns the value of a name, or of a prefix, as it was added.
func (p *patterns[T]) get(text string, isPrefix bool) (value T, added bool) {
	if isPrefix {
		value, added = p.prefixes[text]
		return value, added
	}
	value, added = p.exact[text]
	return value, added
}

// add sets the value of a name, or of a prefix, which ends in *.
func (p *patterns[T]) add(name string, value T) {
	if p.exact == nil {
		p.exact, p.prefixes = make(map[string]T), make(map[string]T)
	}
	prefix, isPrefix := strings.CutSuffix(name, "*")
	if !isPrefix {
		p.exact[name] = value
		return
	}
	p.prefixes[prefix] = value
	if !slices.Contains(p.lengths, len(prefix)) {
		p.lengths = append(p.lengths, len(prefix))
		slices.SortFunc(p.lengths, func(a, b int) int { return b - a })
	}
}

// upperCase is Python's str.upper.
func upperCase(name string) string { return cases.Upper(language.Und).String(name) }

// findInEnvironment returns the team of a variable or connection that no row
// stores. Airflow reads it from the environment by the upper case of its key,
// whatever case the key is asked for in (secrets/environment_variables.py), so
// the owner of one spelling owns all. split reports that the file assigns two
// spellings to two teams.
func (n *names) findInEnvironment(name string) (team string, named, split bool) {
	if n.upper == nil {
		return "", false, false
	}
	text, isPrefix, named := n.upper.match(upperCase(name))
	if !named {
		return "", false, false
	}
	team, _ = n.upper.get(text, isPrefix)
	return team, true, n.split[spelled(text, isPrefix)]
}

// spelled is a name, or a prefix, as the file has it.
func spelled(text string, isPrefix bool) string {
	if isPrefix {
		return text + "*"
	}
	return text
}

// addUpper adds the upper case of a name.
func (n *names) addUpper(name, team string) {
	upper := upperCase(name)
	text, isPrefix := strings.CutSuffix(upper, "*")
	if other, known := n.upper.get(text, isPrefix); known && other != team {
		n.split[upper] = true
	}
	n.upper.add(upper, team)
}

// addTeams adds every team that owns something.
func (n *names) addTeams(teams map[string]struct{}) {
	for _, given := range []map[string]string{n.exact, n.prefixes} {
		for _, team := range given {
			if team != "" {
				teams[team] = struct{}{}
			}
		}
	}
}

// of returns the team of a thing by the file; a task is never named.
func (o *ownershipRules) of(key resolver.Key) (team string, named bool) {
	return o.section(key.Kind).find(key.Name)
}

// teams returns every team that owns something by the file, or is granted something.
func (o *ownershipRules) teams() map[string]struct{} {
	teams := make(map[string]struct{})
	if o == nil {
		return teams
	}
	for _, section := range []*names{&o.dags, &o.bundles, &o.variables, &o.connections, &o.assets} {
		section.addTeams(teams)
	}
	for i := range o.grants.given {
		for _, team := range o.grants.given[i].to {
			if team != resolver.EveryTask {
				teams[team] = struct{}{}
			}
		}
	}
	return teams
}

// section has the names of a kind; none of a kind that the file does not name.
func (o *ownershipRules) section(kind resolver.Kind) *names {
	switch {
	case o == nil:
	case kind == resolver.KindDag:
		return &o.dags
	case kind == resolver.KindVariable:
		return &o.variables
	case kind == resolver.KindConnection:
		return &o.connections
	case kind.IsAsset():
		return &o.assets
	}
	return new(names)
}

// ownAssets reports whether the file names any asset.
func (o *ownershipRules) ownAssets() bool {
	return o != nil && len(o.assets.exact)+len(o.assets.prefixes) > 0
}

// inEnvironment returns the team of a variable or connection that no row stores.
func (o *ownershipRules) inEnvironment(key resolver.Key) (team string, named, split bool) {
	switch {
	case o == nil:
	case key.Kind == resolver.KindVariable:
		return o.variables.findInEnvironment(key.Name)
	case key.Kind == resolver.KindConnection:
		return o.connections.findInEnvironment(key.Name)
	}
	return "", false, false
}

// ofBundle returns the team of a dag bundle; a dag without a bundle has none.
func (o *ownershipRules) ofBundle(bundle string) (team string, named bool) {
	if o == nil || bundle == "" {
		return "", false
	}
	return o.bundles.find(bundle)
}

// parseOwners reads an ownership file strictly. Its errors name the line, and
// the fix.
func parseOwners(data []byte, withDatabase bool) (*ownershipRules, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) || err == nil && document.Content[0].Tag == "!!null" {
		return nil, errors.New("the file is empty: write `dags: {}` if it names no owner")
	} else if err != nil {
		return nil, fmt.Errorf("reading YAML: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document: keep one, without `---`")
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: the file must be a map of dags, bundles, variables, connections, assets and grants", root.Line)
	}
	o := new(ownershipRules)
	sections := map[string]*names{
		"dags": &o.dags, "bundles": &o.bundles, "variables": &o.variables, "connections": &o.connections, "assets": &o.assets,
	}
	seen := make(map[string]bool, len(sections))
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		section, known := sections[key.Value]
		isGrants := key.Value == "grants"
		switch {
		case !known && !isGrants:
			return nil, fmt.Errorf("line %d: unknown section %q: must be dags, bundles, variables, connections, assets or grants", key.Line, key.Value)
		case seen[key.Value]:
			return nil, fmt.Errorf("line %d: section %q is set twice: merge them", key.Line, key.Value)
		case key.Value == "bundles" && !withDatabase:
			return nil, fmt.Errorf("line %d: bundles needs a metadata database: set database, or list the dags", key.Line)
		}
		seen[key.Value] = true
		parse := func() error { return section.parse(key.Value, value) }
		if isGrants {
			parse = func() error { return o.grants.parse(value) }
		}
		if err := parse(); err != nil {
			return nil, err
		}
	}
	return o, o.checkGrants(withDatabase)
}

// parse reads one section's map.
func (n *names) parse(section string, node *yaml.Node) error {
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s must be a map from a name to a team: write `%s: {}` for none", node.Line, section, section)
	}
	if section == "variables" || section == "connections" {
		n.split, n.upper = map[string]bool{}, new(names)
	}
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if err := checkName(key); err != nil {
			return fmt.Errorf("line %d: %s: %w", key.Line, section, err)
		}
		if line, twice := seen[key.Value]; twice {
			return fmt.Errorf("line %d: %s: %q is set twice, first on line %d: remove one", key.Line, section, key.Value, line)
		}
		seen[key.Value] = key.Line
		if err := checkTeam(value); err != nil {
			return fmt.Errorf("line %d: %s: %q: %w", value.Line, section, key.Value, err)
		}
		n.add(key.Value, value.Value)
		if n.upper != nil {
			n.addUpper(key.Value, value.Value)
		}
	}
	return nil
}

func checkName(node *yaml.Node) error {
	switch star := strings.Index(node.Value, "*"); {
	case node.Kind == yaml.AliasNode, node.Tag == "!!merge":
		return errors.New("aliases and merges are not supported: write each name")
	case node.Kind != yaml.ScalarNode, node.Tag != "!!str":
		return fmt.Errorf("invalid name %q: must be a string in quotes", node.Value)
	case node.Value == "":
		return errors.New("empty name: write a name, or \"*\" for all")
	case star >= 0 && star != len(node.Value)-1:
		return fmt.Errorf("invalid prefix %q: * must be last", node.Value)
	}
	return nil
}

func checkTeam(node *yaml.Node) error {
	switch {
	case node.Kind != yaml.ScalarNode, node.Tag != "!!str":
		return errors.New("invalid team: must be a string in quotes, or \"\" for global")
	case strings.TrimSpace(node.Value) != node.Value:
		return errors.New("invalid team: must not have leading or trailing whitespace")
	case node.Value == resolver.EveryTask:
		return errors.New("invalid team \"*\": must be the name of one team")
	}
	return nil
}

// renamed returns the names that the file gave an owner or granted, or does now,
// and not the same. An asset that is known by another name too, which the file may
// leave out, is not found by that one.
func renamed(before, after *ownershipRules) []resolver.Key {
	var keys []resolver.Key
	for _, kind := range []resolver.Kind{
		resolver.KindDag, resolver.KindVariable, resolver.KindConnection, resolver.KindAssetName, resolver.KindAssetURI,
	} {
		named := make(map[string]struct{})
		for _, o := range []*ownershipRules{before, after} {
			addNames(named, o.section(kind).exact)
			addNames(named, o.granted(kind).exact)
		}
		for name := range named {
			key := resolver.Key{Kind: kind, Name: name}
			was, wasNamed := before.of(key)
			is, isNamed := after.of(key)
			if was != is || wasNamed != isNamed || !before.grantsOf(key).Equal(after.grantsOf(key)) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

func addNames[T any](named map[string]struct{}, of map[string]T) {
	for name := range of {
		named[name] = struct{}{}
	}
}
