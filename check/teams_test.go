package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/check"
)

func TestSharingEnvironment_NamesEveryPair(t *testing.T) {
	t.Parallel()
	for teams, want := range map[string][][2]string{
		"":                      nil,
		"team_a team_b":         nil,
		"team_a team_ab":        nil,
		"ops ops_":              {{"ops", "ops_"}},
		"ops ops__":             {{"ops", "ops__"}},
		"ops ops_ ops__":        {{"ops", "ops_"}, {"ops_", "ops__"}},
		"OPS ops":               {{"OPS", "ops"}},
		"OPS_ ops":              {{"ops", "OPS_"}},
		"ops ops___blue":        {{"ops", "ops___blue"}},
		"ops ops__blue ops_red": nil,
		"ops -ops_":             nil,
	} {
		if got := check.SharingEnvironment(strings.Fields(teams)); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", teams, got, want)
		}
	}
}
