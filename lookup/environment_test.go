package lookup_test

import (
	"testing"

	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/resolver"
)

// A variable in the api-server's environment is read by the upper case of its
// key, so whoever owns one spelling in the file owns them all; but for what is
// stored, where each spelling is a row of its own.
func TestWhatLivesInTheEnvironmentIsOwnedInEverySpelling(t *testing.T) {
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
	if got := one(t, withDatabase, resolver.KindVariable, "var_a"); got.Team != "team_a" {
		t.Errorf("var_a is stored, and team_a's, not %q's", got.Team)
	}
}
