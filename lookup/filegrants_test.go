package lookup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

const grantsYAML = `
dags:
  dag_named: team_b
assets:
  asset_a: team_a
  asset_b: team_b
  "s3://b/*": team_b
grants:
  - to: team_a
    dags: [dag_b, "dag_n*"]
  - {to: [team_c, team_d], dags: dag_b, access: trigger}
  - {to: "*", dags: "dag_*", access: read}
  - {to: team_x, dags: [dag_g], access: trigger}
  - {to: team_a, assets: [asset_b, "s3://b/pub*"]}
  - {to: [team_a, team_c], assets: "s3://b/public"}
`

// expectGrants asks for a thing, and compares who is granted it: teams that read,
// then teams that trigger.
func expectGrants(t *testing.T, d *lookup.Directory, kind resolver.Kind, name, read, trigger string) {
	t.Helper()
	got := one(t, d, kind, name)
	var granted resolver.Grants
	if got.Grants != nil {
		granted = *got.Grants
	}
	if r, tr := strings.Join(granted.Read, " "), strings.Join(granted.Trigger, " "); r != read || tr != trigger {
		t.Errorf("%v %s (%v, team %q): read %q, trigger %q; want %q, %q (%v)", kind, name, got.Outcome, got.Team, r, tr, read, trigger, got.Err)
	}
}

func TestGrants_AddUpAndNeverChangeAnOwner(t *testing.T) {
	t.Parallel()
	for _, release := range releases[1:] { // 3.0 has no teams
		db, url := sqliteFiles().airflow(t, release)
		putAssets(t, sqliteFiles(), db, release)
		d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, grantsYAML)})
		expectGrants(t, d, resolver.KindDag, "dag_b", "team_a *", "team_c team_d")
		expectGrants(t, d, resolver.KindTask, taskB, "team_a *", "team_c team_d")
		expectGrants(t, d, resolver.KindDag, "dag_named", "team_a *", "")
		expectGrants(t, d, resolver.KindDag, "dag_a", "*", "")
		expectGrants(t, d, resolver.KindDag, "dag_g", "", "") // global
		expectGrants(t, d, resolver.KindDag, "dag_none", "", "")
		expectGrants(t, d, resolver.KindVariable, "var_b", "", "")
		if got := one(t, d, resolver.KindDag, "dag_b"); got.Team != "team_b" || len(got.Others) > 0 {
			t.Errorf("%s: dag_b belongs to %q and %q", release, got.Team, got.Others)
		}
		// By its name it leads to s3://b/one too, which is not granted.
		expectGrants(t, d, resolver.KindAssetName, "asset_b", "", "")
		expectGrants(t, d, resolver.KindAssetURI, "s3://b/public", "team_a team_c", "")
		expectGrants(t, d, resolver.KindAssetAlias, "alias_ab", "", "")
	}
}

// TestGrants_OfSeveralAssets asks for names that lead to assets of several teams.
func TestGrants_OfSeveralAssets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ grants, alias, read string }{
		"the other's":        {`{to: team_a, assets: [asset_b, "s3://b/one"]}`, "alias_ab", "team_a"},
		"by one of its name": {`{to: team_a, assets: [asset_b]}`, "alias_ab", ""},
		"by prefixes":        {`{to: team_a, assets: ["asset*", "s3://*"]}`, "alias_ab", "team_a"},
		"to a third, both":   {`{to: team_c, assets: ["*"]}`, "alias_ab", "team_c"},
		"to a third, one":    {`{to: team_c, assets: ["asset_b", "s3://b/*"]}`, "alias_ab", ""},
		"to all, both":       {`{to: "*", assets: ["*"]}`, "alias_ab", "team_a team_b *"},
		"to all, one":        {`{to: "*", assets: ["asset_a", "s3://a/*"]}`, "alias_ab", "team_b"},
		"one owner":          {`{to: team_a, assets: [asset_b, "s3://b/*"]}`, "alias_events_b", "team_a"},
		"an alias by a name": {`{to: team_a, assets: [alias_of_b]}`, "alias_of_b", "team_a"},
	} {
		db, url := sqliteFiles().airflow(t, "3.2")
		putAssets(t, sqliteFiles(), db, "3.2")
		d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, assetOwners+"grants:\n  - "+c.grants+"\n")})
		t.Run(name, func(t *testing.T) { expectGrants(t, d, resolver.KindAssetAlias, c.alias, c.read, "") })
	}
}

func TestGrants_ThatAreWrongAreErrors(t *testing.T) {
	t.Parallel()
	const owners = "dags: {dag_a: team_a, dag_b: team_b}\nassets: {asset_b: team_b, \"s3://b/*\": team_b}\n"
	crowd := make([]string, 0, 100)
	for n := range 100 {
		crowd = append(crowd, fmt.Sprintf("team_%05d", n))
	}
	for name, c := range map[string]struct{ grants, want string }{
		"a map":              {"{to: team_a}", "line 3: grants must be a list"},
		"a list of names":    {"[dag_b]", "line 3: grants: each must be a map with to, dags or assets, and access"},
		"no team":            {"[{dags: dag_b}]", "missing to: must be a team"},
		"no resource":        {"[{to: team_a}]", "missing dags or assets"},
		"null":               {"[{to: team_a, dags: }]", `line 3: grants: dags: invalid name "": must be a string in quotes`},
		"an empty list":      {"[{to: team_a, dags: []}]", "the list must not be empty"},
		"a number":           {"[{to: 1, dags: dag_b}]", `to: invalid name "1": must be a string`},
		"an empty team":      {`[{to: "", dags: dag_b}]`, "to: empty name"},
		"a prefix of teams":  {`[{to: "team_*", dags: dag_b}]`, `invalid team "team_*"`},
		"whitespace":         {`[{to: " team_a", dags: dag_b}]`, "whitespace"},
		"a * inside":         {`[{to: team_a, dags: "d*g"}]`, `invalid prefix "d*g": * must be last`},
		"an unknown access":  {"[{to: team_a, dags: dag_b, access: write}]", `invalid access "write": must be read or trigger`},
		"access is a list":   {"[{to: team_a, dags: dag_b, access: [read]}]", "invalid access: must be read or trigger"},
		"access is empty":    {"[{to: team_a, dags: dag_b, access: }]", "invalid access: must be read or trigger"},
		"access twice":       {"[{to: team_a, dags: dag_b, access: read, access: trigger}]", "access is set twice"},
		"to twice":           {"[{to: team_a, to: team_b, dags: dag_b}]", "to is set twice"},
		"an unknown key":     {"[{team: team_a, dags: dag_b}]", `unknown key "team": must be to, dags, assets or access`},
		"variables":          {"[{to: team_a, variables: var_b}]", "variables cannot be granted"},
		"XComs":              {"[{to: team_a, xcoms: dag_b}]", "xcoms cannot be granted"},
		"triggering assets":  {"[{to: team_a, assets: asset_b, access: trigger}]", "access trigger is only for dags"},
		"an unowned asset":   {"[{to: team_a, assets: [asset_b, free]}]", `asset "free" has no owner in this file`},
		"an unowned prefix":  {`[{to: team_a, assets: "s4*"}]`, `asset "s4*" has no owner in this file`},
		"an unowned dag":     {"[{to: team_a, dags: dag_c}]", `dag "dag_c" has no owner in this file`},
		"a team without dag": {"[{to: team_c, dags: dag_b}]", `team "team_c" owns no dag in this file`},
		"too many teams": {
			"[{to: [" + strings.Join(crowd, ", ") + "], dags: dag_b}]",
			`line 3: grants: "dag_b" is granted to teams whose names take 1200 bytes, and at most 1024 can be kept`,
		},
		"too many together": {
			"[{to: [" + strings.Join(crowd[:50], ", ") + "], dags: \"dag_*\"}, {to: [" + strings.Join(crowd[50:], ", ") + "], dags: dag_b}]",
			"teams whose names take 1200 bytes",
		},
		"an alias": {"[&a {to: team_a, dags: dag_b}, *a]", "each must be a map"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := lookup.New(lookup.Options{OwnershipFile: file(t, owners+"grants: "+c.grants+"\n")})
			if err == nil {
				d.Close()
				t.Fatal("taken")
			}
			if text := err.Error(); !strings.HasPrefix(text, "ownership_file: ") || !strings.Contains(text, ": line 3: grants") || !strings.Contains(text, c.want) {
				t.Errorf("got %q, want it to say %q", text, c.want)
			}
		})
	}
	for _, good := range []string{
		"[]", `[{to: "*", dags: "*"}]`, "[{to: [team_a], dags: [dag_b], access: trigger}]", `[{to: team_a, assets: ["s3://b/x", "s3://*", asset_b]}]`,
	} {
		directoryOf(t, lookup.Options{OwnershipFile: file(t, owners+"grants: "+good+"\n")})
	}
}

func TestGrants_ThatChangeAreInvalidated(t *testing.T) {
	t.Parallel()
	const owners = "dags: {dag_a: team_a, dag_b: team_b, dag_c: team_b}\nassets: {asset_b: team_b}\n"
	path := file(t, owners)
	w, d := watchOf(t, lookup.Options{OwnershipFile: path})
	for n, step := range []struct {
		grants string
		told   []string
	}{
		{"[{to: team_a, dags: dag_b}]", []string{"dag dag_b"}},
		{"[{to: team_a, dags: dag_b}, {to: team_a, assets: asset_b}]", []string{"asset_name asset_b", "asset_uri asset_b"}},
		{"[{to: team_a, dags: dag_b, access: trigger}, {to: team_a, assets: asset_b}]", []string{"dag dag_b"}},
		{`[{to: team_a, dags: "dag_*"}, {to: team_a, assets: asset_b}]`, []string{"dag dag_a", "dag dag_b", "dag dag_c"}},
		{"[]", []string{"asset_name asset_b", "asset_uri asset_b", "dag dag_a", "dag dag_b", "dag dag_c"}},
	} {
		marker := fmt.Sprintf("seen_%d", n)
		write(t, path, fmt.Sprintf("variables: {%s: team_a}\n%sgrants: %s\n", marker, owners, step.grants))
		for deadline := time.Now().Add(10 * time.Second); one(t, d, resolver.KindVariable, marker).Outcome != resolver.Found; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the file is not in force")
			}
		}
		w.Look(t.Context())
		w.told = slices.DeleteFunc(w.told, func(told string) bool { return strings.HasPrefix(told, "variable ") })
		w.sorted(t, step.grants, step.told)
		w.expect(t, "again after "+step.grants)
	}
}

// testIdleGrants asks an inspection for grants that grant nothing.
func testIdleGrants(t *testing.T, s server) {
	t.Helper()
	const content = `
dags: {"%x": team_b}
grants:
  - {to: team_a, dags: [dag_b, "dag_*", "dag%*", dag_nowhere, "DAG!*", "%*"]}
  - {to: team_a, dags: dag_a}
  - {to: team_a, dags: dag_g}
  - {to: ["*"], dags: dag_a, access: trigger}
  - {to: team_q, dags: dag_b}
`
	db, url := s.airflow(t, "3.2")
	d := directoryOf(t, lookup.Options{Database: restricted(t, s, db, url), OwnershipFile: file(t, content)})
	found, err := d.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`line 4 of the ownership file grants dag "dag%*", and no dag's name starts so`,
		`line 4 of the ownership file grants dag "dag_nowhere", which does not exist`,
		`line 4 of the ownership file grants dag "DAG!*", and no dag's name starts so`,
		`line 4 of the ownership file grants dag "%*", and no dag's name starts so`,
		`line 5 of the ownership file grants dag "dag_a", to team "team_a", which owns it`,
		`line 6 of the ownership file grants dag "dag_g", which is global`,
	}
	if len(found.IdleGrants) != len(want) {
		t.Errorf("found %q, want %q", found.IdleGrants, want)
		return
	}
	for i, text := range found.IdleGrants {
		if !strings.HasPrefix(text, want[i]) {
			t.Errorf("found %q, want %q", text, want[i])
		}
	}
	if len(found.Strays) != 1 || found.Strays[0].Team != "team_q" {
		t.Errorf("strays %+v, want team_q", found.Strays)
	}
}
