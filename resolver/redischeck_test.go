package resolver_test

import (
	"context"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/tests/services"
)

// tried returns what each command came to: "" if it did what it should, or else
// the first word of the error.
func tried(t *testing.T, client redis.UniversalClient) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	trials, err := resolver.CheckRedis(ctx, client, resolver.RedisOptions{Secret: []byte("a secret")})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, trial := range trials {
		found[trial.Command] = ""
		if trial.Err != nil {
			found[trial.Command], _, _ = strings.Cut(trial.Err.Error(), " ")
		}
	}
	return found
}

func openRedis(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	client, err := redisclient.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestCheckRedis_NamesEachCommandThatIsNotPermitted(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	admin := server.Client(t)
	const rights = "~dagfence:* &dagfence:* +ping +getrange +set +publish +subscribe"
	for name, tc := range map[string]struct {
		rights string
		want   map[string]string // what differs from all being well
	}{
		"rights":      {rights, nil},
		"noget":       {rights + " -getrange", map[string]string{"GETRANGE": "NOPERM"}},
		"noset":       {rights + " -set", map[string]string{"SET": "NOPERM"}},
		"nopublish":   {rights + " -publish", map[string]string{"PUBLISH": "NOPERM"}},
		"nosubscribe": {rights + " -subscribe", map[string]string{"SUBSCRIBE": "NOPERM"}},
		"nokeys":      {strings.ReplaceAll(rights, "~dagfence:*", "~other:*"), map[string]string{"SET": "NOPERM", "GETRANGE": "NOPERM"}},
		"nochannels":  {strings.ReplaceAll(rights, "&dagfence:*", "resetchannels"), map[string]string{"SUBSCRIBE": "NOPERM", "PUBLISH": "NOPERM"}},
	} {
		command := []any{"ACL", "SETUSER", name, "on", ">password"}
		for word := range strings.FieldsSeq(tc.rights) {
			command = append(command, word)
		}
		if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"PING": "", "SET": "", "GETRANGE": "", "SUBSCRIBE": "", "PUBLISH": ""}
		maps.Copy(want, tc.want)
		if name == "noset" {
			delete(want, "GETRANGE") // there is nothing to read
		}
		url := "redis://" + name + ":password@" + server.Addr
		if got := tried(t, openRedis(t, url)); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if keys := admin.Keys(t.Context(), "*").Val(); len(keys) > 7 {
		t.Errorf("more keys than trials are left: %q", keys)
	}
}

func TestCheckRedis_StopsAtPing(t *testing.T) {
	t.Parallel()
	if got := tried(t, openRedis(t, "redis://127.0.0.1:1")); len(got) != 1 || got["PING"] == "" {
		t.Errorf("got %v", got)
	}
}

func TestCheckRedis_ReportsAReplica(t *testing.T) {
	t.Parallel()
	server := services.Redis(t, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "yes")
	if got := tried(t, openRedis(t, server.URL())); got["SET"] != "READONLY" {
		t.Errorf("got %v", got)
	}
}

func TestCheckRedis_RequiresASecret(t *testing.T) {
	t.Parallel()
	if _, err := resolver.CheckRedis(t.Context(), openRedis(t, "redis://127.0.0.1:1"), resolver.RedisOptions{}); err == nil {
		t.Error("nothing is said against a missing secret")
	}
}

func TestCheckRedis_ReportsASlowServer(t *testing.T) {
	t.Parallel()
	if got := tried(t, openRedis(t, "redis://"+distant(t, services.Redis(t).Addr, 60*time.Millisecond))); got["GETRANGE"] != "redis" || got["PUBLISH"] != "" {
		t.Errorf("got %v", got)
	}
}

// distant is an address from which each answer of a server takes so much longer.
func distant(t *testing.T, addr string, longer time.Duration) string {
	t.Helper()
	return services.Accept(t, func(near net.Conn) {
		far, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer far.Close()
		go func() { _, _ = io.Copy(near, late{far, longer}); _ = near.Close() }()
		_, _ = io.Copy(far, near)
	})
}

// late is a connection whose answers are late.
type late struct {
	net.Conn
	by time.Duration
}

func (l late) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	<-time.After(l.by)
	return n, err
}
