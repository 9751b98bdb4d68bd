package config_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/dagfence/dagfence/config"
)

// full sets everything, each field to a value of its own that is not the
// default.
func full() config.Config {
	leeway := caddy.Duration(0)
	return config.Config{
		Mode: "audit", BasePath: "/airflow/execution", MultiTeam: "off",
		Token: config.Token{
			JWKS: "https://issuer.example/jwks.json", PublicKey: "/keys/public.pem",
			Secret: "token-secret", SecretFile: "/keys/secret",
			Algorithms: []string{"EdDSA", "RS256"}, Audience: []string{"tasks"}, Issuer: []string{"a", "b"},
			Leeway: &leeway,
		},
		Database: "postgresql://airflow:db-password@db/airflow", DatabaseSchema: "airflow", OwnershipFile: "/etc/owners.yaml",
		Lookup: config.Lookup{
			URL: "https://lookup:8082", Token: "lookup-token", CA: "/keys/ca.pem",
			TLSClient: &config.KeyPair{Cert: "/keys/cert.pem", Key: "/keys/key.pem"},
			Timeout:   caddy.Duration(time.Second),
		},
		Redis: "rediss://:redis-password@cache:6379/1",
		Cache: config.Cache{
			Size: 10, TTL: caddy.Duration(time.Second), TaskTTL: caddy.Duration(time.Minute),
			Key: "cache-key-of-32-characters-......", Deployment: "prod-1",
		},
		Rules: config.Rules{
			Variables: "off", Connections: "audit", XComs: "off", Dags: "audit", Assets: "off",
			XComWrites: "dag", GlobalWrites: "deny", TeamlessTasks: "allow", UnknownRoutes: "unsafe_allow", Documentation: "allow",
		},
		OnUnavailable: "deny", LogAllowed: 0.25,
	}
}

// fields lists the fields below v by their JSON path ("token.leeway"). A key
// pair is one option.
func fields(v reflect.Value, prefix string) map[string]reflect.Value {
	found := make(map[string]reflect.Value)
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue
		}
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if key == "-" {
			continue
		}
		if v.Field(i).Kind() != reflect.Struct {
			found[prefix+key] = v.Field(i)
			continue
		}
		maps.Copy(found, fields(v.Field(i), prefix+key+"."))
	}
	return found
}

func TestFull_SetsEverything(t *testing.T) {
	t.Parallel()
	for path, field := range fields(reflect.ValueOf(full()), "") {
		if field.IsZero() {
			t.Errorf("%s is not set: the tests that use full() miss it", path)
		}
	}
}

func TestJSON_RoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]config.Config{"nothing set": {}, "everything set": full()} {
		written, err := json.Marshal(want)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got config.Config
		if err := caddy.StrictUnmarshalJSON(written, &got); err != nil {
			t.Errorf("%s: reading %s: %v", name, written, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s comes back as %+v", name, written, got)
		}
	}
}

func TestEmptyConfig_WritesEmptyJSON(t *testing.T) {
	t.Parallel()
	written, err := json.Marshal(config.Config{})
	if err != nil || string(written) != "{}" {
		t.Errorf("got %s, %v", written, err)
	}
}

func TestJSON_UnknownKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, written := range []string{
		`{"modes":"audit"}`,
		`{"token":{"secrets":"x"}}`,
		`{"lookup":{"tls_client":{"certificate":"x"}}}`,
		`{"rules":{"pools":"off"}}`,
		`{"token":"secret"}`,
		`{"multi_team":true}`,
	} {
		if err := caddy.StrictUnmarshalJSON([]byte(written), new(config.Config)); err == nil {
			t.Errorf("%s is taken", written)
		}
	}
}
