package resolver_test

import (
	"testing"

	"github.com/dagfence/dagfence/resolver"
)

func TestGrants_PermitNoMoreThanTheyList(t *testing.T) {
	t.Parallel()
	some := &resolver.Grants{Read: []string{"team_r"}, Trigger: []string{"team_t"}}
	all := &resolver.Grants{Read: []string{resolver.EveryTask}}
	for name, c := range map[string]struct {
		grants          *resolver.Grants
		team            string
		reads, triggers bool
	}{
		"nothing granted":          {nil, "team_r", false, false},
		"nothing listed":           {&resolver.Grants{}, "", false, false},
		"a reader":                 {some, "team_r", true, false},
		"who triggers, reads":      {some, "team_t", true, true},
		"another team":             {some, "team_x", false, false},
		"no team":                  {some, "", false, false},
		"an empty name":            {&resolver.Grants{Read: []string{""}, Trigger: []string{""}}, "", false, false},
		"every task":               {all, "team_x", true, false},
		"every task, also no team": {all, "", true, false},
		"a team of that name":      {some, "*", false, false},
		"a part of a name":         {some, "team", false, false},
	} {
		if got := c.grants.Reads(c.team); got != c.reads {
			t.Errorf("%s: reads is %v, want %v", name, got, c.reads)
		}
		if got := c.grants.Triggers(c.team); got != c.triggers {
			t.Errorf("%s: triggers is %v, want %v", name, got, c.triggers)
		}
	}
}
