package config

import (
	"errors"
	"fmt"
	"slices"
)

// Replace puts replace's result in place of every string that may hold a
// placeholder such as {env.NAME} or {file./path}: secrets, URLs, files, names
// of audiences and issuers. replace gets the option as a user writes it
// ("token secret") and its value as set; it is not called for what is not set.
//
// An error, and a result that is empty, is an error that names the option: what
// someone meant to set never turns into what is not set. The error carries
// neither value nor replace's own text, because either may show a part of a
// secret. What c shared with a copy of it, it no longer does.
func (c *Config) Replace(replace func(option, value string) (string, error)) error {
	c.Token.Audience = slices.Clone(c.Token.Audience)
	c.Token.Issuer = slices.Clone(c.Token.Issuer)
	if c.Lookup.TLSClient != nil {
		pair := *c.Lookup.TLSClient
		c.Lookup.TLSClient = &pair
	}
	var errs []error
	for _, p := range c.replaceable() {
		if *p.value == "" {
			continue
		}
		replaced, err := replace(p.option, *p.value)
		if err != nil || replaced == "" {
			errs = append(errs, fmt.Errorf(
				`%s: a placeholder in it is unknown or empty: set what it names, or write \{ for a brace that stands for itself`,
				p.option))
			continue
		}
		*p.value = replaced
	}
	return errors.Join(errs...)
}

type setting struct {
	option string
	value  *string
}

func (c *Config) replaceable() []setting {
	settings := []setting{
		{"token jwks", &c.Token.JWKS},
		{"token public_key", &c.Token.PublicKey},
		{"token secret", &c.Token.Secret},
		{"token secret_file", &c.Token.SecretFile},
		{"database", &c.Database},
		{"ownership_file", &c.OwnershipFile},
		{"lookup", &c.Lookup.URL},
		{"lookup token", &c.Lookup.Token},
		{"lookup ca", &c.Lookup.CA},
		{"redis", &c.Redis},
		{"cache key", &c.Cache.Key},
		{"cache deployment", &c.Cache.Deployment},
	}
	for i := range c.Token.Audience {
		settings = append(settings, setting{"token audience", &c.Token.Audience[i]})
	}
	for i := range c.Token.Issuer {
		settings = append(settings, setting{"token issuer", &c.Token.Issuer[i]})
	}
	if pair := c.Lookup.TLSClient; pair != nil {
		settings = append(settings, setting{"lookup tls_client", &pair.Cert}, setting{"lookup tls_client", &pair.Key})
	}
	return settings
}
