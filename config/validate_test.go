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

func TestValid(t *testing.T) {
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
		"every other word": func(c *config.Config) {
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

const basePathMend = "write the path where upstream mounts the Execution API, such as /execution"

var wrong = map[string]struct {
	change edit
	want   string
}{
	"mode":       {func(c *c) { c.Mode = "off" }, `mode: "off" is not a word it takes: write enforce or audit`},
	"case":       {func(c *c) { c.Mode = "Enforce" }, `mode: "Enforce" is not a word it takes: write enforce or audit`},
	"multi_team": {func(c *c) { c.MultiTeam = "true" }, `multi_team: "true" is not a word it takes: write on or off`},
	"on_unavailable": {
		func(c *c) { c.OnUnavailable = "allow" }, `on_unavailable: "allow" is not a word it takes: write retry or deny`,
	},
	"group": {
		func(c *c) { c.Rules.Variables = "on" }, `rules variables: "on" is not a word it takes: write enforce, audit or off`,
	},
	"xcom_writes": {
		func(c *c) { c.Rules.XComWrites = "run" },
		`rules xcom_writes: "run" is not a word it takes: write task_instance, task, dag or off`,
	},
	"unknown_routes": {
		func(c *c) { c.Rules.UnknownRoutes = "allow" },
		`rules unknown_routes: "allow" is not a word it takes: write deny or unsafe_allow`,
	},
	"documentation": {
		func(c *c) { c.Rules.Documentation = "off" }, `rules documentation: "off" is not a word it takes: write deny or allow`,
	},
	"a switch that is not set": {func(c *c) { c.Mode = "" }, `mode: "" is not a word it takes: write enforce or audit`},

	"relative base path": {
		func(c *c) { c.BasePath = "execution" }, `base_path: "execution" does not start with a slash: ` + basePathMend,
	},
	"root": {func(c *c) { c.BasePath = "/" }, `base_path: the fence can't stand in front of everything: ` + basePathMend},
	"trailing slash": {
		func(c *c) { c.BasePath = "/execution/" }, `base_path: "/execution/" ends in a slash: leave it out`,
	},
	"empty segment": {
		func(c *c) { c.BasePath = "/a//b" }, `base_path: "/a//b" holds "", which is no plain step of a path: ` + basePathMend,
	},
	"dots": {
		func(c *c) { c.BasePath = "/a/../b" }, `base_path: "/a/../b" holds "..", which is no plain step of a path: ` + basePathMend,
	},
	"escape": {
		func(c *c) { c.BasePath = "/a%2fb" }, `base_path: "/a%2fb" holds "a%2fb", which is no plain step of a path: ` + basePathMend,
	},
	"query": {
		func(c *c) { c.BasePath = "/a?b" }, `base_path: "/a?b" holds "a?b", which is no plain step of a path: ` + basePathMend,
	},
	"control byte": {
		func(c *c) { c.BasePath = "/a\n" }, `base_path: "/a\n" holds "a\n", which is no plain step of a path: ` + basePathMend,
	},
	"placeholder": {
		func(c *c) { c.BasePath = "/{env.X}" },
		`base_path: "/{env.X}" holds "{env.X}", which is no plain step of a path: ` + basePathMend,
	},

	"no key": {
		func(c *c) { c.Token.Secret = "" },
		`token: no key to verify the tokens of tasks with: set token secret or AIRFLOW__API_AUTH__JWT_SECRET, ` +
			`token public_key or AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH, ` +
			`token jwks or AIRFLOW__API_AUTH__TRUSTED_JWKS_URL, as upstream has it`,
	},
	"two secrets": {
		func(c *c) { c.Token.SecretFile = "/s" }, `token secret: set beside token secret_file: leave one of them out`,
	},
	"blank secret": {
		func(c *c) { c.Token.Secret = " \n" }, `token secret: only blanks: write the secret that Airflow signs with`,
	},
	"jwks without a host": {
		func(c *c) { c.Token.JWKS, c.Token.Algorithms = "https:///jwks.json", nil },
		`token jwks: no http or https URL with a host: write one, or a file without a scheme`,
	},
	"jwks with another scheme": {
		func(c *c) { c.Token.JWKS, c.Token.Algorithms = "file:///jwks.json", nil },
		`token jwks: no http or https URL with a host: write one, or a file without a scheme`,
	},
	"unknown algorithm": {
		func(c *c) { c.Token.Algorithms = []string{"none"} },
		`token algorithms: "none" is not known: write HS256, HS384, HS512`,
	},
	"a secret with public keys' algorithm": {
		func(c *c) { c.Token.Algorithms = []string{"HS512", "RS256"} },
		`token algorithms: RS256 does not go with a secret: write HS256, HS384, HS512`,
	},
	"public keys with a secret's algorithm": {
		func(c *c) { c.Token.JWKS = "jwks.json" },
		`token algorithms: HS512 does not go with public keys: write ` +
			`RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA`,
	},
	"no algorithm":   {func(c *c) { c.Token.Algorithms = nil }, `token algorithms: none: name one`},
	"no audience":    {func(c *c) { c.Token.Audience = nil }, `token audience: none: name one`},
	"empty audience": {func(c *c) { c.Token.Audience = []string{"a", ""} }, `token audience: "" is no name: write one, or leave it out`},
	"empty issuer":   {func(c *c) { c.Token.Issuer = []string{" "} }, `token issuer: " " is no name: write one, or leave it out`},
	"no leeway set":  {func(c *c) { c.Token.Leeway = nil }, `token leeway: not set: write a time from 0s to 5m0s`},
	"negative leeway": {
		func(c *c) { c.Token.Leeway = duration(-time.Second) }, `token leeway: -1s is not from 0s to 5m0s: write a time that is`,
	},
	"long leeway": {
		func(c *c) { c.Token.Leeway = duration(math.MaxInt64) },
		`token leeway: 2562047h47m16.854775807s is not from 0s to 5m0s: write a time that is`,
	},

	"nobody to ask": {
		func(c *c) { c.Database = "" },
		`database: nobody to ask who owns what: set database or AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, lookup, or ownership_file`,
	},
	"database and lookup": {
		func(c *c) { c.Lookup.URL = "http://lookup" },
		`database: set beside lookup, which would answer in its place: leave one of them out`,
	},
	"ownership file and lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.OwnershipFile = "/owners" },
		`ownership_file: set beside lookup, which reads its own: give the file to the service, or leave one of them out`,
	},
	"another database": {
		func(c *c) { c.Database = "mssql+pyodbc://u:db-password@db" },
		`database: no URL of a database that Airflow runs on: write postgresql://, mysql:// or sqlite://, as in Airflow's sql_alchemy_conn`,
	},
	"no database URL": {
		func(c *c) { c.Database = "u:db-password@db" },
		`database: no URL of a database that Airflow runs on: write postgresql://, mysql:// or sqlite://, as in Airflow's sql_alchemy_conn`,
	},

	"lookup options alone": {
		func(c *c) { c.Lookup.Token = "t" }, `lookup: it has options but no URL: write http:// or https:// and a host`,
	},
	"lookup at an IPv6 address and a port": {
		func(c *c) { *c = withLookup("http://::1:8082") }, `lookup: an IPv6 address needs brackets: write it as [::1], or [::1]:port`,
	},
	"lookup at an IPv6 address": {
		func(c *c) { *c = withLookup("https://2001:db8::7/") }, `lookup: an IPv6 address needs brackets: write it as [::1], or [::1]:port`,
	},
	"lookup without a scheme": {
		func(c *c) { *c = withLookup("lookup:8082") }, `lookup: no http or https URL with a host: write one`,
	},
	"lookup that does not parse": {
		func(c *c) { *c = withLookup("http://u:lookup#password@lookup") }, `lookup: no http or https URL with a host: write one`,
	},
	"lookup with a user": {
		func(c *c) { *c = withLookup("http://u:password@lookup") }, `lookup: its URL holds a user: leave it out, and set lookup token`,
	},
	"lookup with a query": {
		func(c *c) { *c = withLookup("http://lookup?key=password") }, `lookup: its URL holds a query or a fragment: leave it out`,
	},
	"lookup over http with TLS options": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.CA = "/ca" },
		`lookup: ca and tls_client do nothing over http: write https, or leave them out`,
	},
	"lookup token with a line break": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.Token = "password\n" },
		`lookup token: it holds a blank, a line break or a letter beyond ASCII: write it without`,
	},
	"half a key pair": {
		func(c *c) { *c = withLookup("https://lookup"); c.Lookup.TLSClient = &config.KeyPair{Cert: "/c"} },
		`lookup tls_client: only half of it is set: write the file of the certificate and the file of its key`,
	},
	"slow lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.Timeout = caddy.Duration(5 * time.Second) },
		`lookup timeout: 5s is more than 4s, and the Task SDK gives up after 5s: write 4s or less`,
	},
	"no time for lookup": {
		func(c *c) { *c = withLookup("http://lookup"); c.Lookup.Timeout = -1 },
		`lookup timeout: -1ns is no time: write one above 0s and up to 4s`,
	},

	"redis scheme": {
		func(c *c) { c.Redis = "http://:password@cache" },
		`redis: no Redis URL: write redis://, rediss://, unix://, redis-sentinel://, rediss-sentinel://, redis-cluster://, rediss-cluster:// and a host or a socket`,
	},
	"redis without a host": {
		func(c *c) { c.Redis = "redis://" },
		`redis: no Redis URL: write redis://, rediss://, unix://, redis-sentinel://, rediss-sentinel://, redis-cluster://, rediss-cluster:// and a host or a socket`,
	},
	"redis and public keys": {
		func(c *c) { c.Token = config.Token{PublicKey: "/k"}; *c = c.WithDefaults(); c.Redis = "redis://r" },
		"cache key: not set: with redis and public keys there is no secret to seal entries with, so make one with `openssl rand -base64 32`",
	},
	"short key": {
		func(c *c) { c.Cache.Key = "password" }, "cache key: shorter than 16 characters: make one with `openssl rand -base64 32`",
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
	"no size":  {func(c *c) { c.Cache.Size = -1 }, `cache size: -1 is not from 1 to 10000000: write a number of entries that is`},
	"big size": {func(c *c) { c.Cache.Size = 10_000_001 }, `cache size: 10000001 is not from 1 to 10000000: write a number of entries that is`},
	"stale": {
		func(c *c) { c.Cache.TTL = caddy.Duration(2 * time.Minute) },
		`cache ttl: 2m0s is more than 1m0s, the longest that a changed owner may go unnoticed: write 1m0s or less`,
	},
	"stale task": {
		func(c *c) { c.Cache.TaskTTL = caddy.Duration(24 * time.Hour) },
		`cache task_ttl: 24h0m0s is more than 1h0m0s, the longest that a task's identity is kept: write 1h0m0s or less`,
	},
}

// Each is told in a line that names the option, what is wrong and the mend.
func TestWrong(t *testing.T) {
	t.Parallel()
	for name, tc := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := check(t, tc.change)
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(got, "password") {
				t.Errorf("a password is told: %s", got)
			}
		})
	}
}

func TestAllProblemsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	err := config.Config{}.Validate()
	if err == nil {
		t.Fatal("nothing set, not even defaults, is valid")
	}
	for _, option := range []string{
		"mode", "base_path", "multi_team", "token", "token algorithms", "token audience", "token leeway", "database",
		"cache size", "cache ttl", "cache task_ttl", "rules variables", "rules connections", "rules xcoms", "rules dags",
		"rules assets", "rules xcom_writes", "rules global_writes", "rules teamless_tasks", "rules unknown_routes",
		"rules documentation",
		"on_unavailable",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+option+": ") {
			t.Errorf("%s is missing from\n%v", option, err)
		}
	}
}
