package config

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	symmetric  = []string{"HS256", "HS384", "HS512"}
	asymmetric = []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
	redisSchemes = []string{
		"redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster",
	}
	dialects = []string{"postgresql", "postgres", "mysql", "mariadb", "sqlite"}
)

func (p *problems) token(t Token) {
	switch {
	case t.JWKS == "" && t.PublicKey == "" && t.Secret == "" && t.SecretFile == "":
		p.addf("token", "no key to verify the tokens of tasks with: set token secret or AIRFLOW__API_AUTH__JWT_SECRET, "+
			"token public_key or AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH, "+
			"token jwks or AIRFLOW__API_AUTH__TRUSTED_JWKS_URL, as upstream has it")
	case t.Secret != "" && t.SecretFile != "":
		p.addf("token secret", "set beside token secret_file: leave one of them out")
	case t.Secret != "" && strings.TrimSpace(t.Secret) == "":
		p.addf("token secret", "only blanks: write the secret that Airflow signs with")
	}
	if strings.Contains(t.JWKS, "://") && httpURL(t.JWKS) == nil && !p.bareIPv6("token jwks", t.JWKS) {
		p.addf("token jwks", "no http or https URL with a host: write one, or a file without a scheme")
	}
	p.algorithms(t)
	p.names("token audience", t.Audience)
	if len(t.Audience) == 0 {
		p.addf("token audience", "none: name one")
	}
	p.names("token issuer", t.Issuer)
	switch {
	case t.Leeway == nil:
		p.addf("token leeway", "not set: write a time from 0s to %v", maxLeeway)
	case *t.Leeway < 0 || time.Duration(*t.Leeway) > maxLeeway:
		p.addf("token leeway", "%v is not from 0s to %v: write a time that is", time.Duration(*t.Leeway), maxLeeway)
	}
}

func (p *problems) algorithms(t Token) {
	keys, known, others := "a secret", symmetric, asymmetric
	if t.asymmetric() {
		keys, known, others = "public keys", asymmetric, symmetric
	} else if len(t.Algorithms) == 0 {
		p.addf("token algorithms", "none: name one")
	}
	for _, name := range t.Algorithms {
		switch {
		case slices.Contains(known, name):
		case slices.Contains(others, name):
			p.addf("token algorithms", "%s does not go with %s: write %s", name, keys, strings.Join(known, ", "))
		default:
			p.addf("token algorithms", "%q is not known: write %s", name, strings.Join(known, ", "))
		}
	}
}

func (p *problems) names(option string, names []string) {
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			p.addf(option, "%q is no name: write one, or leave it out", name)
		}
	}
}

func (p *problems) source(c Config) {
	switch lookup := c.Lookup.URL != ""; {
	case lookup && c.Database != "":
		p.addf("database", "set beside lookup, which would answer in its place: leave one of them out")
	case lookup && c.OwnershipFile != "":
		p.addf("ownership_file", "set beside lookup, which reads its own: give the file to the service, or leave one of them out")
	case !lookup && c.Database == "" && c.OwnershipFile == "":
		p.addf("database", "nobody to ask who owns what: set database or AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, lookup, or ownership_file")
	}
	if c.Database == "" {
		return
	}
	dialect, _, _ := strings.Cut(scheme(c.Database), "+")
	if !slices.Contains(dialects, dialect) {
		p.addf("database", "no URL of a database that Airflow runs on: write postgresql://, mysql:// or sqlite://, as in Airflow's sql_alchemy_conn")
	}
}

func (p *problems) lookup(l Lookup) {
	if l.URL == "" {
		if l.Token != "" || l.CA != "" || l.TLSClient != nil {
			p.addf("lookup", "it has options but no URL: write http:// or https:// and a host")
		}
		return
	}
	p.within("lookup timeout", l.Timeout, maxTimeout, "and the Task SDK gives up after 5s")
	p.bearer(l.Token)
	if l.TLSClient != nil && (l.TLSClient.Cert == "" || l.TLSClient.Key == "") {
		p.addf("lookup tls_client", "only half of it is set: write the file of the certificate and the file of its key")
	}
	u := httpURL(l.URL)
	switch {
	case p.bareIPv6("lookup", l.URL):
		return
	case u == nil:
		p.addf("lookup", "no http or https URL with a host: write one")
		return
	case u.User != nil:
		p.addf("lookup", "its URL holds a user: leave it out, and set lookup token")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		p.addf("lookup", "its URL holds a query or a fragment: leave it out")
	}
	if u.Scheme == "http" && (l.CA != "" || l.TLSClient != nil) {
		p.addf("lookup", "ca and tls_client do nothing over http: write https, or leave them out")
	}
}

// httpURL parses an http or https URL with a host; nil if raw is none. Why it is
// none is not told, because url.Parse's errors quote what may be a password.
func httpURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil
	}
	return u
}

// visible is what a bearer token may be made of (RFC 9110, section 5.5, less
// blanks).
var visible = regexp.MustCompile(`^[!-~]*$`)

func (p *problems) bearer(token string) {
	if !visible.MatchString(token) {
		p.addf("lookup token", "it holds a blank, a line break or a letter beyond ASCII: write it without")
	}
}

func (p *problems) redis(c Config) {
	if c.Redis == "" {
		return
	}
	_, rest, _ := strings.Cut(c.Redis, "://")
	if !slices.Contains(redisSchemes, scheme(c.Redis)) || rest == "" {
		p.addf("redis", "no Redis URL: write %s:// and a host or a socket", strings.Join(redisSchemes, "://, "))
	}
	if c.Token.asymmetric() && c.Cache.Key == "" {
		p.addf("cache key", "not set: with redis and public keys there is no secret to seal entries with, "+
			"so make one with `openssl rand -base64 32`")
	}
}

// bareIPv6 reports whether one of a URL's hosts is an IPv6 address without brackets,
// and adds that as a problem.
func (p *problems) bareIPv6(option, raw string) bool {
	bare := HasBareIPv6(raw)
	if bare {
		p.addf(option, "an IPv6 address needs brackets: write it as [::1], or [::1]:port")
	}
	return bare
}

// HasBareIPv6 reports whether one of the hosts in an address, or in a URL, is an IPv6
// address without brackets, in which nothing tells a port from the last group. raw
// need not be well-formed.
func HasBareIPv6(raw string) bool {
	if _, behind, ok := strings.Cut(raw, "://"); ok {
		raw = behind
	}
	if end := strings.IndexAny(raw, "/?#"); end >= 0 {
		raw = raw[:end]
	}
	raw = raw[strings.LastIndexByte(raw, '@')+1:]
	return slices.ContainsFunc(strings.Split(raw, ","), func(host string) bool {
		if strings.Count(host, ":") < 2 {
			return false
		}
		_, whole := netip.ParseAddr(host)
		_, beforePort := netip.ParseAddr(host[:strings.LastIndexByte(host, ':')])
		return whole == nil || beforePort == nil
	})
}

var schemes = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://`)

// scheme returns what stands before ://, "" if that is no scheme.
func scheme(raw string) string {
	if found := schemes.FindStringSubmatch(raw); found != nil {
		return found[1]
	}
	return ""
}
