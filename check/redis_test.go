package check_test

import (
	"strings"
	"testing"

	"github.com/dagfence/dagfence/check"
	"github.com/dagfence/dagfence/tests/services"
)

func TestRedisDoesWhatTheFenceNeeds(t *testing.T) {
	t.Parallel()
	server := services.Redis(t, "--requirepass", "pass-word")
	replica := services.Redis(t, "--replicaof", "127.0.0.1 1")
	full := services.Redis(t, "--maxmemory", "100kb", "--maxmemory-policy", "noeviction")
	bounded := services.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
	evicting := services.Redis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	admin := server.Client(t)
	for _, command := range []string{
		"AUTH pass-word", // of this connection, which a pool of one keeps
		"ACL SETUSER fence on >pass-word ~dagfence:* &dagfence:* +ping +getrange +set +publish +subscribe",
		"ACL SETUSER reader on >pass-word ~dagfence:* &dagfence:* +ping +getrange +subscribe +publish",
	} {
		var words []any
		for word := range strings.FieldsSeq(command) {
			words = append(words, word)
		}
		if err := admin.Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		url   string
		state check.State
		text  string
	}{
		"the right user":   {"redis://fence:pass-word@" + server.Addr, check.OK, "passes messages on"},
		"too few rights":   {"redis://reader:pass-word@" + server.Addr, check.Problem, "SET: NOPERM"},
		"no password":      {server.URL(), check.Problem, "give user and password in the URL"},
		"another password": {"redis://:pass-wordless@" + server.Addr, check.Problem, "give the right user and password"},
		"a replica":        {replica.URL(), check.Problem, "this is a replica"},
		"full":             {full.URL(), check.Problem, "give it more maxmemory"},
		"bounded":          {bounded.URL(), check.Warning, "takes no more entries once it is full"},
		"evicting":         {evicting.URL(), check.OK, "keeps entries"},
		"nobody":           {"redis://127.0.0.1:1", check.Problem, "nothing listens there"},
		"not TLS":          {"rediss://" + evicting.Addr, check.Problem, "it may not speak TLS there"},
		"no such CA file":  {"rediss://" + evicting.Addr + "?ca=/nowhere/ca.pem", check.Problem, "reading ca: open /nowhere/ca.pem"},
		"no cluster":       {"redis-cluster://" + evicting.Addr, check.Problem, "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := right(t)
			options.Fence.Redis = tc.url
			tell(t, atFence(t, options, "pass-word"), "redis", tc.state, tc.text)
		})
	}
}
