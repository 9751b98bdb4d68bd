package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// FillFromEnvironment sets what is not set from the variables that Airflow's
// own api-server reads, as Airflow 3 reads them: $NAME, ${NAME} and a leading ~
// are expanded (airflow/configuration.py, expand_env_var), an empty value is no
// value. lookup is [os.LookupEnv], or what stands in for it.
//
// Airflow can also take a value from a command or a secrets backend, by a
// variable that ends in _CMD or _SECRET. The fence runs no commands: such a
// variable without its plain one is an error. All errors are joined; none
// carries the value of a secret.
func (c *Config) FillFromEnvironment(lookup func(string) (string, bool)) error {
	env := &environment{lookup: lookup}
	if c.BasePath == "" {
		env.fill("AIRFLOW__API__BASE_URL", "base_path", func(value string) (err error) {
			c.BasePath, err = basePathBelow(value)
			return err
		})
	}
	if c.MultiTeam == "" {
		env.fill("AIRFLOW__CORE__MULTI_TEAM", "multi_team", func(value string) (err error) {
			c.MultiTeam, err = onOff(value)
			return err
		})
	}
	c.Token.fillFrom(env)
	if c.Database == "" && c.Lookup.URL == "" {
		env.fill("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "database", into(&c.Database))
	}
	return errors.Join(env.problems...)
}

// fillFrom takes the keys as a group: the first that is there wins, as in
// Airflow (api_fastapi/auth/tokens.py, get_sig_validation_args), and a key in
// the configuration is never overridden by one of a kind that would win.
func (t *Token) fillFrom(env *environment) {
	if t.JWKS == "" && t.PublicKey == "" && t.Secret == "" && t.SecretFile == "" {
		_ = env.fill("AIRFLOW__API_AUTH__TRUSTED_JWKS_URL", "token jwks", into(&t.JWKS)) ||
			env.fill("AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH", "token public_key", into(&t.PublicKey)) ||
			env.fill("AIRFLOW__API_AUTH__JWT_SECRET", "token secret", into(&t.Secret))
	}
	if len(t.Algorithms) == 0 {
		env.fill("AIRFLOW__API_AUTH__JWT_ALGORITHM", "token algorithms", func(value string) error {
			if names := list(value); len(names) != 1 || names[0] != "GUESS" {
				t.Algorithms = names
			}
			return nil
		})
	}
	if len(t.Audience) == 0 {
		env.fill("AIRFLOW__EXECUTION_API__JWT_AUDIENCE", "token audience", func(value string) error {
			t.Audience = list(value)
			return nil
		})
	}
	if len(t.Issuer) == 0 {
		env.fill("AIRFLOW__API_AUTH__JWT_ISSUER", "token issuer", func(value string) error {
			t.Issuer = []string{value}
			return nil
		})
	}
	if t.Leeway == nil {
		env.fill("AIRFLOW__API_AUTH__JWT_LEEWAY", "token leeway", func(value string) (err error) {
			t.Leeway, err = seconds(value)
			return err
		})
	}
}

// environment reads variables and gathers what is wrong with them.
type environment struct {
	lookup   func(string) (string, bool)
	problems []error
}

// fill gives a variable's value to set, and tells whether the variable says
// anything at all, be it wrong.
func (e *environment) fill(name, option string, set func(value string) error) bool {
	value, ok := e.lookup(name)
	if !ok {
		for _, variant := range []string{name + "_CMD", name + "_SECRET"} {
			if _, ok := e.lookup(variant); ok {
				e.problems = append(e.problems, fmt.Errorf(
					"%s: the fence runs no commands and asks no secrets backend: set %s, or %s in the configuration",
					variant, name, option))
				return true
			}
		}
		return false
	}
	value, err := e.expand(value)
	if err == nil && value != "" {
		err = set(value)
	}
	if err != nil {
		e.problems = append(e.problems, fmt.Errorf("%s: %w, or set %s in the configuration", name, err, option))
	}
	return err != nil || value != ""
}

// reference is what Python's os.path.expandvars takes for one.
var reference = regexp.MustCompile(`\$(\w+|\{[^}]*\})`)

// expand repeats until nothing changes, as Airflow does.
func (e *environment) expand(value string) (string, error) {
	for range 10 {
		expanded := reference.ReplaceAllStringFunc(value, func(ref string) string {
			name := strings.TrimSuffix(strings.TrimPrefix(ref[1:], "{"), "}")
			if known, ok := e.lookup(name); ok {
				return known
			}
			return ref
		})
		if expanded == "~" || strings.HasPrefix(expanded, "~/") {
			if home, ok := e.lookup("HOME"); ok {
				expanded = strings.TrimRight(home, "/") + expanded[1:]
			}
		}
		if expanded == value {
			return value, nil
		}
		value = expanded
	}
	return "", errors.New("its $ references have no end: write the value out")
}

// basePathBelow gives where the Execution API is mounted in an api-server with
// this [api] base_url: below its path (api_fastapi/app.py, API_ROOT_PATH), and
// nowhere else.
func basePathBelow(baseURL string) (string, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return "", errors.New("not a URL: write it as https://host/path")
	}
	return strings.TrimRight(u.EscapedPath(), "/") + defaultBasePath, nil
}

func into(field *string) func(string) error {
	return func(value string) error {
		*field = value
		return nil
	}
}

// onOff takes what Airflow's getboolean takes, a comment behind it included.
func onOff(value string) (string, error) {
	word, _, _ := strings.Cut(strings.ToLower(value), "#")
	switch strings.TrimSpace(word) {
	case "t", "true", "1":
		return On, nil
	case "f", "false", "0":
		return Off, nil
	}
	return "", fmt.Errorf("%q is no boolean of Airflow's: write true or false", value)
}

// list splits at commas. Nobody signs an empty name, so none is kept.
func list(value string) []string {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func seconds(value string) (*caddy.Duration, error) {
	whole, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no whole number of seconds: write one", value)
	}
	leeway := caddy.Duration(time.Duration(whole) * time.Second)
	return &leeway, nil
}
