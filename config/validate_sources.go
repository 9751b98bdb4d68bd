package config

import (
	"slices"
	"strings"
	"time"
)

var (
	symmetric  = []string{"HS256", "HS384", "HS512"}
	asymmetric = []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
)

func (p *problems) token(t Token) {
	switch {
	case t.JWKS == "" && t.PublicKey == "" && t.Secret == "" && t.SecretFile == "":
		p.addf("no token key configured: set token secret (AIRFLOW__API_AUTH__JWT_SECRET), " +
			"token public_key (AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH) or " +
			"token jwks (AIRFLOW__API_AUTH__TRUSTED_JWKS_URL), as in Airflow's api-server")
	case t.Secret != "" && t.SecretFile != "":
		p.addf("token secret and token secret_file are mutually exclusive")
	case t.Secret != "" && strings.TrimSpace(t.Secret) == "":
		p.addf("token secret must not be only whitespace")
	}
	p.algorithms(t)
	p.names("token audience", t.Audience)
	if len(t.Audience) == 0 {
		p.addf("token audience must not be empty")
	}
	p.names("token issuer", t.Issuer)
	switch {
	case t.Leeway == nil:
		p.addf("token leeway must not be empty")
	case *t.Leeway < 0 || time.Duration(*t.Leeway) > maxLeeway:
		p.addf("invalid token leeway %v: must be from 0s to %v", time.Duration(*t.Leeway), maxLeeway)
	}
}

func (p *problems) algorithms(t Token) {
	keys, known := "a secret", symmetric
	if t.asymmetric() {
		keys, known = "public keys", asymmetric
	} else if len(t.Algorithms) == 0 {
		p.addf("token algorithms must not be empty")
	}
	for _, name := range t.Algorithms {
		if !slices.Contains(known, name) {
			p.addf("invalid token algorithms %q: must be %s with %s", name, orList(known), keys)
		}
	}
}

func (p *problems) names(option string, names []string) {
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			p.addf("invalid %s %q: must be a name", option, name)
		}
	}
}

func (p *problems) source(c Config) {
	switch lookup := c.Lookup.URL != ""; {
	case lookup && c.Database != "":
		p.addf("database and lookup are mutually exclusive: the lookup service has its own database")
	case lookup && c.OwnershipFile != "":
		p.addf("ownership_file and lookup are mutually exclusive: the lookup service has its own ownership file")
	case !lookup && c.Database == "" && c.OwnershipFile == "":
		p.addf("no ownership source configured: set database (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN), lookup or ownership_file")
	}
}

func (p *problems) lookup(l Lookup) {
	if l.URL == "" {
		if l.Token != "" || l.CA != "" || l.TLSClient != nil {
			p.addf("lookup has options but no URL: set it to the lookup service's, such as https://lookup:8082")
		}
		return
	}
	p.within("lookup timeout", l.Timeout, maxTimeout)
	if l.TLSClient != nil && (l.TLSClient.Cert == "" || l.TLSClient.Key == "") {
		p.addf("lookup tls_client must name two files: the certificate and its key")
	}
	if plain := strings.HasPrefix(strings.ToLower(l.URL), "http://"); plain && (l.CA != "" || l.TLSClient != nil) {
		p.addf("lookup ca and lookup tls_client need an https URL")
	}
}

func (p *problems) cacheKey(c Config) {
	if c.Redis != "" && c.Token.asymmetric() && c.Cache.Key == "" {
		p.addf("cache key is required with redis and public keys: create one with `openssl rand -base64 32`")
	}
}
