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

// checkRedis does what the fence does with Redis. A Redis that is broken costs
// the shared cache and the news of changes, and nothing else.
func (r *run) checkRedis(ctx context.Context) {
	const check = "redis"
	switch {
	case !r.configured:
		r.skip(check, "the configuration comes first")
		return
	case r.settings.Redis == "":
		r.skip(check, "none is set; it is optional")
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
	trials, err := resolver.CheckRedis(ctx, client, resolver.Options{Secret: secret, Deployment: r.settings.Cache.Deployment})
	if err != nil {
		r.problem(check, "%v", err)
		return
	}
	good := true
	for _, trial := range trials {
		if trial.Err != nil {
			good = false
			r.problem(check, "%s: %v: %s", trial.Command, trial.Err, mendOfRedis(trial.Err, strings.HasPrefix(r.settings.Redis, "rediss")))
		}
	}
	if good {
		r.checkEviction(ctx, client)
	}
}

// mendsOfRedis go by the first word of what Redis answers.
var mendsOfRedis = map[string]string{
	"NOPERM": "give the URL's user the rights ~dagfence:* &dagfence:* +ping +getrange +set +publish +subscribe (and +cluster in a cluster)",
	"NOAUTH": "give user and password in the URL", "WRONGPASS": "give the right user and password in the URL",
	"READONLY": "this is a replica: give the URL of its master, or a redis-sentinel:// URL",
	"MOVED":    "this is a cluster: give a redis-cluster:// URL", "CLUSTERDOWN": "bring the cluster up: not all of its slots are served",
	"OOM": "give it more maxmemory, or a maxmemory-policy that evicts, such as allkeys-lru", "LOADING": "wait until it has loaded its data",
	"MISCONF": "see its log: it can't save its data, and takes no writes", "ERR": "give a Redis of release 6 or later",
}

func mendOfRedis(err error, secure bool) string {
	switch {
	case errors.Is(err, resolver.ErrRedisSlow):
		return "bring it nearer to the fence, or leave redis out"
	case secure && errors.Is(err, context.DeadlineExceeded): // a plain Redis waits for the end of what TLS begins with
		return "it may not speak TLS there: give the port that does, or a redis:// URL; or something on the way drops what is sent"
	}
	text := err.Error()
	if secure && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)) { // TLS 1.3 refuses a client after the handshake
		return "it ends what TLS has begun: see its log; if it wants a client certificate, name one that it takes in " + redisTLS.Client
	}
	if strings.Contains(text, "WRONGPASS") { // it comes wrapped, from the making of the connection
		return mendsOfRedis["WRONGPASS"]
	}
	word, _, _ := strings.Cut(text, " ")
	if mend, known := mendsOfRedis[word]; known {
		return mend
	}
	return mendOf(err, redisTLS)
}

// checkEviction warns of a Redis that refuses entries once it is full. A role
// that may not ask, as it need not, is told nothing.
func (r *run) checkEviction(ctx context.Context, client redis.UniversalClient) {
	memory, err := client.Info(ctx, "memory").Result()
	if err == nil && strings.Contains(memory, "maxmemory_policy:noeviction") && !strings.Contains(memory, "maxmemory:0\r") {
		r.warn("redis", "it works, but takes no more entries once it is full (noeviction): set its maxmemory-policy to one that evicts, such as allkeys-lru")
		return
	}
	r.ok("redis", "it is near enough, keeps entries and passes messages on")
}
