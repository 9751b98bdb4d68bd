package config_test

import (
	"os"
	"os/user"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/config"
)

const (
	envBaseURL    = "AIRFLOW__API__BASE_URL"
	envMultiTeam  = "AIRFLOW__CORE__MULTI_TEAM"
	envJWKS       = "AIRFLOW__API_AUTH__TRUSTED_JWKS_URL"
	envPrivateKey = "AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH"
	envSecret     = "AIRFLOW__API_AUTH__JWT_SECRET"
	envAlgorithm  = "AIRFLOW__API_AUTH__JWT_ALGORITHM"
	envAudience   = "AIRFLOW__EXECUTION_API__JWT_AUDIENCE"
	envIssuer     = "AIRFLOW__API_AUTH__JWT_ISSUER"
	envLeeway     = "AIRFLOW__API_AUTH__JWT_LEEWAY"
	envDatabase   = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
)

type variables map[string]string

func (v variables) lookup(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// airflow is the configuration of an api-server with these variables, and
// without an airflow.cfg unless they name one.
func (v variables) airflow(t *testing.T) *config.Airflow {
	t.Helper()
	a, err := config.ReadAirflow(func(name string) (string, bool) {
		if value, ok := v.lookup(name); ok || name != "AIRFLOW_CONFIG" {
			return value, ok
		}
		return os.DevNull, true
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func duration(d time.Duration) *caddy.Duration {
	leeway := caddy.Duration(d)
	return &leeway
}

func TestEnvironment_FillsWhatIsNotSet(t *testing.T) {
	t.Parallel()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	type c = config.Config
	type token = config.Token
	cases := map[string]struct {
		env  variables
		set  config.Config
		want config.Config
	}{
		"nothing there": {nil, c{}, c{}},
		"what an api-server has": {
			variables{
				envBaseURL: "https://airflow.example/air/flow/", envMultiTeam: "True", envSecret: "s3cret", envAlgorithm: "HS256,HS512", envLeeway: "30",
				envAudience: "tasks, more,", envIssuer: "https://airflow", envDatabase: "sqlite:////airflow.db",
			},
			c{},
			c{
				BasePath: "/air/flow/execution", MultiTeam: "on", Database: "sqlite:////airflow.db",
				Token: token{
					Secret: "s3cret", Algorithms: []string{"HS256", "HS512"}, Audience: []string{"tasks", "more"},
					Issuer: []string{"https://airflow"}, Leeway: duration(30 * time.Second),
				},
			},
		},
		"empty is not set": {
			variables{
				envMultiTeam: "", envJWKS: "", envPrivateKey: "", envSecret: "", envAlgorithm: "", envAudience: "",
				envIssuer: "", envLeeway: "", envDatabase: "",
			},
			c{},
			c{},
		},
		"the configuration wins": {
			variables{
				envMultiTeam: "true", envSecret: "s3cret", envAlgorithm: "HS256", envLeeway: "30",
				envAudience: "tasks", envIssuer: "me", envDatabase: "sqlite:////airflow.db",
			},
			full(), full(),
		},
		"a leeway of 0 is set": {variables{envLeeway: "30"}, c{Token: token{Leeway: duration(0)}}, c{Token: token{Leeway: duration(0)}}},

		"multi_team t":         {variables{envMultiTeam: "t"}, c{}, c{MultiTeam: "on"}},
		"multi_team 1":         {variables{envMultiTeam: "1"}, c{}, c{MultiTeam: "on"}},
		"multi_team False":     {variables{envMultiTeam: " False "}, c{}, c{MultiTeam: "off"}},
		"multi_team 0 comment": {variables{envMultiTeam: "0 # later"}, c{}, c{MultiTeam: "off"}},

		"GUESS is each key's own": {variables{envAlgorithm: "GUESS"}, c{}, c{}},
		"an issuer is one, commas included": {
			variables{envIssuer: "a,b"}, c{}, c{Token: token{Issuer: []string{"a,b"}}},
		},

		"jwks before private key before secret": {
			variables{envJWKS: "/jwks.json", envPrivateKey: "/key.pem", envSecret: "s3cret"}, c{}, c{Token: token{JWKS: "/jwks.json"}},
		},
		"private key before secret": {
			variables{envJWKS: "", envPrivateKey: "/key.pem", envSecret: "s3cret"}, c{}, c{Token: token{PublicKey: "/key.pem"}},
		},
		"a secret that is set keeps out a jwks": {
			variables{envJWKS: "/jwks.json"}, c{Token: token{Secret: "mine"}}, c{Token: token{Secret: "mine"}},
		},
		"a secret file that is set keeps out a secret": {
			variables{envSecret: "s3cret"}, c{Token: token{SecretFile: "/mine"}}, c{Token: token{SecretFile: "/mine"}},
		},
		"a public key that is set keeps out a jwks": {
			variables{envJWKS: "/jwks.json"}, c{Token: token{PublicKey: "/mine"}}, c{Token: token{PublicKey: "/mine"}},
		},
		"a lookup service that is set keeps out the database": {
			variables{envDatabase: "sqlite:////airflow.db"},
			c{Lookup: config.Lookup{URL: "http://lookup"}},
			c{Lookup: config.Lookup{URL: "http://lookup"}},
		},
		"an ownership file stands beside the database": {
			variables{envDatabase: "sqlite:////airflow.db"},
			c{OwnershipFile: "/owners"},
			c{OwnershipFile: "/owners", Database: "sqlite:////airflow.db"},
		},

		"references are expanded": {
			variables{envDatabase: "postgresql://$DB_USER:${DB_PASSWORD}@db/$NONE", "DB_USER": "u", "DB_PASSWORD": "${INNER}", "INNER": "p"},
			c{},
			c{Database: "postgresql://u:p@db/$NONE"},
		},
		"home is expanded": {variables{envJWKS: "~/jwks.json", "HOME": "/home/airflow/"}, c{}, c{Token: token{JWKS: "/home/airflow/jwks.json"}}},
		"a user's home":    {variables{envJWKS: "~" + me.Username + "/jwks.json"}, c{}, c{Token: token{JWKS: me.HomeDir + "/jwks.json"}}},
		"no variable HOME": {variables{envJWKS: "~/jwks.json"}, c{}, c{Token: token{JWKS: me.HomeDir + "/jwks.json"}}},
		"nobody's home":    {variables{envJWKS: "~no-such-user/jwks.json"}, c{}, c{Token: token{JWKS: "~no-such-user/jwks.json"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tc.set
			if _, err := got.FillFrom(tc.env.airflow(t)); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

var wrongEnvironments = map[string]struct {
	env  variables
	want string
}{
	"a boolean Airflow refuses": {
		variables{envMultiTeam: "yes"},
		`AIRFLOW__CORE__MULTI_TEAM: invalid boolean "yes": must be true or false, or set multi_team in the configuration`,
	},
	"a leeway with a unit": {
		variables{envLeeway: "10s"},
		`AIRFLOW__API_AUTH__JWT_LEEWAY: invalid duration "10s": must be a whole number of seconds, or set token leeway in the configuration`,
	},
	"a secret from a command": {
		variables{envSecret + "_CMD": "cat /run/secret"},
		`AIRFLOW__API_AUTH__JWT_SECRET_CMD: the fence runs no commands and asks no secrets backend: set AIRFLOW__API_AUTH__JWT_SECRET, or token secret in the configuration`,
	},
	"a secret from a secrets backend": {
		variables{envSecret + "_SECRET": "path"},
		`AIRFLOW__API_AUTH__JWT_SECRET_SECRET: the fence runs no commands and asks no secrets backend: set AIRFLOW__API_AUTH__JWT_SECRET, or token secret in the configuration`,
	},
	"a database from a command": {
		variables{envDatabase + "_CMD": "cat /run/db"},
		`AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD: the fence runs no commands and asks no secrets backend: set AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, or database in the configuration`,
	},
	"a reference without end": {
		variables{envSecret: "$LOOP", "LOOP": "x$LOOP"},
		`AIRFLOW__API_AUTH__JWT_SECRET: too many nested $ references: write the value out, or set token secret in the configuration`,
	},
	"all at once": {
		variables{envMultiTeam: "2", envLeeway: "-"},
		`AIRFLOW__CORE__MULTI_TEAM: invalid boolean "2": must be true or false, or set multi_team in the configuration` + "\n" +
			`AIRFLOW__API_AUTH__JWT_LEEWAY: invalid duration "-": must be a whole number of seconds, or set token leeway in the configuration`,
	},
}

// Each is told in a line that names the variable, what is wrong and the fix.
func TestEnvironment_InvalidValuesAreErrors(t *testing.T) {
	t.Parallel()
	for name, tc := range wrongEnvironments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := new(config.Config).FillFrom(tc.env.airflow(t))
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestEnvironment_VariantsWithoutEffectAreIgnored(t *testing.T) {
	t.Parallel()
	variants := variables{envSecret + "_CMD": "cat", envDatabase + "_SECRET": "path", envLeeway + "_CMD": "echo"}
	set := full()
	if _, err := set.FillFrom(variants.airflow(t)); err != nil {
		t.Errorf("the configuration has it all: %v", err)
	}
	plain := variables{envSecret: "s", envSecret + "_CMD": "cat", envJWKS + "_CMD": "cat"}
	c := config.Config{Token: config.Token{JWKS: "/mine"}}
	if _, err := c.FillFrom(plain.airflow(t)); err != nil {
		t.Errorf("the configuration has a key: %v", err)
	}
	c = config.Config{}
	delete(plain, envJWKS+"_CMD")
	if _, err := c.FillFrom(plain.airflow(t)); err != nil || c.Token.Secret != "s" {
		t.Errorf("the plain variable is set beside its variant: %v, %v", c.Token.Secret, err)
	}
}

func TestUnreadableKey_IsAnError(t *testing.T) {
	t.Parallel()
	c := config.Config{}
	_, err := c.FillFrom(variables{envJWKS + "_CMD": "cat", envSecret: "s3cret"}.airflow(t))
	if err == nil || !strings.Contains(err.Error(), envJWKS+"_CMD") || c.Token.Secret != "" {
		t.Errorf("got %v, secret taken %v", err, c.Token.Secret != "")
	}
}
