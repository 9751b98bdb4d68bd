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
	var (
		errs      []error
		templates []template
	)
	for _, p := range c.replaceable() {
		if *p.value == "" {
			continue
		}
		replaced, err := replace(p.option, *p.value)
		if err != nil || replaced == "" {
			errs = append(errs, errPlaceholder(p.option))
			continue
		}
		if p.followed && replaced != *p.value {
			templates = append(templates, template{p.option, *p.value, replace})
		}
		*p.value = replaced
	}
	c.templates = templates
	return errors.Join(errs...)
}

func errPlaceholder(option string) error {
	return fmt.Errorf(`%s: unknown or empty placeholder: set what it names, or write \{ for a literal brace`, option)
}

// template is the text of an option that [Config.Replace] found placeholders in.
type template struct {
	option, text string
	replace      func(option, value string) (string, error)
}

// Template returns the text of a followed option as it was before
// [Config.Replace]; empty where it holds no placeholder.
func (c *Config) Template(option string) string {
	for _, t := range c.templates {
		if t.option == option {
			return t.text
		}
	}
	return ""
}

// Follow returns what returns the value of an option as it is now: its
// placeholders are replaced anew, because a file that one names may change, as a
// secret that is rotated does. Followed are "database", "lookup", "lookup token"
// and "redis".
func (c *Config) Follow(option string) func() (string, error) {
	for _, t := range c.templates {
		if t.option == option {
			return func() (string, error) {
				replaced, err := t.replace(option, t.text)
				if err != nil || replaced == "" {
					return "", errPlaceholder(option)
				}
				return replaced, nil
			}
		}
	}
	value := ""
	for _, s := range c.replaceable() {
		if s.option == option {
			value = *s.value
		}
	}
	return func() (string, error) { return value, nil }
}

type setting struct {
	option string
	value  *string
	// followed: placeholders are replaced anew while the fence runs.
	followed bool
}

func (c *Config) replaceable() []setting {
	settings := []setting{
		{option: "token jwks", value: &c.Token.JWKS},
		{option: "token public_key", value: &c.Token.PublicKey},
		{option: "token secret", value: &c.Token.Secret},
		{option: "token secret_file", value: &c.Token.SecretFile},
		{option: "database", value: &c.Database, followed: true},
		{option: "ownership_file", value: &c.OwnershipFile},
		{option: "lookup", value: &c.Lookup.URL, followed: true},
		{option: "lookup token", value: &c.Lookup.Token, followed: true},
		{option: "lookup ca", value: &c.Lookup.CA},
		{option: "redis", value: &c.Redis, followed: true},
		{option: "cache key", value: &c.Cache.Key},
		{option: "cache deployment", value: &c.Cache.Deployment},
	}
	for i := range c.Token.Audience {
		settings = append(settings, setting{option: "token audience", value: &c.Token.Audience[i]})
	}
	for i := range c.Token.Issuer {
		settings = append(settings, setting{option: "token issuer", value: &c.Token.Issuer[i]})
	}
	if pair := c.Lookup.TLSClient; pair != nil {
		settings = append(settings, setting{option: "lookup tls_client", value: &pair.Cert}, setting{option: "lookup tls_client", value: &pair.Key})
	}
	return settings
}
