package lookup_test

import (
	"slices"
	"testing"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// A variable in the api-server's environment is read by the upper case of its
// key, so whoever owns one spelling in the file owns them all. Airflow looks there
// before it looks for a row, so a row in another spelling adds its own owner, and
// takes none away.
func TestEnvironmentSecret_IsOwnedInEverySpelling(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.2")
	written := file(t, `
variables: {db_password: team_b, "stra\u00dfe": team_b, "aws_*": team_b, twice: team_a, TWICE: team_b, VAR_A: team_b}
connections: {warehouse: team_b}
dags: {dag_x: team_b}
`)
	withDatabase := directoryOf(t, lookup.Options{Database: url, OwnershipFile: written})
	alone := directoryOf(t, lookup.Options{OwnershipFile: written})
	for name, want := range map[string]struct {
		kind    resolver.Kind
		outcome resolver.Outcome
		team    string
	}{
		"DB_PASSWORD":           {resolver.KindVariable, resolver.Found, "team_b"},
		"Db_password":           {resolver.KindVariable, resolver.Found, "team_b"},
		"db_pa\u017f\u017fword": {resolver.KindVariable, resolver.Found, "team_b"}, // long s
		"STRASSE":               {resolver.KindVariable, resolver.Found, "team_b"},
		"AWS_key":               {resolver.KindVariable, resolver.Found, "team_b"},
		"twice":                 {resolver.KindVariable, resolver.Found, "team_a"},
		"Twice":                 {resolver.KindVariable, resolver.Unavailable, ""},
		"db_passwords":          {resolver.KindVariable, resolver.NotFound, ""},
		"WAREHOUSE":             {resolver.KindConnection, resolver.Found, "team_b"},
		"DAG_X":                 {resolver.KindDag, resolver.NotFound, ""},
	} {
		for source, d := range map[string]*lookup.Directory{"with a database": withDatabase, "alone": alone} {
			if got := one(t, d, want.kind, name); got.Outcome != want.outcome || got.Team != want.team {
				t.Errorf("%s, %v %q: %v of %q (%v), want %v of %q", source, want.kind, name, got.Outcome, got.Team, got.Err, want.outcome, want.team)
			}
		}
	}
}

// An entry for a prefix takes no other spelling of a name from its owner.
func TestEnvironmentSecret_KeepsItsOwnerBesideAPrefix(t *testing.T) {
	t.Parallel()
	_, url := sqliteFiles().airflow(t, "3.2")
	for name, c := range map[string]struct {
		variables string
		owners    map[string][]string // nil where it is unavailable
	}{
		"all others": {`{db_password: hr, "*": platform}`, map[string][]string{
			"db_password": {"hr"}, "DB_PASSWORD": {"platform", "hr"}, "Db_Password": {"platform", "hr"}, "other": {"platform"}, "OTHER": {"platform"},
		}},
		"a prefix in lower case": {`{AWS_SECRET: hr, "aws_*": platform}`, map[string][]string{
			"AWS_SECRET": {"hr"}, "aws_secret": {"platform", "hr"}, "aws_key": {"platform"}, "AWS_KEY": {"platform"},
		}},
		"a longer prefix": {`{"AWS_PROD_*": hr, "aws_*": platform}`, map[string][]string{
			"aws_prod_key": {"platform", "hr"}, "AWS_PROD_KEY": {"hr"}, "Aws_Prod_Key": {"hr"}, "aws_key": {"platform"},
		}},
		"prefixes in two spellings": {`{"AWS_*": hr, "aws_*": platform}`, map[string][]string{
			"aws_key": nil, "AWS_KEY": nil, "Aws_Key": nil, "other": {""},
		}},
		"a prefix without a team": {`{db_password: hr, "DB_*": ""}`, map[string][]string{
			"db_password": {"hr"}, "DB_PASSWORD": {"hr"}, "DB_HOST": {""},
		}},
		"a name without a team": {`{db_open: "", "*": platform}`, map[string][]string{"db_open": {""}, "DB_OPEN": {"platform"}}},
	} {
		written := file(t, "variables: "+c.variables+"\nconnections: "+c.variables+"\n")
		for source, d := range map[string]*lookup.Directory{
			"with a database": directoryOf(t, lookup.Options{Database: url, OwnershipFile: written}),
			"alone":           directoryOf(t, lookup.Options{OwnershipFile: written}),
		} {
			for key, want := range c.owners {
				for _, kind := range []resolver.Kind{resolver.KindVariable, resolver.KindConnection} {
					got := one(t, d, kind, key)
					owners := append([]string{got.Team}, got.Others...)
					if want == nil && got.Outcome == resolver.Unavailable || slices.Equal(owners, want) && (got.Outcome == resolver.Found || want[0] == "" && got.Outcome == resolver.NotFound) {
						continue
					}
					t.Errorf("%s, %s, %v %s: %v of %q (%v), want %q", name, source, kind, key, got.Outcome, owners, got.Err, want)
				}
			}
		}
	}
}

func TestEnvironmentSecret_KeepsItsOwnerBesideARow(t *testing.T) {
	t.Parallel()
	const teamA, teamB = "team_a", "team_b"
	files := sqliteFiles()
	db, url := files.create(t, "environment")
	tables := files.migrate(t, db, "3.2")
	for key, team := range map[string]string{"DB_PASSWORD": "", "Db_Password": teamA, "dB_password": teamB, "Twice": teamA, "nobodys": teamA} {
		row := ownedBy(team)
		row["key"] = key
		execute(t, db, insertInto(tables, "variable", row))
	}
	row := ownedBy("")
	row["conn_id"] = "WAREHOUSE"
	execute(t, db, insertInto(tables, "connection", row))
	d := directoryOf(t, lookup.Options{Database: url, OwnershipFile: file(t, `
variables: {db_password: team_b, VAR_A: team_b, twice: team_a, TWICE: team_b, NOBODYS: ""}
connections: {warehouse: team_b}
`)})
	for name, want := range map[string]struct {
		kind    resolver.Kind
		outcome resolver.Outcome
		owners  []string
	}{
		"db_password": {resolver.KindVariable, resolver.Found, []string{teamB}},
		"DB_PASSWORD": {resolver.KindVariable, resolver.Found, []string{teamB}},
		"Db_Password": {resolver.KindVariable, resolver.Found, []string{teamA, teamB}},
		"dB_password": {resolver.KindVariable, resolver.Found, []string{teamB}},
		"var_a":       {resolver.KindVariable, resolver.Found, []string{teamA, teamB}},
		"nobodys":     {resolver.KindVariable, resolver.Found, []string{teamA}},
		"twice":       {resolver.KindVariable, resolver.Found, []string{teamA}},
		"Twice":       {resolver.KindVariable, resolver.Unavailable, []string{""}},
		"WAREHOUSE":   {resolver.KindConnection, resolver.Found, []string{teamB}},
	} {
		got := one(t, d, want.kind, name)
		if owners := append([]string{got.Team}, got.Others...); got.Outcome != want.outcome || !slices.Equal(owners, want.owners) {
			t.Errorf("%v %q: %v of %q (%v), want %v of %q", want.kind, name, got.Outcome, owners, got.Err, want.outcome, want.owners)
		}
	}
}
