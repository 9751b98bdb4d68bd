package main_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	main "github.com/dagfence/dagfence/cmd/dagfence"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

const busSecret = "a secret that both sides have"

// listen listens as a fence does, and returns what returns the next key that is
// invalidated, or "" if none is for long.
func listen(t *testing.T, server *services.RedisServer) (heard func() string) {
	t.Helper()
	bus, err := resolver.OpenBus(resolver.RedisOptions{URL: server.URL(), Secret: []byte(busSecret)}, 5*time.Second, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	keys := make(chan string, 64)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bus.Listen(ctx, func(forgotten []resolver.Key) {
			for _, key := range forgotten {
				keys <- key.Kind.String() + " " + key.Name
			}
		})
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		bus.Close()
	})
	client := server.Client(t)
	sidecar.Within(t, 20*time.Second, "the fence listens", func() bool {
		return client.PubSubNumSub(t.Context(), "dagfence:invalidate").Val()["dagfence:invalidate"] > 0
	})
	return func() string {
		select {
		case key := <-keys:
			return key
		case <-time.After(10 * time.Second):
			return ""
		}
	}
}

func TestLookup_SealsWithTheFencesSecret(t *testing.T) {
	server := services.Redis(t)
	heard := listen(t, server)
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte(busSecret+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		environment map[string]string
		keyFile     string
	}{
		"token secret":               {map[string]string{"AIRFLOW__API_AUTH__JWT_SECRET": busSecret}, ""},
		"token secret by reference":  {map[string]string{"AIRFLOW__API_AUTH__JWT_SECRET": "$ANOTHER", "ANOTHER": busSecret}, ""},
		"cache key":                  {nil, keyFile},
		"cache key wins over secret": {map[string]string{"AIRFLOW__API_AUTH__JWT_SECRET": "another secret"}, keyFile},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range test.environment {
				t.Setenv(variable, value)
			}
			joined, err := main.OpenBus(config.Config{Redis: server.URL()}, test.keyFile, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer joined.Close()
			if err := joined.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}); err != nil {
				t.Fatal(err)
			}
			if got := heard(); got != "dag dag_a" {
				t.Fatalf("the fences hear %q", got)
			}
		})
	}
}

func TestLookup_NamesTheInvalidFlag(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		url, keyFile string
		environment  map[string]string
		says         []string
	}{
		"no secret":          {"redis://cache", "", nil, []string{"--cache-key-file", "AIRFLOW__API_AUTH__JWT_SECRET"}},
		"public keys":        {"redis://cache", "", map[string]string{"AIRFLOW__API_AUTH__TRUSTED_JWKS_URL": "https://x", "AIRFLOW__API_AUTH__JWT_SECRET": busSecret}, []string{"--cache-key-file"}},
		"secret by command":  {"redis://cache", "", map[string]string{"AIRFLOW__API_AUTH__JWT_SECRET_CMD": "cat x"}, []string{"AIRFLOW__API_AUTH__JWT_SECRET"}},
		"no such file":       {"redis://cache", "/no/such/file", nil, []string{"cache-key-file: ", "readable"}},
		"empty file":         {"redis://cache", empty, nil, []string{"cache-key-file: ", "empty"}},
		"key but no redis":   {"", empty, nil, []string{"--cache-key-file ", "--redis"}},
		"not a Redis at all": {"memcached://u:hidden@x", "", map[string]string{"AIRFLOW__API_AUTH__JWT_SECRET": busSecret}, []string{"redis: "}},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range test.environment {
				t.Setenv(variable, value)
			}
			bus, err := main.OpenBus(config.Config{Redis: test.url}, test.keyFile, slog.New(slog.DiscardHandler))
			if err == nil || bus != nil {
				t.Fatal("it is taken")
			}
			for _, word := range test.says {
				if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), busSecret) {
					t.Errorf("the error is %q, want it to say %q and no secret", err, word)
				}
			}
		})
	}
	if bus, err := main.OpenBus(config.Config{}, "", slog.New(slog.DiscardHandler)); bus != nil || err != nil {
		t.Errorf("without a Redis: %v", err)
	}
}
