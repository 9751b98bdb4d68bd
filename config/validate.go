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

// The bounds that Validate holds values to.
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

// Validate tells everything that is wrong with c, which must have its defaults:
// a switch that is not set is wrong too. Each problem is a line of its own that
// names the option as a Caddyfile has it, what is wrong, and the mend; none
// shows a secret, a password or the query of a URL. Files are not looked at.
func (c Config) Validate() error {
	p := new(problems)
	p.oneOf("mode", c.Mode, Enforce, Audit)
	p.basePath(c.BasePath)
	p.oneOf("multi_team", c.MultiTeam, On, Off)
	p.token(c.Token)
	p.source(c)
	p.lookup(c.Lookup)
	p.redis(c)
	p.cache(c.Cache)
	p.rules(c.Rules)
	p.oneOf("on_unavailable", c.OnUnavailable, Retry, Deny)
	return errors.Join(p.errs...)
}

type problems struct{ errs []error }

func (p *problems) addf(option, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf(option+": "+format, args...))
}

func (p *problems) oneOf(option, value string, words ...string) {
	if slices.Contains(words, value) {
		return
	}
	last := len(words) - 1
	p.addf(option, "%q is not a word it takes: write %s or %s", value, strings.Join(words[:last], ", "), words[last])
}

// within holds a time to (0, longest]; why ends the sentence.
func (p *problems) within(option string, value caddy.Duration, longest time.Duration, why string) {
	d := time.Duration(value)
	switch {
	case d <= 0:
		p.addf(option, "%v is no time: write one above 0s and up to %v", d, longest)
	case d > longest:
		p.addf(option, "%v is more than %v, %s: write %v or less", d, longest, why, longest)
	}
}

func (p *problems) rules(r Rules) {
	groups := []struct{ name, value string }{
		{"rules variables", r.Variables},
		{"rules connections", r.Connections},
		{"rules xcoms", r.XComs},
		{"rules dags", r.Dags},
		{"rules assets", r.Assets},
	}
	for _, group := range groups {
		p.oneOf(group.name, group.value, Enforce, Audit, Off)
	}
	p.oneOf("rules xcom_writes", r.XComWrites, TaskInstance, Task, Dag, Off)
	p.oneOf("rules global_writes", r.GlobalWrites, Allow, Deny)
	p.oneOf("rules teamless_tasks", r.TeamlessTasks, Deny, Allow)
	p.oneOf("rules unknown_routes", r.UnknownRoutes, Deny, UnsafeAllow)
	p.oneOf("rules documentation", r.Documentation, Deny, Allow)
}

func (p *problems) cache(c Cache) {
	if c.Size <= 0 || c.Size > maxCacheSize {
		p.addf("cache size", "%d is not from 1 to %d: write a number of entries that is", c.Size, maxCacheSize)
	}
	p.within("cache ttl", c.TTL, maxTTL, "the longest that a changed owner may go unnoticed")
	p.within("cache task_ttl", c.TaskTTL, maxTaskTTL, "the longest that a task's identity is kept")
	if c.Key != "" && len(c.Key) < minKeyLength {
		p.addf("cache key", "shorter than %d characters: make one with `openssl rand -base64 32`", minKeyLength)
	}
	if err := CheckDeployment(c.Deployment); err != nil {
		p.addf("cache deployment", "%w", err)
	}
}

var deployments = regexp.MustCompile(`^[A-Za-z0-9._-]{0,64}$`)

// CheckDeployment returns an error if a deployment can't have the name. The empty
// name is one too.
func CheckDeployment(name string) error {
	if !deployments.MatchString(name) {
		return fmt.Errorf("invalid name %.80q: must be up to 64 letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// segment is one step of a path that no two parsers read differently: the
// characters of RFC 3986's segment, percent escapes left out.
var segment = regexp.MustCompile(`^[A-Za-z0-9._~!$&'()*+,;=:@-]+$`)

func (p *problems) basePath(path string) {
	const mend = "write the path where upstream mounts the Execution API, such as /execution"
	rest, absolute := strings.CutPrefix(path, "/")
	switch {
	case !absolute:
		p.addf("base_path", "%q does not start with a slash: %s", path, mend)
		return
	case rest == "":
		p.addf("base_path", "the fence can't stand in front of everything: %s", mend)
		return
	case strings.HasSuffix(rest, "/"):
		p.addf("base_path", "%q ends in a slash: leave it out", path)
		return
	}
	for step := range strings.SplitSeq(rest, "/") {
		if step == "" || step == "." || step == ".." || !segment.MatchString(step) {
			p.addf("base_path", "%q holds %q, which is no plain step of a path: %s", path, step, mend)
		}
	}
}
