package config

import (
	"time"

	"github.com/caddyserver/caddy/v2"
)

// defaultBasePath is where Airflow's api-server mounts the Execution API
// (api_fastapi/app.py).
const defaultBasePath = "/execution"

// DefaultAudience is who Airflow's task tokens are for ([execution_api]
// jwt_audience).
const DefaultAudience = "urn:airflow.apache.org:task"

// WithDefaults returns c with a value for everything that has a default and is
// not set. It changes nothing that c points to.
func (c Config) WithDefaults() Config {
	orElse(&c.Mode, Enforce)
	orElse(&c.BasePath, defaultBasePath)
	if c.MultiTeam == "" {
		c.MultiTeam, c.MultiTeamAssumed = On, true
	}
	orElse(&c.OnUnavailable, Retry)

	if len(c.Token.Algorithms) == 0 && !c.Token.asymmetric() {
		c.Token.Algorithms = []string{"HS512"}
	}
	if len(c.Token.Audience) == 0 {
		c.Token.Audience = []string{DefaultAudience}
	}
	if c.Token.Leeway == nil {
		leeway := caddy.Duration(10 * time.Second)
		c.Token.Leeway = &leeway
	}

	orElse(&c.Lookup.Timeout, caddy.Duration(2*time.Second))
	orElse(&c.Cache.Size, 100_000)
	orElse(&c.Cache.TTL, caddy.Duration(5*time.Second))
	orElse(&c.Cache.TaskTTL, caddy.Duration(5*time.Minute))

	orElse(&c.Rules.Variables, Enforce)
	orElse(&c.Rules.Connections, Enforce)
	orElse(&c.Rules.XComs, Enforce)
	orElse(&c.Rules.Dags, Enforce)
	orElse(&c.Rules.Assets, Enforce)
	orElse(&c.Rules.XComWrites, TaskInstance)
	orElse(&c.Rules.GlobalWrites, Allow)
	orElse(&c.Rules.TeamlessTasks, Deny)
	orElse(&c.Rules.UnknownRoutes, Deny)
	orElse(&c.Rules.Documentation, Deny)
	return c
}

// orElse fills a field that is not set.
func orElse[T comparable](field *T, value T) {
	var unset T
	if *field == unset {
		*field = value
	}
}

// asymmetric reports whether tokens are verified with public keys, which win over
// a secret.
func (t Token) asymmetric() bool { return t.JWKS != "" || t.PublicKey != "" }
