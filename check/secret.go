package check

import (
	"bytes"
	"slices"

	"github.com/dagfence/dagfence/config"
)

// compareSecrets reports a difference between the fence's secret and the one in
// Airflow's own configuration, where both are set. Airflow signs with every byte
// of its own, including a line break at its end.
func (r *run) compareSecrets() {
	const check = "token keys"
	option, ours := "token secret", r.secret()
	switch t := r.Fence.Token; {
	case ours == nil || t.Secret == "" && t.SecretFile == "": // public keys, or Airflow's own secret
		return
	case t.Secret == "":
		option = "token secret_file"
	}
	airflow, err := config.ReadAirflow(r.environment)
	if err != nil {
		return // the configuration's problem
	}
	// An error is about a setting that the fence does not take from there.
	var token config.Token
	origins, _ := token.FillFrom(airflow)
	theirs, origin := []byte(token.Secret), origins["token secret"]
	const fix = "Airflow signs with every byte of its own, so make them the same"
	switch {
	case len(theirs) == 0 || bytes.Equal(ours, theirs):
	case bytes.Equal(withoutBreak(ours), theirs):
		r.problem(check, "%s ends in a line break that %s does not have: %s", option, origin, fix)
	case bytes.Equal(ours, withoutBreak(theirs)):
		r.problem(check, "%s ends in a line break that %s does not have: %s", origin, option, fix)
	case bytes.Equal(bytes.TrimSpace(ours), bytes.TrimSpace(theirs)):
		r.problem(check, "%s has other whitespace around it than %s: %s", option, origin, fix)
	default:
		r.warn(check, "%s is another secret than %s: leave out the one that the api-server does not have", option, origin)
	}
}

func withoutBreak(secret []byte) []byte { return bytes.TrimRight(secret, "\r\n") }

// A variant is a secret that differs from another only in whitespace.
type variant struct {
	secret []byte
	how    string
}

func variantsOf(secret []byte) []variant {
	all := []variant{
		{withoutBreak(secret), "without the line break at its end"},
		{append(bytes.Clone(secret), '\n'), "with a line break at its end"},
		{bytes.TrimSpace(secret), "without the whitespace around it"},
	}
	return slices.DeleteFunc(all, func(v variant) bool { return len(v.secret) == 0 || bytes.Equal(v.secret, secret) })
}
