// Package setup makes the parts of a fence from its settings: what the handler
// serves with, and what package check and the commands look at.
package setup

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/identity"
	"github.com/dagfence/dagfence/caddymodule/keyring"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/lookup"
	"github.com/dagfence/dagfence/lookup/sqlalchemy"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/rotate"
)

// Complete replaces the placeholders of a configuration, adds what Airflow's own
// configuration and the defaults have, and validates it. environment is
// [os.LookupEnv], or a test's. origins are of what comes from Airflow's own
// configuration.
func Complete(
	c config.Config, environment func(string) (string, bool),
) (complete config.Config, origins config.Origins, err error) {
	if err := c.Replace(ReplacePlaceholders); err != nil {
		return c, nil, err
	}
	airflow, err := config.ReadAirflow(environment)
	if err != nil {
		return c, nil, err
	}
	if origins, err = c.FillFrom(airflow); err != nil {
		return c, nil, err
	}
	c = c.WithDefaults()
	return c, origins, errors.Join(c.Validate(), checkURLs(c))
}

// checkURLs returns what the packages that parse the URLs refuse.
func checkURLs(c config.Config) error {
	var errs []error
	if c.Database != "" {
		if _, err := sqlalchemy.Parse(c.Database); err != nil {
			errs = append(errs, fmt.Errorf("database: %w", err))
		}
	}
	if c.Lookup.URL != "" {
		errs = append(errs, resolver.CheckLookup(c.Lookup.URL, c.Lookup.Token))
	}
	if c.Redis != "" {
		errs = append(errs, redisclient.Check(c.Redis))
	}
	return errors.Join(append(errs, keyring.CheckJWKS(c.Token.JWKS))...)
}

// ReplacePlaceholders replaces Caddy's own placeholders, for [config.Config.Replace].
func ReplacePlaceholders(_, value string) (string, error) {
	return caddy.NewReplacer().ReplaceOrErr(value, true, true)
}

// Policy returns the policy of complete settings.
func Policy(c config.Config) decide.Policy {
	group := func(mode string) decide.Mode {
		switch {
		case mode == config.Off:
			return decide.Off
		case mode == config.Audit, c.Mode == config.Audit:
			return decide.Audit
		}
		return decide.Enforce
	}
	writers := map[string]decide.XComWriter{
		config.TaskInstance: decide.OwnTaskInstance, config.Task: decide.OwnTask,
		config.Dag: decide.OwnDag, config.Off: decide.OwnTeam,
	}
	return decide.Policy{
		Mode:               group(c.Mode),
		Variables:          group(c.Rules.Variables),
		Connections:        group(c.Rules.Connections),
		XComs:              group(c.Rules.XComs),
		Dags:               group(c.Rules.Dags),
		Assets:             group(c.Rules.Assets),
		MultiTeamOff:       c.MultiTeam == config.Off,
		MultiTeamKnown:     !c.MultiTeamAssumed,
		DenyGlobalWrites:   c.Rules.GlobalWrites == config.Deny,
		AllowTeamless:      c.Rules.TeamlessTasks == config.Allow,
		AllowDocumentation: c.Rules.Documentation == config.Allow,
		XComWrites:         writers[c.Rules.XComWrites],
	}
}

// KeyOptions returns where complete settings say that the keys are.
func KeyOptions(t config.Token) keyring.Options {
	return keyring.Options{Secret: t.Secret, SecretFile: t.SecretFile, PublicKey: t.PublicKey, JWKS: t.JWKS}
}

// tokenCacheSize is how many verified tokens are remembered. Each running task
// has one; an entry takes about 400 bytes.
const tokenCacheSize = 100_000

// Verifier returns what verifies tokens as complete settings say, with the
// current keys and a clock.
func Verifier(t config.Token, keys func() *identity.Keys, now func() time.Time) *identity.Verifier {
	return identity.New(identity.Config{
		Algorithms: t.Algorithms, Audience: t.Audience, Issuer: t.Issuer, Leeway: time.Duration(*t.Leeway),
	}, keys, now, tokenCacheSize)
}

// KnowsNoTasks reports whether complete settings name no source that knows a task's
// dag and team, though the rules need them.
func KnowsNoTasks(c config.Config) bool {
	needed := c.MultiTeam == config.On || c.Rules.XComWrites != config.Off
	return needed && c.Database == "" && c.Lookup.URL == ""
}

// OpenSource opens the source of owners that complete settings name. It also
// returns the source's name in metrics, and what closes it.
func OpenSource(c config.Config, logger *slog.Logger) (source resolver.Resolver, name string, closeSource func(), err error) {
	if c.Lookup.URL != "" {
		options := resolver.LookupOptions{
			URL: c.Lookup.URL, Token: c.Lookup.Token, CAFile: c.Lookup.CA, Timeout: time.Duration(c.Lookup.Timeout), Logger: logger,
			Refresh: func() (url, token string, err error) {
				url, errURL := c.Follow("lookup")()
				token, errToken := c.Follow("lookup token")()
				return url, token, errors.Join(errURL, errToken)
			},
		}
		if pair := c.Lookup.TLSClient; pair != nil {
			options.CertFile, options.KeyFile = pair.Cert, pair.Key
		}
		client, err := resolver.NewLookup(options)
		if err != nil {
			return nil, "", nil, err
		}
		return client, resolver.SourceLookup, client.Close, nil
	}
	directory, err := lookup.New(lookup.Options{
		Database: c.Database, Refresh: c.Follow("database"), DatabaseSchema: c.DatabaseSchema,
		OwnershipFile: c.OwnershipFile, Logger: logger,
	})
	if err != nil {
		return nil, "", nil, err
	}
	name = resolver.SourceDatabase
	if c.Database == "" {
		name = resolver.SourceOwnership
	}
	return directory, name, directory.Close, nil
}

// Redis returns the Redis that complete settings name, sealed with a secret: that of
// [SealSecret].
func Redis(c config.Config, secret []byte) resolver.RedisOptions {
	return resolver.RedisOptions{URL: c.Redis, Refresh: c.Follow("redis"), Secret: secret, Deployment: c.Cache.Deployment}
}

// SealSecret returns what entries in Redis are sealed with: the cache key, or else
// the secret of the tokens. It is nil without Redis, and where there is neither.
func SealSecret(c config.Config) ([]byte, error) {
	switch {
	case c.Redis == "":
	case c.Cache.Key != "":
		return []byte(c.Cache.Key), nil
	case c.Token.Secret != "":
		return []byte(c.Token.Secret), nil
	case c.Token.SecretFile != "":
		secret, err := rotate.ReadFile(c.Token.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("token secret_file: %w", err)
		}
		return secret, nil
	}
	return nil, nil
}
