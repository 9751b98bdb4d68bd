package resolver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const redisForms = "redis://host, rediss://host, unix:///path, redis-sentinel://host,host/master or redis-cluster://host,host"

// OpenRedis makes a client of the Redis that a URL names; it dials when it is
// first used. The forms are
//
//	redis://[user:password@]host[:port][/db]
//	unix://[user:password@]/path/of/socket
//	redis-sentinel://[user:password@]host[:port],host[:port]/master
//	redis-cluster://[user:password@]host[:port],host[:port]
//
// and rediss, rediss-sentinel and rediss-cluster for TLS. The options behind a
// question mark are db, ca (a PEM file to trust instead of the system's), and
// for Sentinels that want a password sentinel_username and sentinel_password;
// the user and password before the hosts are the data servers'. No part of the
// URL but its scheme is quoted in an error: a password may stand anywhere in a
// URL that is not well-formed.
func OpenRedis(raw string) (redis.UniversalClient, error) {
	options, err := parseRedisURL(raw)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	// A read takes milliseconds, or the source is asked instead: no retries, no
	// waiting for a connection. A dial goes on behind a read that gave up.
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	options.DialTimeout, options.ReadTimeout = time.Second, time.Second
	options.PoolTimeout = redisTimeout
	options.PoolSize = max(32, 10*runtime.GOMAXPROCS(0))
	options.PipelinePoolSize = -1
	options.ReadBufferSize, options.WriteBufferSize = 8<<10, 8<<10
	// Fewer commands when a connection is made, fewer rights that it needs.
	options.Protocol, options.DisableIdentity = 2, true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	guardDials(options)
	return redis.NewUniversalClient(options), nil
}

// parseRedisURL takes a URL apart by hand: [net/url] refuses several hosts with
// ports, and quotes in its errors what it was given.
func parseRedisURL(raw string) (*redis.UniversalOptions, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("the value is not a URL: give " + redisForms)
	}
	kind, secure, err := redisScheme(scheme)
	if err != nil {
		return nil, err
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.ContainsAny(path+query, "@") || strings.Contains(raw, "#") {
		return nil, errors.New("an @ or # stands behind the host: in a user or password, write / ? # @ as %2F %3F %23 %40")
	}
	options := &redis.UniversalOptions{}
	hosts := authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		hosts = authority[at+1:]
		if options.Username, options.Password, err = redisUser(authority[:at]); err != nil {
			return nil, err
		}
	}
	if path, err = url.PathUnescape(path); err != nil {
		return nil, errors.New("the path holds a bad percent escape: write % as %25")
	}
	if err := redisTarget(options, kind, hosts, path); err != nil {
		return nil, err
	}
	if secure {
		options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return options, redisQuery(options, query)
}

// redisScheme gives the kind of server, "redis", "unix", "sentinel" or
// "cluster", and whether it is reached over TLS.
func redisScheme(scheme string) (kind string, secure bool, err error) {
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
	return "", false, fmt.Errorf("scheme %q is not known: give %s", scheme, redisForms)
}

func redisUser(info string) (name, password string, err error) {
	name, password, _ = strings.Cut(info, ":")
	name, errName := url.PathUnescape(name)
	password, errPassword := url.PathUnescape(password)
	if errName != nil || errPassword != nil {
		return "", "", errors.New("the user or password holds a bad percent escape: write % as %25")
	}
	return name, password, nil
}

// redisTarget sets the servers, and what the path names: a database, a socket
// or a master.
func redisTarget(options *redis.UniversalOptions, kind, hosts, path string) error {
	if kind == "unix" {
		if path == "" || hosts != "" {
			return errors.New("a unix URL names no socket: give unix:///path/of/socket")
		}
		options.Addrs = []string{"/" + path}
		return nil
	}
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		address, err := redisAddress(host, port)
		if err != nil {
			return err
		}
		options.Addrs = append(options.Addrs, address)
	}
	path = strings.TrimSuffix(path, "/")
	switch {
	case kind == "sentinel" && (path == "" || strings.Contains(path, "/")):
		return errors.New("a sentinel URL names one master behind its hosts: give redis-sentinel://host,host/master")
	case kind == "sentinel":
		options.MasterName = path
	case kind == "cluster" && path != "" && path != "0":
		return errors.New("a cluster has database 0 only: leave out the path")
	case kind == "cluster":
		options.IsClusterMode = true
	case len(options.Addrs) > 1:
		return errors.New("several hosts are named: give redis-sentinel://host,host/master or redis-cluster://host,host")
	case path != "":
		return redisDatabase(options, path)
	}
	return nil
}

func redisAddress(host, port string) (string, error) {
	if name, given, err := net.SplitHostPort(host); err == nil {
		host, port = name, given
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			host = ""
		}
	}
	if number, err := strconv.Atoi(port); err != nil || number < 1 || number > 65535 || host == "" {
		return "", errors.New("a host is missing or its port is no port: give " + redisForms)
	}
	return net.JoinHostPort(host, port), nil
}

func redisDatabase(options *redis.UniversalOptions, number string) error {
	db, err := strconv.Atoi(number)
	if err != nil || db < 0 {
		return errors.New("the database is not a number: give one, such as redis://host/1 or ?db=1")
	}
	if db > 0 && options.IsClusterMode {
		return errors.New("a cluster has database 0 only: leave out db")
	}
	options.DB = db
	return nil
}

func redisQuery(options *redis.UniversalOptions, query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("what stands behind the ? can't be read: give options as name=value, joined by &")
	}
	for name, value := range values {
		switch {
		case name == "db":
			err = redisDatabase(options, value[0])
		case name == "ca" && options.TLSConfig != nil:
			options.TLSConfig.RootCAs, err = certPool(value[0])
		case name == "sentinel_username" && options.MasterName != "":
			options.SentinelUsername = value[0]
		case name == "sentinel_password" && options.MasterName != "":
			options.SentinelPassword = value[0]
		default:
			err = errors.New("an option behind the ? is not known here: there are db, with rediss ca, and with a sentinel sentinel_username and sentinel_password")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// certPool reads a PEM file of certificates to trust.
func certPool(path string) (*x509.CertPool, error) {
	content, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("reading ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("ca %s holds no certificate: give a PEM file", path)
	}
	return pool, nil
}
