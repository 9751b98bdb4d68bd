// Package redisclient makes go-redis clients: it reads the URLs that operators
// have, sets what a cache needs, and checks what a server sends before go-redis
// does.
package redisclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/dagfence/dagfence/rotate"
)

// Timeout is how long a fence waits for one reply: waiting longer for a cache costs
// more than asking the source.
const Timeout = 50 * time.Millisecond

const forms = "redis://host, rediss://host, unix:///path, redis-sentinel://host,host/master or redis-cluster://host,host"

// Open returns a client of the Redis that a URL names; it dials when it is
// first used. The forms are
//
//	redis://[user:password@]host[:port][/db]
//	unix://[user:password@]/path/of/socket
//	redis-sentinel://[user:password@]host[:port],host[:port]/master
//	redis-cluster://[user:password@]host[:port],host[:port]
//
// and rediss, rediss-sentinel and rediss-cluster for TLS, also with the Sentinels.
// [urlOptions] are those behind a question mark. The user and password
// before the hosts are the data servers'. No part of the URL but its scheme and
// the names of its options is quoted in an error: a password may be anywhere in
// a URL that is not well-formed.
func Open(raw string) (redis.UniversalClient, error) {
	parsed, err := parse(raw)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	options := parsed.options
	if parsed.secure {
		options.TLSConfig, err = rotate.ClientTLS(parsed.ca, parsed.cert, parsed.key)
		switch {
		case errors.Is(err, rotate.ErrKeyPair):
			return nil, fmt.Errorf("redis: ssl_certfile and ssl_keyfile: %w", err)
		case err != nil:
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	// A read takes milliseconds, or the source is asked instead: no retries, no
	// waiting for a connection. A dial goes on behind a read that gave up.
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	options.DialTimeout, options.ReadTimeout = time.Second, time.Second
	options.PoolTimeout = Timeout
	options.PoolSize = max(32, 10*runtime.GOMAXPROCS(0))
	options.PipelinePoolSize = -1
	options.ReadBufferSize, options.WriteBufferSize = 8<<10, 8<<10
	// Fewer commands when a connection is made, fewer rights that it needs.
	options.Protocol, options.DisableIdentity = 2, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	guardDials(&options)
	return redis.NewUniversalClient(&options), nil
}

// Check returns what is wrong with a URL; the files that it names are not read.
func Check(raw string) error {
	if _, err := parse(raw); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// Files returns the files that a URL names, which may be replaced while the client
// is in use; nil where the URL is not valid.
func Files(raw string) []string {
	parsed, err := parse(raw)
	if err != nil {
		return nil
	}
	return []string{parsed.ca, parsed.cert, parsed.key}
}

// parsedURL is a URL in its parts. The files are those of TLS, and not read yet.
type parsedURL struct {
	options       redis.UniversalOptions
	secure        bool
	ca, cert, key string
}

// parse takes a URL apart by hand: [net/url] refuses several hosts with
// ports, and quotes in its errors what it was given.
func parse(raw string) (*parsedURL, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("not a URL: must be " + forms)
	}
	kind, secure, err := parseScheme(scheme)
	if err != nil {
		return nil, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path+query, "@") || strings.Contains(raw, "#") {
		return nil, errors.New("unexpected @ or # after the host: escape / ? # @ in a user or password as %2F %3F %23 %40")
	}
	parsed := &parsedURL{secure: secure}
	options := &parsed.options
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		if options.Username, options.Password, err = parseUser(authority[:at]); err != nil {
			return nil, err
		}
	}
	if path, err = url.PathUnescape(path); err != nil {
		return nil, errors.New("invalid percent escape in the path: write % as %25")
	}
	if err := setTarget(options, kind, hosts, path); err != nil {
		return nil, err
	}
	return parsed, parsed.setQuery(query)
}

// parseScheme returns the kind of server, "redis", "unix", "sentinel" or
// "cluster", and whether it is reached over TLS.
func parseScheme(scheme string) (kind string, secure bool, err error) {
	switch scheme {
	case "redis", "rediss":
		return "redis", scheme == "rediss", nil
	case "unix":
		return "unix", false, nil
	case "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster":
		before, after, _ := strings.Cut(scheme, "-")
		return after, before == "rediss", nil
	}
	if len(scheme) > 20 || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz+-") != "" {
		scheme = "..."
	}
	return "", false, fmt.Errorf("unknown scheme %q: must be %s", scheme, forms)
}

func parseUser(info string) (name, password string, err error) {
	name, password, _ = strings.Cut(info, ":")
	name, errName := url.PathUnescape(name)
	password, errPassword := url.PathUnescape(password)
	if errName != nil || errPassword != nil {
		return "", "", errors.New("invalid percent escape in the user or password: write % as %25")
	}
	return name, password, nil
}

// setTarget sets the servers, and what the path names: a database, a socket
// or a master.
func setTarget(options *redis.UniversalOptions, kind, hosts, path string) error {
	if kind == "unix" {
		if path == "" || hosts != "" {
			return errors.New("no socket in the URL: must be unix:///path/of/socket")
		}
		options.Addrs = []string{"/" + path}
		return nil
	}
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := parseAddress(host, port)
		if err != nil {
			return err
		}
		options.Addrs = append(options.Addrs, address)
	}
	path = strings.TrimSuffix(path, "/")
	switch {
	case kind == "sentinel" && (path == "" || strings.Contains(path, "/")):
		return errors.New("a sentinel URL must name one master: redis-sentinel://host,host/master")
	case kind == "sentinel":
		options.MasterName = path
	case kind == "cluster" && path != "" && path != "0":
		return errors.New("a cluster has only database 0: remove the path")
	case kind == "cluster":
		options.IsClusterMode = true
	case len(options.Addrs) > 1:
		return errors.New("several hosts: must be redis-sentinel://host,host/master or redis-cluster://host,host")
	case path != "":
		return setDatabase(options, path)
	}
	return nil
}

func parseAddress(whole, port string) (string, error) {
	host := whole
	if name, given, err := net.SplitHostPort(host); err == nil {
		host, port = name, given
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if bare := !strings.HasPrefix(whole, "["); strings.Contains(host, ":") && (bare || net.ParseIP(host) == nil) ||
		!bare && strings.Count(whole, "]") != 1 {
		return "", errors.New("missing host, or an IPv6 address needs brackets: must be host:6379 or [::1]:6379")
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 || host == "" {
		return "", errors.New("missing host or invalid port: must be " + forms)
	}
	return net.JoinHostPort(host, port), nil
}

func setDatabase(options *redis.UniversalOptions, number string) error {
	db, err := strconv.Atoi(number)
	if err != nil || db < 0 {
		return errors.New("invalid database: must be a number, as in redis://host/1 or ?db=1")
	}
	if db > 0 && options.IsClusterMode {
		return errors.New("a cluster has only database 0: remove db")
	}
	options.DB = db
	return nil
}

// urlOptions sets what an option behind the ? says. Nil are those of other
// clients (redis-py, Celery, go-redis) that say how they wait and pool, which the
// fence does in its own way. Celery's names of the TLS options are redis-py's.
var urlOptions = map[string]func(u *parsedURL, value string) error{
	"db":                func(u *parsedURL, value string) error { return setDatabase(&u.options, value) },
	"sentinel_username": func(u *parsedURL, value string) error { u.options.SentinelUsername = value; return nil },
	"sentinel_password": func(u *parsedURL, value string) error { u.options.SentinelPassword = value; return nil },

	"ca":                 func(u *parsedURL, value string) error { u.ca = value; return nil },
	"ssl_ca_certs":       func(u *parsedURL, value string) error { u.ca = value; return nil },
	"ssl_certfile":       func(u *parsedURL, value string) error { u.cert = value; return nil },
	"ssl_keyfile":        func(u *parsedURL, value string) error { u.key = value; return nil },
	"ssl_cert_reqs":      verified("", "required", "optional", "CERT_REQUIRED", "CERT_OPTIONAL"), // a client's "optional" verifies too (Python's ssl)
	"ssl_check_hostname": verified("", "true", "1", "yes", "t"),
	"skip_verify":        verified("", "false", "0"),

	"socket_timeout": nil, "socket_connect_timeout": nil, "socket_keepalive": nil, "retry_on_timeout": nil, "health_check_interval": nil,
	"max_connections": nil, "timeout": nil, "protocol": nil, "client_name": nil, "max_retries": nil, "min_retry_backoff": nil,
	"max_retry_backoff": nil, "dial_timeout": nil, "read_timeout": nil, "write_timeout": nil, "pool_fifo": nil, "pool_size": nil,
	"pool_timeout": nil, "min_idle_conns": nil, "max_idle_conns": nil, "max_active_conns": nil, "conn_max_idle_time": nil,
	"conn_max_lifetime": nil,
}

// verified takes the values that let the server's certificate be verified, which
// it always is.
func verified(values ...string) func(*parsedURL, string) error {
	return func(_ *parsedURL, value string) error {
		if slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, value) }) {
			return nil
		}
		return errors.New("the server's certificate is always verified: remove the option, " +
			"and set ssl_ca_certs to the file of the CA certificates if the system does not trust its CA")
	}
}

var optionName = regexp.MustCompile(`^[a-z_]{1,40}$`)

func (u *parsedURL) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("invalid options after the ?: must be name=value, joined by &")
	}
	for name, given := range values {
		set, known := urlOptions[name]
		switch {
		case !known && !optionName.MatchString(name):
			return errors.New("unknown option after the ?: must be " + optionNames)
		case !known:
			return fmt.Errorf("unknown option %s: must be %s", name, optionNames)
		case len(given) > 1:
			return fmt.Errorf("option %s is set twice", name)
		case !u.secure && tlsOption(name):
			return fmt.Errorf("option %s needs TLS: use a rediss://, rediss-sentinel:// or rediss-cluster:// URL, or remove the option", name)
		case u.options.MasterName == "" && strings.HasPrefix(name, "sentinel_"):
			return fmt.Errorf("option %s needs a sentinel: remove it", name)
		case set == nil:
			continue
		}
		if err := set(u, given[0]); err != nil {
			return fmt.Errorf("option %s: %w", name, err)
		}
	}
	if (u.cert == "") != (u.key == "") {
		return errors.New("ssl_certfile and ssl_keyfile must be set together")
	}
	return nil
}

const optionNames = "db; with rediss ca (or ssl_ca_certs), ssl_certfile and ssl_keyfile; with a sentinel sentinel_username and sentinel_password"

func tlsOption(name string) bool {
	return name == "ca" || name == "skip_verify" || strings.HasPrefix(name, "ssl_")
}
