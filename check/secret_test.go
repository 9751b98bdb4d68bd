package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/config"
)

// The same bytes are the same secret. Where the fence is given another than
// Airflow's own configuration has, the difference is named, and nothing shown.
func TestSecret_IsComparedWithAirflowsOwn(t *testing.T) {
	t.Parallel()
	const variable = "AIRFLOW__API_AUTH__JWT_SECRET"
	inFile := func(content string) config.Token { return config.Token{SecretFile: write(t, "secret", content)} }
	for name, tc := range map[string]struct {
		token  config.Token
		theirs string
		state  check.State
		text   string
	}{
		"the same":                        {inFile(secret), secret, check.OK, "a secret of 64 bytes"},
		"the same, with a line break":     {inFile(secret + "\n"), secret + "\n", check.OK, "a secret of 65 bytes"},
		"none of Airflow's":               {inFile(secret + "\n"), "", check.OK, "a secret of 65 bytes"},
		"a line break in the file":        {inFile(secret + "\n"), secret, check.Problem, "token secret_file ends in a line break that " + variable + " does not have: "},
		"Windows' line break in the file": {inFile(secret + "\r\n"), secret, check.Problem, "token secret_file ends in a line break that " + variable + " does not have: "},
		"a line break in the variable":    {inFile(secret), secret + "\n", check.Problem, variable + " ends in a line break that token secret_file does not have: "},
		"a line break in the secret":      {config.Token{Secret: secret + "\n"}, secret, check.Problem, "token secret ends in a line break that " + variable + " does not have: "},
		"whitespace before it":            {config.Token{Secret: secret}, " " + secret, check.Problem, "token secret has other whitespace around it than " + variable + ": "},
		"another":                         {config.Token{Secret: secret}, "unlike", check.Warning, "token secret is another secret than " + variable + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.Token = tc.token
			options.SetEnvironment(func(name string) (string, bool) { return tc.theirs, name == variable && tc.theirs != "" })
			found := atFence(t, options, "unlike")
			if !slices.ContainsFunc(found, func(f check.Finding) bool {
				return f.Check == "token keys" && f.State == tc.state && strings.HasPrefix(f.Text, tc.text)
			}) {
				t.Errorf("no token keys says %s: %q; there are %v", tc.state, tc.text, found)
			}
		})
	}
}

func TestSecret_IsComparedWithAirflowCfg(t *testing.T) {
	t.Parallel()
	path := write(t, "airflow.cfg", "[api_auth]\njwt_secret = "+secret+"\n")
	options := right(t)
	options.Fence.Token = config.Token{SecretFile: write(t, "secret", secret+"\n")}
	options.SetEnvironment(func(name string) (string, bool) { return path, name == "AIRFLOW_CONFIG" })
	want := "token secret_file ends in a line break that " + path + ": [api_auth] jwt_secret does not have"
	if found := atFence(t, options); !slices.ContainsFunc(found, func(f check.Finding) bool {
		return f.State == check.Problem && strings.HasPrefix(f.Text, want)
	}) {
		t.Errorf("%q is not said; there are %v", want, found)
	}
}
