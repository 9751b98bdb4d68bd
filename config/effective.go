package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Setting is an option with its value, and where that comes from: "configured", the
// name that [Origins] has for it, or "default".
type Setting struct {
	Value string `json:"value"`
	From  string `json:"from"`
}

// Effective returns every option of complete settings that has a value, by its name in
// a Caddyfile. given are the settings before they were completed. The value of a
// secret is "set", and a URL has no user, password or options.
func (c Config) Effective(given Config, origins Origins) map[string]Setting {
	configured, effective := given.flat(), make(map[string]Setting)
	for option, value := range c.flat() {
		from := "default"
		if _, ok := configured[option]; ok {
			from = "configured"
		} else if origin := origins[option]; origin != "" {
			from = origin
		}
		switch option {
		case "token secret", "lookup token", "cache key":
			value = "set"
		case "database", "lookup", "redis", "token jwks":
			value = place(value)
		}
		effective[option] = Setting{value, from}
	}
	return effective
}

// flat returns the options that are set.
func (c Config) flat() map[string]string {
	content, err := json.Marshal(c)
	if err != nil { // there is nothing in it that can't be JSON
		panic(err)
	}
	var options map[string]any
	if err := json.Unmarshal(content, &options); err != nil {
		panic(err)
	}
	set := make(map[string]string)
	flatten(set, "", options)
	if lookup, ok := set["lookup url"]; ok {
		delete(set, "lookup url")
		set["lookup"] = lookup
	}
	return set
}

func flatten(set map[string]string, block string, options map[string]any) {
	for name, value := range options {
		option := strings.TrimSpace(block + " " + name)
		switch value := value.(type) {
		case map[string]any:
			flatten(set, option, value)
		case float64:
			set[option] = strconv.FormatInt(int64(value), 10)
			if name != "size" { // the other numbers are durations
				set[option] = time.Duration(value).String()
			}
		case []any:
			set[option] = strings.Trim(fmt.Sprint(value), "[]")
		default:
			set[option] = fmt.Sprint(value)
		}
	}
}

// place returns the part of a URL that says where a server is; of one that may hide a
// part of a password elsewhere, its scheme alone.
func place(raw string) string {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		return raw // the path of a JWKS
	}
	user, _, hasUser := strings.Cut(rest, "@")
	u, err := url.Parse(raw)
	if err != nil || strings.Count(rest, "@") > 1 || hasUser && (u.User == nil || strings.ContainsAny(user, "/?#")) {
		return scheme + "://..."
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
