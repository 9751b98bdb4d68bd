package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/dagfence/dagfence/config"
)

func TestReplace_VisitsOptionsWithPlaceholders(t *testing.T) {
	t.Parallel()
	var asked []string
	c := full()
	before := c
	err := c.Replace(func(option, value string) (string, error) {
		asked = append(asked, option+"="+value)
		return "{" + value + "}", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"token jwks=https://issuer.example/jwks.json", "token public_key=/keys/public.pem",
		"token secret=token-secret", "token secret_file=/keys/secret",
		"database=postgresql://airflow:db-password@db/airflow", "ownership_file=/etc/owners.yaml",
		"lookup=https://lookup:8082", "lookup token=lookup-token", "lookup ca=/keys/ca.pem",
		"redis=rediss://:redis-password@cache:6379/1", "cache key=cache-key-of-32-characters-......", "cache deployment=prod-1",
		"token audience=tasks", "token issuer=a", "token issuer=b",
		"lookup tls_client=/keys/cert.pem", "lookup tls_client=/keys/key.pem",
	}
	if !reflect.DeepEqual(asked, want) {
		t.Errorf("asked for %q", asked)
	}
	if c.Token.Secret != "{token-secret}" || c.Token.Issuer[1] != "{b}" || c.Lookup.TLSClient.Key != "{/keys/key.pem}" {
		t.Errorf("got %+v", c)
	}
	if !reflect.DeepEqual(before, full()) {
		t.Errorf("a copy changed too: %+v", before)
	}
}

func TestReplace_KeepsWhatIsNotSet(t *testing.T) {
	t.Parallel()
	c := config.Config{}
	err := c.Replace(func(option, _ string) (string, error) {
		t.Errorf("asked for %s", option)
		return "", nil
	})
	if err != nil || !reflect.DeepEqual(c, config.Config{}) {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestPlaceholder_EmptyIsAnError(t *testing.T) {
	t.Parallel()
	c := config.Config{Redis: "{env.REDIS}"}
	c.Token.Secret, c.Cache.Key = "{env.SECRET}", "{env.KEY}"
	err := c.Replace(func(option, value string) (string, error) {
		switch option {
		case "token secret":
			return "", nil
		case "redis":
			return "half a password", errors.New("a piece of the secret")
		}
		return strings.ToUpper(value), nil
	})
	const why = `: unknown or empty placeholder: set what it names, or write \{ for a literal brace`
	if err == nil || err.Error() != "token secret"+why+"\nredis"+why {
		t.Errorf("got %v", err)
	}
	if c.Token.Secret == "" || c.Cache.Key != "{ENV.KEY}" {
		t.Errorf("got %+v", c)
	}
}
