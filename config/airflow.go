package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Origins says where Airflow's own configuration has a value from, by the option
// that it became ("token secret"): the name of a variable, or the path of
// airflow.cfg, the section and its option. What is not in it was not taken from
// there.
type Origins map[string]string

// FillFrom sets what is not set from Airflow's own configuration. An empty value
// is no value. All errors are joined; none carries the value of a secret.
func (c *Config) FillFrom(a *Airflow) (Origins, error) {
	f := newFilling(a)
	if c.BasePath == "" {
		f.fill("api", "base_url", "base_path", func(value string) (err error) {
			c.BasePath, err = basePathBelow(value)
			return err
		})
	}
	if c.MultiTeam == "" {
		f.fill("core", "multi_team", "multi_team", func(value string) (err error) {
			c.MultiTeam, err = onOff(value)
			return err
		})
	}
	c.Token.fill(f)
	if c.Lookup.URL == "" {
		c.fillDatabase(f)
	}
	return f.origins, errors.Join(f.problems...)
}

// FillDatabaseFrom is FillFrom for the database alone.
func (c *Config) FillDatabaseFrom(a *Airflow) error {
	f := newFilling(a)
	c.fillDatabase(f)
	return errors.Join(f.problems...)
}

func (c *Config) fillDatabase(f *filling) {
	if c.Database == "" {
		f.fill("database", "sql_alchemy_conn", "database", into(&c.Database))
	}
	if c.DatabaseSchema == "" {
		f.fill("database", "sql_alchemy_schema", "database_schema", into(&c.DatabaseSchema))
	}
}

// FillFrom is [Config.FillFrom] for what verifies tokens alone.
func (t *Token) FillFrom(a *Airflow) (Origins, error) {
	f := newFilling(a)
	t.fill(f)
	return f.origins, errors.Join(f.problems...)
}

// fill takes the keys as a group: the first that is there wins, as in Airflow
// (api_fastapi/auth/tokens.py, get_sig_validation_args), and a key in the
// configuration is never overridden by one of a kind that would win.
func (t *Token) fill(f *filling) {
	if t.JWKS == "" && t.PublicKey == "" && t.Secret == "" && t.SecretFile == "" {
		_ = f.fill("api_auth", "trusted_jwks_url", "token jwks", into(&t.JWKS)) ||
			f.fill("api_auth", "jwt_private_key_path", "token public_key", into(&t.PublicKey)) ||
			f.fill("api_auth", "jwt_secret", "token secret", into(&t.Secret))
	}
	if len(t.Algorithms) == 0 {
		f.fill("api_auth", "jwt_algorithm", "token algorithms", func(value string) error {
			names, err := list(value)
			if len(names) != 1 || names[0] != "GUESS" {
				t.Algorithms = names
			}
			return err
		})
	}
	if len(t.Audience) == 0 {
		f.fill("execution_api", "jwt_audience", "token audience", func(value string) (err error) {
			t.Audience, err = list(value)
			return err
		})
	}
	if len(t.Issuer) == 0 {
		f.fill("api_auth", "jwt_issuer", "token issuer", func(value string) error {
			t.Issuer = []string{value}
			return nil
		})
	}
	if t.Leeway == nil {
		f.fill("api_auth", "jwt_leeway", "token leeway", func(value string) (err error) {
			t.Leeway, err = seconds(value)
			return err
		})
	}
}

// filling gathers where values come from, and what is wrong with them.
type filling struct {
	airflow  *Airflow
	origins  Origins
	problems []error
}

func newFilling(a *Airflow) *filling { return &filling{airflow: a, origins: make(Origins)} }

// fill hands the value of Airflow's option to set, and reports whether the
// option says anything at all, be it wrong.
func (f *filling) fill(section, key, option string, set func(value string) error) bool {
	value, origin, err := f.airflow.get(section, key)
	if err == nil && value == "" {
		return false
	}
	f.origins[option] = origin
	if err == nil {
		err = set(value)
	}
	switch {
	case errors.Is(err, errIndirect):
		f.problems = append(f.problems, fmt.Errorf("%s: %w: set %s, or %s in the configuration",
			origin, err, variableOf(section, key), option))
	case err != nil:
		f.problems = append(f.problems, fmt.Errorf("%s: %w, or set %s in the configuration", origin, err, option))
	}
	return true
}

// removed is what Python's urlsplit takes out of a URL, wherever it stands.
var removed = strings.NewReplacer("\t", "", "\r", "", "\n", "")

// basePathBelow returns where the Execution API is mounted in an api-server with
// this [api] base_url: below its path, and nowhere else (api_fastapi/app.py,
// API_ROOT_PATH). The path is what urlsplit of Python's urllib.parse makes of it:
// unlike Go's parser it takes whitespace and control bytes before the URL.
func basePathBelow(baseURL string) (string, error) {
	if !strings.HasSuffix(baseURL, "/") {
		baseURL += "/"
	}
	rest := removed.Replace(strings.TrimLeftFunc(baseURL, func(r rune) bool { return r <= ' ' }))
	rest = strings.TrimPrefix(rest, urlScheme.FindString(rest))
	if behind, authority := strings.CutPrefix(rest, "//"); authority {
		rest = strings.TrimPrefix(behind, upTo(behind, "/?#"))
	}
	path := strings.TrimSuffix(upTo(rest, "?#"), "/")
	if path != "" && path[0] != '/' {
		return "", errors.New("invalid URL: must be absolute, such as https://host/path, or Airflow serves tasks nothing")
	}
	return path + defaultBasePath, nil
}

// upTo returns what stands before the first of the delimiters.
func upTo(text, delimiters string) string {
	if i := strings.IndexAny(text, delimiters); i >= 0 {
		return text[:i]
	}
	return text
}

var urlScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

func into(field *string) func(string) error {
	return func(value string) error {
		*field = value
		return nil
	}
}

// onOff takes what Airflow's getboolean takes, a comment behind it included.
func onOff(value string) (string, error) {
	word, _, _ := strings.Cut(strings.ToLower(value), "#")
	switch strings.TrimFunc(word, isSpace) {
	case "t", "true", "1":
		return On, nil
	case "f", "false", "0":
		return Off, nil
	}
	return "", fmt.Errorf("invalid boolean %q: must be true or false", value)
}

// list splits at commas. Nobody signs an empty name, so none is kept.
func list(value string) ([]string, error) {
	var names []string
	for name := range strings.SplitSeq(value, ",") {
		if name = strings.TrimFunc(name, isSpace); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("invalid list %q: must contain a name", value)
	}
	return names, nil
}

// wholeNumber is what Python's int takes, in ASCII, between what TrimSpace takes
// away.
var wholeNumber = regexp.MustCompile(`^[+-]?\d+(_\d+)*$`)

func seconds(value string) (*caddy.Duration, error) {
	digits := strings.TrimSpace(value)
	whole, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, 32)
	if err != nil || !wholeNumber.MatchString(digits) {
		return nil, fmt.Errorf("invalid duration %q: must be a whole number of seconds", value)
	}
	leeway := caddy.Duration(time.Duration(whole) * time.Second)
	return &leeway, nil
}
