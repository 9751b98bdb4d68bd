package caddymodule

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/dagfence/dagfence/config"
)

func init() {
	// Not RegisterHandlerDirective, which would take a matcher. Before invoke is
	// before handle, handle_path and route too: the fence guards the whole site.
	httpcaddyfile.RegisterDirective("dagfence", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("dagfence", httpcaddyfile.Before, "invoke")
}

func parseCaddyfile(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	handler := new(Handler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Every option is
// described at its field in [config.Config]. Syntax:
//
//	dagfence {
//		mode enforce|audit
//		base_path <path>
//		multi_team on|off
//		token {
//			jwks <url or file>
//			public_key <pem file>
//			secret <secret>
//			secret_file <file>
//			algorithms <name...>
//			audience <name...>
//			issuer <name...>
//			leeway <duration>
//		}
//		database <sqlalchemy url>
//		database_schema <schema>
//		ownership_file <file>
//		lookup <url> {
//			token <secret>
//			ca <file>
//			tls_client <cert file> <key file>
//			timeout <duration>
//		}
//		redis <url>
//		cache {
//			size <entries>
//			ttl <duration>
//			task_ttl <duration>
//			key <secret>
//			deployment <name>
//		}
//		rules {
//			variables|connections|xcoms|dags|assets enforce|audit|off
//			xcom_writes task_instance|task|dag|off
//			global_writes allow|deny
//			teamless_tasks deny|allow
//			unknown_routes deny|unsafe_allow
//			documentation deny|allow
//		}
//		on_unavailable retry|deny
//		log_allowed <share>
//	}
//
// It takes no matcher. Only the form is checked here; values are when the
// configuration is loaded, after placeholders are replaced. No error shows a value
// that may be a secret.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		if strings.ContainsAny(d.Val()[:min(1, len(d.Val()))], "/@*") {
			return d.Errf("dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, "+
				"so requests could bypass the fence with %s: remove it, requests outside base_path are passed through anyway", d.Val())
		}
		return d.Err("dagfence takes no arguments: write its options in a block")
	}
	_, err := readBlock(d, "dagfence", directiveOptions(&h.Config))
	return err
}

// setter reads the option at d, with its values and block.
type setter func(d *caddyfile.Dispenser) error

// directiveOptions is the option table, from JSON key to the setter of its field.
func directiveOptions(c *config.Config) map[string]setter {
	return map[string]setter{
		"mode":       setText(&c.Mode),
		"base_path":  setText(&c.BasePath),
		"multi_team": setText(&c.MultiTeam),
		"token": onlyBlock(map[string]setter{
			"jwks":        setText(&c.Token.JWKS),
			"public_key":  setText(&c.Token.PublicKey),
			"secret":      setText(&c.Token.Secret),
			"secret_file": setText(&c.Token.SecretFile),
			"algorithms":  setNames(&c.Token.Algorithms),
			"audience":    setNames(&c.Token.Audience),
			"issuer":      setNames(&c.Token.Issuer),
			"leeway":      setLeeway(&c.Token.Leeway),
		}),
		"database":        setText(&c.Database),
		"database_schema": setText(&c.DatabaseSchema),
		"ownership_file":  setText(&c.OwnershipFile),
		"lookup": urlAndBlock(&c.Lookup.URL, map[string]setter{
			"token":      setText(&c.Lookup.Token),
			"ca":         setText(&c.Lookup.CA),
			"tls_client": setKeyPair(&c.Lookup.TLSClient),
			"timeout":    setDuration(&c.Lookup.Timeout),
		}),
		"redis": setText(&c.Redis),
		"cache": onlyBlock(map[string]setter{
			"size":       setSize(&c.Cache.Size),
			"ttl":        setDuration(&c.Cache.TTL),
			"task_ttl":   setDuration(&c.Cache.TaskTTL),
			"key":        setText(&c.Cache.Key),
			"deployment": setText(&c.Cache.Deployment),
		}),
		"rules": onlyBlock(map[string]setter{
			"variables":      setText(&c.Rules.Variables),
			"connections":    setText(&c.Rules.Connections),
			"xcoms":          setText(&c.Rules.XComs),
			"dags":           setText(&c.Rules.Dags),
			"assets":         setText(&c.Rules.Assets),
			"xcom_writes":    setText(&c.Rules.XComWrites),
			"global_writes":  setText(&c.Rules.GlobalWrites),
			"teamless_tasks": setText(&c.Rules.TeamlessTasks),
			"unknown_routes": setText(&c.Rules.UnknownRoutes),
			"documentation":  setText(&c.Rules.Documentation),
		}),
		"on_unavailable": setText(&c.OnUnavailable),
		"log_allowed":    setShare(&c.LogAllowed),
	}
}

// readBlock reads the options of a block, and returns how many it has set.
func readBlock(d *caddyfile.Dispenser, name string, options map[string]setter) (int, error) {
	seen := make(map[string]bool, len(options))
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		set, known := options[option]
		if !known {
			return 0, d.Errf("%s has no option %q: must be one of %s",
				name, option, strings.Join(slices.Sorted(maps.Keys(options)), ", "))
		}
		if seen[option] {
			return 0, d.Errf("%s is set twice in %s: remove one of them", option, name)
		}
		seen[option] = true
		if err := set(d); err != nil {
			return 0, err
		}
	}
	return len(seen), nil
}

// onlyBlock returns the setter of an option that is only a block.
func onlyBlock(options map[string]setter) setter {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		if d.NextArg() {
			return d.Errf("%s takes no value: write its options in a block", name)
		}
		set, err := readBlock(d, name, options)
		if err == nil && set == 0 {
			return d.Errf("%s is empty: write its options in a block, or remove it", name)
		}
		return err
	}
}

// urlAndBlock returns the setter of an option that is a URL with an optional block.
func urlAndBlock(url *string, options map[string]setter) setter {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		given, err := valuesOf(d, name, 1)
		if err != nil {
			return err
		}
		*url = given[0]
		_, err = readBlock(d, name, options)
		return err
	}
}

// setValues returns the setter of an option with count values, or one or more if
// count is 0. set returns what is wrong with them, without a secret.
func setValues(count int, set func(given []string) (wrong string)) setter {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		given, err := valuesOf(d, name, count)
		if err != nil {
			return err
		}
		if d.NextBlock(d.Nesting()) {
			return d.Errf("%s takes no block", name)
		}
		if wrong := set(given); wrong != "" {
			return d.Errf("%s: %s", name, wrong)
		}
		return nil
	}
}

// valuesOf does not use d.ArgErr, which shows the last value.
func valuesOf(d *caddyfile.Dispenser, name string, count int) ([]string, error) {
	given := d.RemainingArgs()
	switch {
	case len(given) == 0 || count > 0 && len(given) != count:
		wanted := "one or more values"
		if count > 0 {
			wanted = strconv.Itoa(count) + " values"
			if count == 1 {
				wanted = "1 value"
			}
		}
		return nil, d.Errf("%s takes %s, and has %d: write them on its line, and one with whitespace in quotes", name, wanted, len(given))
	case slices.Contains(given, ""):
		return nil, d.Errf("%s has an empty value: write a value, or remove it", name)
	}
	return given, nil
}

func setText(field *string) setter {
	return setValues(1, func(given []string) string {
		*field = given[0]
		return ""
	})
}

func setNames(field *[]string) setter {
	return setValues(0, func(given []string) string {
		*field = given
		return ""
	})
}

func setKeyPair(field **config.KeyPair) setter {
	return setValues(2, func(given []string) string {
		*field = &config.KeyPair{Cert: given[0], Key: given[1]}
		return ""
	})
}

func setShare(field *float64) setter {
	return setValues(1, func(given []string) string {
		share, err := strconv.ParseFloat(given[0], 64)
		if err != nil || math.IsNaN(share) || math.IsInf(share, 0) { // JSON has neither
			return "invalid value " + strconv.Quote(given[0]) + ": must be a number from 0 to 1, such as 0.01"
		}
		*field = share
		return ""
	})
}

// setSize and setDuration refuse 0, which means "not set".
func setSize(field *int) setter {
	return setValues(1, func(given []string) string {
		n, err := strconv.Atoi(given[0])
		if err != nil || n <= 0 {
			return "invalid value " + strconv.Quote(given[0]) + ": must be a positive number"
		}
		*field = n
		return ""
	})
}

func setDuration(field *caddy.Duration) setter {
	return setValues(1, func(given []string) string {
		d, err := caddy.ParseDuration(given[0])
		if err != nil || d <= 0 {
			return "invalid value " + strconv.Quote(given[0]) + ": must be a positive duration, such as 5s"
		}
		*field = caddy.Duration(d)
		return ""
	})
}

func setLeeway(field **caddy.Duration) setter {
	return setValues(1, func(given []string) string {
		d, err := caddy.ParseDuration(given[0])
		if err != nil || d < 0 {
			return "invalid value " + strconv.Quote(given[0]) + ": must be a duration, such as 10s, or 0 for none"
		}
		leeway := caddy.Duration(d)
		*field = &leeway
		return ""
	})
}

var _ caddyfile.Unmarshaler = (*Handler)(nil)
