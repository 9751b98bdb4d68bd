package config_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/config"
)

// valid is the least that stands, with its defaults.
func valid() config.Config {
	return config.Config{
		Token:    config.Token{Secret: "s"},
		Database: "postgresql+psycopg2://airflow:db-password@db/airflow",
	}.WithDefaults()
}

type edit = func(*config.Config)

func check(t *testing.T, change edit) string {
	t.Helper()
	c := valid()
	change(&c)
	if err := c.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

func withLookup(url string) config.Config {
	c := valid()
	c.Database, c.Lookup.URL = "", url
	return c
}

func TestValidate_AcceptsValidSettings(t *testing.T) {
	t.Parallel()
	public := func(c *config.Config) { c.Token = config.Token{PublicKey: "/key.pem"}; *c = c.WithDefaults() }
	cases := map[string]edit{
		"the least":               func(*config.Config) {},
		"jwks file":               func(c *config.Config) { public(c); c.Token.JWKS = "jwks.json" },
		"jwks url":                func(c *config.Config) { public(c); c.Token.JWKS = "http://issuer/jwks.json?v=1" },
		"jwks wins over a secret": func(c *config.Config) { c.Token.JWKS, c.Token.Algorithms = "jwks.json", []string{"EdDSA"} },
		"public key":              public,
		"public key and redis":    func(c *config.Config) { public(c); c.Redis, c.Cache.Key = "redis://r", "0123456789abcdef" },
		"secret file and redis": func(c *config.Config) {
			c.Token.Secret, c.Token.SecretFile, c.Redis = "", "/secret", "redis://r"
		},
		"no leeway":              func(c *config.Config) { c.Token.Leeway = duration(0) },
		"most leeway":            func(c *config.Config) { c.Token.Leeway = duration(5 * time.Minute) },
		"deep base path":         func(c *config.Config) { c.BasePath = "/a/b-c/~d/execution" },
		"ownership file alone":   func(c *config.Config) { c.Database, c.OwnershipFile = "", "owners.yaml" },
		"ownership file as well": func(c *config.Config) { c.OwnershipFile = "owners.yaml" },
		"lookup":                 func(c *config.Config) { *c = withLookup("http://[::1]:8082/base") },
		"lookup with all": func(c *config.Config) {
			*c = withLookup("https://lookup")
			c.Lookup.Token, c.Lookup.CA, c.Lookup.TLSClient = "token", "ca", &config.KeyPair{Cert: "c", Key: "k"}
			c.Lookup.Timeout = caddy.Duration(4 * time.Second)
		},
		"mysql":        func(c *config.Config) { c.Database = "mysql+pymysql://u:p@db/airflow" },
		"sqlite":       func(c *config.Config) { c.Database = "sqlite:////airflow.db" },
		"unix socket":  func(c *config.Config) { c.Redis = "unix:///run/redis.sock?db=1" },
		"sentinel":     func(c *config.Config) { c.Redis = "redis-sentinel://a:26379,b:26379/master" },
		"cluster":      func(c *config.Config) { c.Redis = "rediss-cluster://a:6379,b:6379" },
		"most of all":  func(c *config.Config) { c.Cache.Size, c.Cache.TTL = 10_000_000, caddy.Duration(time.Minute) },
		"least of all": func(c *config.Config) { c.Cache.Size, c.Cache.TTL, c.Cache.TaskTTL = 1, 1, 1 },
		"every other value": func(c *config.Config) {
			c.Mode, c.MultiTeam, c.OnUnavailable, c.Rules = "audit", "off", "deny", full().Rules
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := check(t, change); got != "" {
				t.Error(got)
			}
		})
	}
}

type c = config.Config

const basePathFix = "must be the path where upstream mounts the Execution API, such as /execution"

var wrong = map[string]struct {
	change edit
	want   string
}{
	"mode":       {func(c *c) { c.Mode = "off" }, `invalid mode "off": must be enforce or audit`},
	"case":       {func(c *c) { c.Mode = "Enforce" }, `invalid mode "Enforce": must be enforce or audit`},
	"multi_team": {func(c *c) { c.MultiTeam = "true" }, `invalid multi_team "true": must be on or off`},
	"on_unavailable": {
		func(c *c) { c.OnUnavailable = "allow" }, `invalid on_unavailable "allow": must be retry or deny`,
	},
	"group": {
		func(c *c) { c.Rules.Variables = "on" }, `invalid rules variables "on": must be enforce, audit or off`,
	},
	"xcom_writes": {
		func(c *c) { c.Rules.XComWrites = "run" },
		`invalid rules xcom_writes "run": must be task_instance, task, dag or off`,
	},
	"unknown_routes": {
		func(c *c) { c.Rules.UnknownRoutes = "allow" },
		`invalid rules unknown_routes "allow": must be deny or unsafe_allow`,
	},
	"documentation": {
		func(c *c) { c.Rules.Documentation = "off" }, `invalid rules documentation "off": must be deny or allow`,
	},
	"a switch that is not set": {func(c *c) { c.Mode = "" }, `invalid mode "": must be enforce or audit`},

	"relative base path": {
		func(c *c) { c.BasePath = "execution" }, `invalid base_path "execution": ` + basePathFix,
	},
	"root": {func(c *c) { c.BasePath = "/" }, `invalid base_path "/": ` + basePathFix},
	"trailing slash": {
		func(c *c) { c.BasePath = "/execution/" }, `invalid base_path "/execution/": must not end with a slash`,
	},
	"empty segment": {
		func(c *c) { c.BasePath = "/a//b" }, `invalid base_path "/a//b": segment "" is not allowed; ` + basePathFix,
	},
	"dots": {
		func(c *c) { c.BasePath = "/a/../b" }, `invalid base_path "/a/../b": segment ".." is not allowed; ` + basePathFix,
	},
	"escape": {
		func(c *c) { c.BasePath = "/a%2fb" }, `invalid base_path "/a%2fb": segment "a%2fb" is not allowed; ` + basePathFix,
	},
	"query": {
		func(c *c) { c.BasePath = "/a?b" }, `invalid base_path "/a?b": segment "a?b" is not allowed; ` + basePathFix,
	},
	"control byte": {
		func(c *c) { c.BasePath = "/a\n" }, `invalid base_path "/a\n": segment "a\n" is not allowed; ` + basePathFix,
	},
	"placeholder": {
		func(c *c) { c.BasePath = "/{env.X}" },
		`invalid base_path "/{env.X}": segment "{env.X}" is not allowed; ` + basePathFix,
	},

	"no key": {
		func(c *c) { c.Token.Secret = "" },
		`no token key configured: set token secret (AIRFLOW__API_AUTH__JWT_SECRET), ` +
			`token public_key (AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH) or ` +
			`token jwks (AIRFLOW__API_AUTH__TRUSTED_JWKS_URL), as in Airflow's api-server`,
	},
	"two secrets": {
		func(c *c) { c.Token.SecretFile = "/s" }, `token secret and token secret_file are mutually exclusive`,
	},
	"secret of whitespace": {
		func(c *c) { c.Token.Secret = " \n" }, `token secret must not be only whitespace`,
	},
	"unknown algorithm": {
		func(c *c) { c.Token.Algorithms = []string{"none"} },
		`invalid token algorithms "none": must be HS256, HS384 or HS512 with a secret`,
	},
	"a secret with public keys' algorithm": {
		func(c *c) { c.Token.Algorithms = []string{"HS512", "RS256"} },
		`invalid token algorithms "RS256": must be HS256, HS384 or HS512 with a secret`,
	},
	"public keys with a secret's algorithm": {
		func(c *c) { c.Token.JWKS = "jwks.json" },
		`invalid token algorithms "HS512": must be ` +
			`RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA with public keys`,
	},
	"no algorithm":   {func(c *c) { c.Token.Algorithms = nil }, `token algorithms must not be empty`},
	"no audience":    {func(c *c) { c.Token.Audience = nil }, `token audience must not be empty`},
	"empty audience": {func(c *c) { c.Token.Audience = []string{"a", ""} }, `invalid token audience "": must be a name`},
	"empty issuer":   {func(c *c) { c.Token.Issuer = []string{" "} }, `invalid token issuer " ": must be a name`},
	"no leeway set":  {func(c *c) { c.Token.Leeway = nil }, `token leeway must not be empty`},
	"negative leeway": {
		func(c *c) { c.Token.Leeway = duration(-time.Second) }, `invalid token leeway -1s: must be from 0s to 5m0s`,
	},
	"long leeway": {
		func(c *c) { c.Token.Leeway = duration(math.MaxInt64) },
		`invalid token leeway 2562047h47m16.854775807s: must be from 0s to 5m0s`,
	},

	"no ownership source": {
		func(c *c) { c.Database = "" },
		`no ownership source configured: set database (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN), lookup or ownership_file`,
	},
	"database and lookup": {
		func(c *c) { c.Lookup.URL = "http://lookup" },
		`database and lookup are mutually exclusive: the lookup service has its own database`,
	},
	"ownership file and lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.OwnershipFile = "/owners" },
		`ownership_file and lookup are mutually exclusive: the lookup service has its own ownership file`,
	},

	"lookup options alone": {
		func(c *c) { c.Lookup.Token = "t" }, `lookup has options but no URL: set it to the lookup service's, such as https://lookup:8082`,
	},
	"lookup over http with TLS options": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.CA = "/ca" },
		`lookup ca and lookup tls_client need an https URL`,
	},
	"half a key pair": {
		func(c *c) { *c = withLookup("https://lookup"); c.Lookup.TLSClient = &config.KeyPair{Cert: "/c"} },
		`lookup tls_client must name two files: the certificate and its key`,
	},
	"slow lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.Timeout = caddy.Duration(5 * time.Second) },
		`invalid lookup timeout 5s: must be a positive duration of at most 4s`,
	},
	"no time for lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.Timeout = -1 },
		`invalid lookup timeout -1ns: must be a positive duration of at most 4s`,
	},

	"redis and public keys": {
		func(c *c) { c.Token = config.Token{PublicKey: "/k"}; *c = c.WithDefaults(); c.Redis = "redis://r" },
		"cache key is required with redis and public keys: create one with `openssl rand -base64 32`",
	},
	"short key": {
		func(c *c) { c.Cache.Key = "password" }, "cache key must have at least 16 characters: create one with `openssl rand -base64 32`",
	},
	"deployment with a colon": {
		func(c *c) { c.Cache.Deployment = "a:b" },
		`cache deployment: invalid name "a:b": must be up to 64 letters, digits, dots, dashes and underscores`,
	},
	"deployment with a line break": {
		func(c *c) { c.Cache.Deployment = "a\n" },
		`cache deployment: invalid name "a\n": must be up to 64 letters, digits, dots, dashes and underscores`,
	},
	"long deployment": {
		func(c *c) { c.Cache.Deployment = strings.Repeat("d", 65) },
		`cache deployment: invalid name "` + strings.Repeat("d", 65) + `": must be up to 64 letters, digits, dots, dashes and underscores`,
	},
	"negative share": {func(c *c) { c.LogAllowed = -0.1 }, `invalid log_allowed -0.1: must be a number from 0 to 1, such as 0.01`},
	"percentage":     {func(c *c) { c.LogAllowed = 5 }, `invalid log_allowed 5: must be a number from 0 to 1, such as 0.01`},

	"no size":  {func(c *c) { c.Cache.Size = -1 }, `invalid cache size -1: must be from 1 to 10000000`},
	"big size": {func(c *c) { c.Cache.Size = 10_000_001 }, `invalid cache size 10000001: must be from 1 to 10000000`},
	"stale": {
		func(c *c) { c.Cache.TTL = caddy.Duration(2 * time.Minute) },
		`invalid cache ttl 2m0s: must be a positive duration of at most 1m0s`,
	},
	"stale task": {
		func(c *c) { c.Cache.TaskTTL = caddy.Duration(24 * time.Hour) },
		`invalid cache task_ttl 24h0m0s: must be a positive duration of at most 1h0m0s`,
	},
}

func TestValidate_NamesOptionAndFix(t *testing.T) {
	t.Parallel()
	for name, tc := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := check(t, tc.change)
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(got, "password") {
				t.Errorf("the error has a password: %s", got)
			}
		})
	}
}

func TestValidate_ReportsAllProblems(t *testing.T) {
	t.Parallel()
	err := config.Config{}.Validate()
	if err == nil {
		t.Fatal("nothing set, not even defaults, is valid")
	}
	for _, option := range []string{
		"mode", "base_path", "multi_team", "token key", "token algorithms", "token audience", "token leeway", "ownership source",
		"cache size", "cache ttl", "cache task_ttl", "rules variables", "rules connections", "rules xcoms", "rules dags",
		"rules assets", "rules xcom_writes", "rules global_writes", "rules teamless_tasks", "rules unknown_routes",
		"rules documentation",
		"on_unavailable",
	} {
		if !strings.Contains(err.Error(), " "+option+" ") && !strings.Contains("\n"+err.Error(), "\n"+option+" ") {
			t.Errorf("%s is missing from\n%v", option, err)
		}
	}
}
