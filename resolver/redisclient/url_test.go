package redisclient_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/resolver/resolvertest"
)

func TestOpen_ReadsEveryURL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	resolvertest.Certificates(t, dir)
	ca := filepath.Join(dir, "ca.pem")
	for url, want := range map[string]redis.Options{
		"redis://cache":                         {Addr: "cache:6379"},
		"redis://cache/":                        {Addr: "cache:6379"},
		"redis://cache:7000/3":                  {Addr: "cache:7000", DB: 3},
		"redis://cache?db=4":                    {Addr: "cache:6379", DB: 4},
		"redis://:pass@cache":                   {Addr: "cache:6379", Password: "pass"},
		"redis://fence:p%40s%2Fs%3A%25@cache":   {Addr: "cache:6379", Username: "fence", Password: "p@s/s:%"},
		"redis://fence:a@b:c@cache":             {Addr: "cache:6379", Username: "fence", Password: "a@b:c"},
		"redis://[::1]:7000":                    {Addr: "[::1]:7000"},
		"redis://[::1]":                         {Addr: "[::1]:6379"},
		"unix:///run/redis.sock":                {Addr: "/run/redis.sock"},
		"unix://fence:pass@/run/r%20.sock?db=2": {Addr: "/run/r .sock", Username: "fence", Password: "pass", DB: 2},
		"rediss://cache:6380?ca=" + ca:          {Addr: "cache:6380"},
	} {
		client, err := redisclient.Open(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		single, ok := client.(*redis.Client)
		if !ok {
			t.Fatalf("%s is a %T", url, client)
		}
		got := single.Options()
		if got.Addr != want.Addr || got.DB != want.DB || got.Username != want.Username || got.Password != want.Password {
			t.Errorf("%s is %s, db %d, user %q, password %q: want %+v", url, got.Addr, got.DB, got.Username, got.Password, want)
		}
		if secure := strings.HasPrefix(url, "rediss"); (got.TLSConfig != nil) != secure || secure && got.TLSConfig.RootCAs == nil {
			t.Errorf("%s: TLS is %v", url, got.TLSConfig)
		}
		if !got.ContextTimeoutEnabled || got.MaxRetries != 0 || got.DialerRetries != 1 {
			t.Errorf("%s: deadlines are %v, %d retries", url, got.ContextTimeoutEnabled, got.MaxRetries)
		}
		_ = client.Close()
	}
	for url, addrs := range map[string]string{
		"redis-cluster://a:1,b,c:3": "a:1 b:6379 c:3", "rediss-cluster://u:p@a": "a:6379", "redis-cluster://a/0": "a:6379",
	} {
		client, err := redisclient.Open(url)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		cluster, ok := client.(*redis.ClusterClient)
		if !ok || strings.Join(cluster.Options().Addrs, " ") != addrs || (cluster.Options().TLSConfig != nil) != strings.HasPrefix(url, "rediss") {
			t.Errorf("%s is a %T: want a cluster of %s", url, client, addrs)
		}
		_ = client.Close()
	}
}

func TestOpen_ErrorsNameTheFixAndNoPassword(t *testing.T) {
	t.Parallel()
	const hidden = "hunter2"
	for url, mentions := range map[string]string{
		"":                                  "not a URL",
		"cache:6379":                        "not a URL",
		hidden:                              "not a URL",
		"http://cache":                      `scheme "http"`,
		hidden + "://cache":                 `scheme "..."`,
		"redis-sentinels://cache/m":         "redis-sentinel://",
		"redis://":                          "missing host",
		"redis:///0":                        "missing host",
		"redis://u:" + hidden + "@":         "missing host",
		"redis://:6379":                     "missing host",
		"redis://cache:" + hidden:           "invalid port",
		"redis://cache:70000":               "invalid port",
		"redis://::1":                       "IPv6 address needs brackets",
		"redis://::1:6379":                  "IPv6 address needs brackets",
		"redis://[::1":                      "IPv6 address needs brackets",
		"redis://[::g]:6379":                "IPv6 address needs brackets",
		"redis-cluster://::1:6379,::2:1":    "IPv6 address needs brackets",
		"redis-sentinel://[::1]:1,[::1/m":   "IPv6 address needs brackets",
		"redis://a:b:c":                     "missing host",
		"redis://a,b":                       "redis-cluster://",
		"redis://u:" + hidden + "@cache/x":  "invalid database",
		"redis://cache/-1":                  "invalid database",
		"redis://cache/1/2":                 "invalid database",
		"redis://u:" + hidden + "/x@cache":  "%2F",
		"redis://u:" + hidden + "?x@cache":  "%2F",
		"redis://u:" + hidden + "#x@cache":  "%23",
		"redis://u:%zz" + hidden + "@cache": "%25",
		"redis://cache/%zz" + hidden:        "%25",
		"redis://cache?pool=" + hidden:      "unknown option pool",
		"redis://cache?ca=/x":               "option ca needs TLS",
		"redis://cache?%zz=" + hidden:       "invalid options",
		"redis://cache?skip_verify=true":    "option skip_verify needs TLS",
		"redis://cache?" + hidden + "=1":    "unknown option after the ?",
		"rediss://cache?ca=/nowhere":        "redis: ca: open /nowhere",
		"unix://":                           "socket",
		"unix://run/redis.sock":             "socket",
		"redis-sentinel://a,b":              "master",
		"redis-sentinel://a,b/":             "master",
		"redis-sentinel://a,b/m/1":          "master",
		"redis-sentinel:///m":               "missing host",
		"redis-sentinel://a,/m":             "missing host",
		"redis-cluster://":                  "missing host",
		"redis-cluster://a/1":               "database 0",
		"redis-cluster://a?db=1":            "database 0",
	} {
		client, err := redisclient.Open(url)
		if mentions == "" {
			if err != nil {
				t.Errorf("%s: %v", url, err)
			} else {
				_ = client.Close()
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), mentions) || !strings.HasPrefix(err.Error(), "redis: ") || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: the error is %v: want one that mentions %q, and no password", url, err, mentions)
		}
	}
}
