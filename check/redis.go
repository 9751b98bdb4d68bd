package check

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/setup"
)

// checkRedis does what the fence does with Redis. Without Redis, the fence loses
// the shared cache and invalidations, and nothing else.
func (r *run) checkRedis(ctx context.Context) {
	const check = "redis"
	switch {
	case !r.configured:
		r.skip(check, "needs a valid configuration")
		return
	case r.settings.Redis == "":
		r.skip(check, "not set; it is optional")
		return
	}
	secret, err := setup.SealSecret(r.settings)
	if err != nil {
		r.problem(check, "%v", err)
		return
	}
	client, err := redisclient.Open(r.settings.Redis)
	if err != nil {
		r.problem(check, "%v", err)
		return
	}
	defer client.Close() //nolint:errcheck // it is not used any more
	trials, err := resolver.CheckRedis(ctx, client, resolver.RedisOptions{Secret: secret, Deployment: r.settings.Cache.Deployment})
	if err != nil {
		r.problem(check, "%v", err)
		return
	}
	good := true
	for _, trial := range trials {
		if trial.Err != nil {
			good = false
			r.problem(check, "%s: %v: %s", trial.Command, trial.Err, hintForRedis(trial.Err, strings.HasPrefix(r.settings.Redis, "rediss")))
		}
	}
	if good {
		r.checkEviction(ctx, client)
	}
}

// redisHints are fixes by the first word of an error of Redis.
var redisHints = map[string]string{
	"NOPERM": "grant the URL's user ~dagfence:* &dagfence:* +ping +getrange +set +publish +subscribe (and +cluster in a cluster)",
	"NOAUTH": "set user and password in the URL", "WRONGPASS": "set the right user and password in the URL",
	"READONLY": "this is a replica: set the URL of its master, or a redis-sentinel:// URL",
	"MOVED":    "this is a cluster: set a redis-cluster:// URL", "CLUSTERDOWN": "bring the cluster up: not all of its slots are served",
	"OOM": "set a higher maxmemory, or a maxmemory-policy that evicts, such as allkeys-lru", "LOADING": "wait until it has loaded its data",
	"MISCONF": "see its log: it can't save its data, and takes no writes", "ERR": "use a Redis of release 6 or later",
}

func hintForRedis(err error, secure bool) string {
	switch {
	case errors.Is(err, resolver.ErrRedisSlow):
		return "move it nearer to the fence, or remove redis"
	case secure && errors.Is(err, context.DeadlineExceeded): // a plain Redis waits for the end of what TLS begins with
		return "the port may not serve TLS: set the port that does, or a redis:// URL; or something on the way drops packets"
	}
	text := err.Error()
	if secure && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) { // TLS 1.3 refuses a client after the handshake
		return "it closed the TLS connection: see its log; if it requires a client certificate, set one in " + redisTLS.Client
	}
	if strings.Contains(text, "WRONGPASS") { // wrapped by the error of connecting
		return redisHints["WRONGPASS"]
	}
	word, _, _ := strings.Cut(text, " ")
	if hint, known := redisHints[word]; known {
		return hint
	}
	return hintFor(err, redisTLS)
}

// checkEviction warns of a Redis that refuses entries once it is full. It reports
// nothing where the user may not read INFO, which the fence does not need.
func (r *run) checkEviction(ctx context.Context, client redis.UniversalClient) {
	memory, err := client.Info(ctx, "memory").Result()
	if err == nil && strings.Contains(memory, "maxmemory_policy:noeviction") && !strings.Contains(memory, "maxmemory:0\r") {
		r.warn("redis", "it works, but refuses entries once it is full (noeviction): set its maxmemory-policy to one that evicts, such as allkeys-lru")
		return
	}
	r.ok("redis", "it is fast enough, stores entries and delivers messages")
}
