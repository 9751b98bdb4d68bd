package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// The bounds of values.
const (
	maxCacheSize = 10_000_000
	maxTTL       = time.Minute
	maxTaskTTL   = time.Hour
	maxLeeway    = 5 * time.Minute
	// The Task SDK gives up after 5 s.
	maxTimeout = 4 * time.Second
	// A shorter key can be guessed by who reads what it seals.
	minKeyLength = 16
)

// Validate returns everything that is wrong with c, which must have its defaults:
// an empty switch is wrong too. Each problem is a line of its own that names the
// option as a Caddyfile has it, what is wrong, and the fix; none shows a secret.
// URLs are checked by setup.checkURLs, with the packages that parse them.
func (c Config) Validate() error {
	p := new(problems)
	p.oneOf("mode", c.Mode, Enforce, Audit)
	p.basePath(c.BasePath)
	p.oneOf("multi_team", c.MultiTeam, On, Off)
	p.token(c.Token)
	p.source(c)
	p.lookup(c.Lookup)
	p.cacheKey(c)
	p.cache(c.Cache)
	p.rules(c.Rules)
	p.oneOf("on_unavailable", c.OnUnavailable, Retry, Deny)
	if c.LogAllowed < 0 || c.LogAllowed > 1 {
		p.addf("invalid log_allowed %v: must be a number from 0 to 1, such as 0.01", c.LogAllowed)
	}
	return errors.Join(p.errs...)
}

type problems struct{ errs []error }

func (p *problems) addf(format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(format, args...))
}

func (p *problems) oneOf(option, value string, words ...string) {
	if slices.Contains(words, value) {
		return
	}
	p.addf("invalid %s %q: must be %s", option, value, orList(words))
}

// orList joins words as in "enforce, audit or off".
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (p *problems) within(option string, value caddy.Duration, longest time.Duration) {
	if d := time.Duration(value); d <= 0 || d > longest {
		p.addf("invalid %s %v: must be a positive duration of at most %v", option, d, longest)
	}
}

func (p *problems) rules(r Rules) {
	for _, group := range r.Groups() {
		p.oneOf("rules "+group.Name, group.Mode, Enforce, Audit, Off)
	}
	p.oneOf("rules xcom_writes", r.XComWrites, TaskInstance, Task, Dag, Off)
	p.oneOf("rules global_writes", r.GlobalWrites, Allow, Deny)
	p.oneOf("rules teamless_tasks", r.TeamlessTasks, Deny, Allow)
	p.oneOf("rules unknown_routes", r.UnknownRoutes, Deny, UnsafeAllow)
	p.oneOf("rules documentation", r.Documentation, Deny, Allow)
}

func (p *problems) cache(c Cache) {
	if c.Size <= 0 || c.Size > maxCacheSize {
		p.addf("invalid cache size %d: must be from 1 to %d", c.Size, maxCacheSize)
	}
	p.within("cache ttl", c.TTL, maxTTL)
	p.within("cache task_ttl", c.TaskTTL, maxTaskTTL)
	if c.Key != "" && len(c.Key) < minKeyLength {
		p.addf("cache key must have at least %d characters: create one with `openssl rand -base64 32`", minKeyLength)
	}
	if err := CheckDeployment(c.Deployment); err != nil {
		p.addf("cache deployment: %w", err)
	}
}

var deployments = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// CheckDeployment returns an error if a deployment can't have the name. The empty
// name is valid.
func CheckDeployment(name string) error {
	if !deployments.MatchString(name) {
		return fmt.Errorf("invalid name %.80q: must be up to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// segment is a segment of a path (RFC 3986), without percent escapes, which two
// parsers may read differently.
var segment = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@-]+$`)

func (p *problems) basePath(path string) {
	const fix = "must be the path where upstream mounts the Execution API, such as /execution"
	rest, absolute := strings.CutPrefix(path, "/")
	switch {
	case !absolute, rest == "":
		p.addf("invalid base_path %q: %s", path, fix)
		return
	case strings.HasSuffix(rest, "/"):
		p.addf("invalid base_path %q: must not end with a slash", path)
		return
	}
	for step := range strings.SplitSeq(rest, "/") {
		if step == "." || step == ".." || !segment.MatchString(step) {
			p.addf("invalid base_path %q: segment %q is not allowed; %s", path, step, fix)
		}
	}
}
