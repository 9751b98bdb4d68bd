package redisclient_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver/redisclient"
	"github.com/dagfence/dagfence/tests/services"
)

func TestGuard_RefusesOversizedReplies(t *testing.T) {
	t.Parallel()
	const mega = 1 << 20
	nested := func(depth int) string { return strings.Repeat("*1\r\n", depth) + ":1\r\n" }
	for name, test := range map[string]struct {
		reply string
		want  any // nil where it is refused
	}{
		"a status":                         {"+PONG\r\n", "PONG"},
		"a number":                         {":-42\r\n", int64(-42)},
		"a string":                         {"$5\r\nhe\r\no\r\n", "he\r\no"},
		"an empty string":                  {"$0\r\n\r\n", ""},
		"no string":                        {"$-1\r\n", redis.Nil},
		"no array":                         {"*-1\r\n", redis.Nil},
		"an empty array":                   {"*0\r\n", []any{}},
		"an array":                         {"*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n", []any{"a", []any{int64(1), []any{}}}},
		"a map":                            {"%1\r\n+a\r\n$1\r\nb\r\n", map[any]any{"a": "b"}},
		"an empty map":                     {"%0\r\n", map[any]any{}},
		"a string of a MiB":                {fmt.Sprintf("$%d\r\n%s\r\n", mega, strings.Repeat("x", mega)), strings.Repeat("x", mega)},
		"a string of more":                 {fmt.Sprintf("$%d\r\n%s\r\n", mega+1, strings.Repeat("x", mega+1)), nil},
		"8 strings of a MiB":               {"*9\r\n" + strings.Repeat(fmt.Sprintf("$%d\r\n%s\r\n", mega, strings.Repeat("x", mega)), 8), nil},
		"a string of 2^63 - 1 bytes":       {"$9223372036854775807\r\n", nil},
		"a string of 2^64 bytes":           {"$18446744073709551616\r\n", nil},
		"a string of fewer than no bytes":  {"$-2\r\n", nil},
		"an array of fewer than no things": {"*-2\r\n", nil},
		"a length that is no number":       {"$five\r\n", nil},
		"an array of 65537":                {"*65537\r\n", nil},
		"a map of 65536":                   {"%65536\r\n", nil},
		"a map of 2^62":                    {"%4611686018427387904\r\n", nil},
		"a number of 9 kB":                 {":" + strings.Repeat("1", 9<<10) + "\r\n", nil},
		"a length of 9 kB":                 {"$" + strings.Repeat("0", 9<<10) + "\r\n", nil},
		"an empty line":                    {"\r\n", nil},
		"another protocol":                 {"HTTP/1.1 200 OK\r\n", nil},
		"an attribute":                     {"|1\r\n+a\r\n+b\r\n+OK\r\n", nil},
		"nine arrays in each other":        {nested(9), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := redisclient.Open(services.RedisStub(t, test.reply))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Close() })
			for range 2 { // the second shows where the first was taken to end
				got, err := client.Do(t.Context(), "PING").Result()
				if err == redis.Nil { //nolint:errorlint // go-redis returns it unwrapped
					got = err
				}
				if test.want == nil {
					if err == nil || !strings.Contains(err.Error(), "oversized reply") {
						t.Errorf("got %v, %v: want it refused", got, err)
					}
				} else if !reflect.DeepEqual(got, test.want) {
					t.Errorf("got %.100v, %v", got, err)
				}
			}
			if conns := client.PoolStats().Misses; test.want != nil && conns > 1 {
				t.Errorf("it took %d connections", conns)
			}
		})
	}
	client, err := redisclient.Open(services.RedisStub(t, nested(8)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Do(t.Context(), "PING").Result(); err != nil {
		t.Errorf("eight arrays in each other: %v", err)
	}
}
