package report

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// heading is what the suggested ownership file begins with.
const heading = "Each line opens what was denied: judge it, and put what is right into the ownership file.\n" +
	"For an asset's alias, write the assets that it leads to."

// withinTeam says why nothing in the ownership file shares a kind with another team:
// Airflow itself goes by its own rows, since 3.2 for variables and connections and
// since 3.3 for XComs.
var withinTeam = map[string]string{
	"variable":   "Airflow itself keeps a team's variables to the team: take the team off its row to share one with every team.",
	"connection": "Airflow itself keeps a team's connections to the team: take the team off its row to share one with every team.",
	"xcom":       "Airflow itself keeps XComs to the team of the dag: a dag of no team shares its own with every team.",
}

// ownership returns an ownership file that would allow the groups, and what no
// ownership file allows, a sentence each.
func ownership(groups []Group) (file string, unsolved []string) {
	s := suggestions{sections: make(map[string]*section), unsolved: []string{}}
	for i := range groups {
		s.solve(&groups[i])
	}
	return s.file(), s.unsolved
}

// suggestions are entries of an ownership file, in the order of the groups.
type suggestions struct {
	sections map[string]*section
	grants   []*grant
	unsolved []string
}

// section is one of owners: each name once.
type section struct {
	entries []owner
	teams   map[string]string
}

type owner struct{ name, team, comment string }

type grant struct {
	to, access   string
	dags, assets []string
	comment      string
}

// solve adds what would allow a group.
func (s *suggestions) solve(g *Group) {
	section, fix := map[string]string{
		"dag": "dags", "xcom": "dags", "variable": "variables", "connection": "connections", "asset": "assets",
	}[g.Kind], ""
	owned, inTeam := isTeam(g.OwnerTeam), isTeam(g.TaskTeam)
	reads := g.Action == "read" || g.Action == "count"
	switch {
	case g.Reason == "other_team" && owned && inTeam && (g.Kind == "dag" || g.Kind == "asset" && reads):
		fix = s.grant(g, reads)
	case g.Reason == "other_team" && owned && g.Kind == "asset":
		fix = s.own(section, g.Resources, "", g.describe()+": makes it global, open to every team")
	case g.Reason == "other_team" && owned && withinTeam[g.Kind] != "":
		fix = withinTeam[g.Kind]
	case g.Reason == "teamless_task" && withinTeam[g.Kind] != "":
		fix = "Airflow itself goes by the team of the task's bundle: give the bundle that team."
	case g.Reason == "teamless_task" && owned:
		fix = s.own("dags", g.Dags, *g.OwnerTeam, g.describe()+": sets the team of the task's dag")
	case g.Reason == "global_write" && inTeam && section != "" && g.Kind != "xcom":
		fix = s.own(section, g.Resources, *g.TaskTeam, g.describe()+": sets the task's team as its owner")
	default:
		fix = g.Why
	}
	if fix != "" {
		s.unsolved = append(s.unsolved, fmt.Sprintf("%s: %s", g.describe(), fix))
	}
}

func isTeam(name *string) bool { return name != nil && *name != "" && isWritable(*name) }

// describe returns the group as the start of a sentence.
func (g *Group) describe() string {
	return fmt.Sprintf("%s, %s of %s, %s", printable(g.taskTeam()), printable(g.what()), printable(g.ownerTeam()), times(g.Count))
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// own sets the team of names, and returns what is left to do.
func (s *suggestions) own(in string, names []Name, team, comment string) string {
	of := s.sections[in]
	if of == nil {
		of = &section{teams: make(map[string]string)}
		s.sections[in] = of
	}
	left := 0
	for _, named := range names {
		other, there := of.teams[named.Name]
		switch {
		case there && other == team:
		case there || !isWritable(named.Name):
			left++
		default:
			of.teams[named.Name] = team
			of.entries = append(of.entries, owner{named.Name, team, comment})
			comment = ""
		}
	}
	return rest(left, len(names))
}

// grant grants the task's team what the group asks for, and returns what is left to do.
func (s *suggestions) grant(g *Group, reads bool) string {
	granted := &grant{to: *g.TaskTeam, comment: g.describe()}
	if !reads {
		granted.access = "trigger"
	}
	var names []string
	for _, named := range g.Resources {
		if isWritable(named.Name) {
			names = append(names, named.Name)
		}
	}
	if g.Kind == "dag" {
		granted.dags = names
	} else {
		granted.assets = names
	}
	s.grants = append(s.grants, granted)
	return rest(len(g.Resources)-len(names), len(g.Resources))
}

// rest says that names are left, or that there are none at all.
func rest(left, of int) string {
	switch {
	case of == 0:
		return "the log does not have the names."
	case left > 0:
		return fmt.Sprintf("%d of %d names are not below: they are cut, have a * or what can't be seen in them, or another group sets another team for them.", left, of)
	}
	return ""
}

// isWritable reports whether an ownership file should have the name: a * at its end
// would be a prefix, what was cut, or is no text, is another name, and what can't be
// seen can't be judged.
func isWritable(name string) bool {
	return visible(name) == name && !strings.ContainsAny(name, "*\uFFFD") && (len(name) < maxName || !strings.HasSuffix(name, ellipsis))
}

// file returns the YAML, "" if nothing is suggested.
func (s *suggestions) file() string {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range []string{"dags", "variables", "connections", "assets"} {
		if of := s.sections[name]; of != nil && len(of.entries) > 0 {
			node := &yaml.Node{Kind: yaml.MappingNode}
			for _, entry := range of.entries {
				key := text(entry.name)
				key.HeadComment = entry.comment
				node.Content = append(node.Content, key, text(entry.team))
			}
			root.Content = append(root.Content, plain(name), node)
		}
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	for _, granted := range s.grants {
		if len(granted.dags)+len(granted.assets) > 0 {
			node.Content = append(node.Content, granted.node())
		}
	}
	if len(node.Content) > 0 {
		root.Content = append(root.Content, plain("grants"), node)
	}
	if len(root.Content) == 0 {
		return ""
	}
	root.Content[0].HeadComment = heading + "\n\n"
	var file bytes.Buffer
	encoder := yaml.NewEncoder(&file)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil { // scalars, maps and lists, into memory
		panic(err)
	}
	return file.String()
}

func (g *grant) node() *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode, HeadComment: g.comment, Content: []*yaml.Node{plain("to"), text(g.to)}}
	for _, of := range []struct {
		key   string
		names []string
	}{{"dags", g.dags}, {"assets", g.assets}} {
		if len(of.names) > 0 {
			list := &yaml.Node{Kind: yaml.SequenceNode}
			for _, name := range of.names {
				list.Content = append(list.Content, text(name))
			}
			node.Content = append(node.Content, plain(of.key), list)
		}
	}
	if g.access != "" {
		node.Content = append(node.Content, plain("access"), plain(g.access))
	}
	return node
}

func plain(word string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: word} }

// text is a string in quotes, on one line whatever it holds.
func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: value}
}
