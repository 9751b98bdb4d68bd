package caddymodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
)

const everyOption = `dagfence {
	mode audit
	base_path /airflow/execution
	multi_team off
	token {
		jwks https://issuer.example/jwks.json
		public_key /keys/public.pem
		secret "a secret"
		secret_file /keys/secret
		algorithms EdDSA RS256
		audience tasks
		issuer a b
		leeway 0
	}
	database postgresql://airflow@db/airflow
	ownership_file /etc/owners.yaml
	lookup https://lookup:8082 {
		token lookup-token
		ca /keys/ca.pem
		tls_client /keys/cert.pem /keys/key.pem
		timeout 1s
	}
	redis rediss://cache:6379/1
	cache {
		size 10
		ttl 1s
		task_ttl 1m
		key {env.CACHE_KEY}
	}
	rules {
		variables off
		connections audit
		xcoms off
		dags audit
		assets off
		xcom_writes dag
		global_writes deny
		teamless_tasks allow
		unknown_routes unsafe_allow
		documentation allow
	}
	on_unavailable deny
	log_allowed 0.25
}`

func unmarshal(written string) (config.Config, error) {
	var h caddymodule.Handler
	err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(written))
	return h.Config, err
}

func TestCaddyfile_EveryOption(t *testing.T) {
	t.Parallel()
	leeway := caddy.Duration(0)
	want := config.Config{
		Mode: "audit", BasePath: "/airflow/execution", MultiTeam: "off",
		Token: config.Token{
			JWKS: "https://issuer.example/jwks.json", PublicKey: "/keys/public.pem",
			Secret: "a secret", SecretFile: "/keys/secret",
			Algorithms: []string{"EdDSA", "RS256"}, Audience: []string{"tasks"}, Issuer: []string{"a", "b"},
			Leeway: &leeway,
		},
		Database: "postgresql://airflow@db/airflow", OwnershipFile: "/etc/owners.yaml",
		Lookup: config.Lookup{
			URL: "https://lookup:8082", Token: "lookup-token", CA: "/keys/ca.pem",
			TLSClient: &config.KeyPair{Cert: "/keys/cert.pem", Key: "/keys/key.pem"},
			Timeout:   caddy.Duration(time.Second),
		},
		Redis: "rediss://cache:6379/1",
		Cache: config.Cache{
			Size: 10, TTL: caddy.Duration(time.Second), TaskTTL: caddy.Duration(time.Minute), Key: "{env.CACHE_KEY}",
		},
		Rules: config.Rules{
			Variables: "off", Connections: "audit", XComs: "off", Dags: "audit", Assets: "off",
			XComWrites: "dag", GlobalWrites: "deny", TeamlessTasks: "allow", UnknownRoutes: "unsafe_allow", Documentation: "allow",
		},
		OnUnavailable: "deny", LogAllowed: 0.25,
	}
	got, err := unmarshal(everyOption)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestHandler_HasTheConfigsJSON(t *testing.T) {
	t.Parallel()
	var h caddymodule.Handler
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(everyOption)); err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(&h)
	if err != nil {
		t.Fatal(err)
	}
	var got config.Config
	if err := caddy.StrictUnmarshalJSON(written, &got); err != nil || !reflect.DeepEqual(got, h.Config) {
		t.Errorf("%s comes back as %+v, %v", written, got, err)
	}
}

// TestCaddyfile_DocumentedExampleEqualsItsJSON reads the Caddyfile and the JSON that
// docs/configuration.md shows for one another.
func TestCaddyfile_DocumentedExampleEqualsItsJSON(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```caddyfile\n(dagfence .+?)```.+?```json\n(.+?)```").FindStringSubmatch(string(docs))
	if blocks == nil {
		t.Fatal("there is no example")
	}
	fromCaddyfile, err := unmarshal(blocks[1])
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON struct {
		config.Config
		Handler string `json:"handler"`
	}
	if err := caddy.StrictUnmarshalJSON([]byte(blocks[2]), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if fromJSON.Handler != "dagfence" || !reflect.DeepEqual(fromCaddyfile, fromJSON.Config) {
		t.Errorf("the Caddyfile means %+v\nthe JSON %+v", fromCaddyfile, fromJSON)
	}
}

// TestCaddyfile_OptionsAreTheStructsKeys asks each block for an option that it does not
// have; the answer lists those that it has.
func TestCaddyfile_OptionsAreTheStructsKeys(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		written string
		keys    any
		but     string // is outside the block
	}{
		"dagfence": {"dagfence {\n?\n}", config.Config{}, ""},
		"token":    {"dagfence {\ntoken {\n?\n}\n}", config.Token{}, ""},
		"lookup":   {"dagfence {\nlookup http://x {\n?\n}\n}", config.Lookup{}, "url"},
		"cache":    {"dagfence {\ncache {\n?\n}\n}", config.Cache{}, ""},
		"rules":    {"dagfence {\nrules {\n?\n}\n}", config.Rules{}, ""},
	}
	listed := regexp.MustCompile(`^(\w+) has no option "\?": must be one of ([a-z_, ]+), at `)
	for name, tc := range cases {
		keys := make(map[string]bool)
		for field := range reflect.TypeOf(tc.keys).Fields() {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			keys[key] = key != tc.but && key != "-"
		}
		maps.DeleteFunc(keys, func(_ string, inBlock bool) bool { return !inBlock })
		_, err := unmarshal(tc.written)
		if err == nil {
			t.Fatalf("%s takes an unknown option", name)
		}
		found := listed.FindStringSubmatch(err.Error())
		if found == nil || found[1] != name {
			t.Fatalf("%s: got %v", name, err)
		}
		if want := strings.Join(slices.Sorted(maps.Keys(keys)), ", "); found[2] != want {
			t.Errorf("%s: the table has %s, the struct has %s", name, found[2], want)
		}
	}
}

func TestCaddyfile_ErrorsNameTheFix(t *testing.T) {
	t.Parallel()
	in := func(block, line string) string { return "dagfence {\n" + block + " {\n" + line + "\n}\n}" }
	cases := map[string]struct{ written, want string }{
		"path matcher":     {"dagfence /execution/*", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so requests could bypass the fence with /execution/*: remove it, requests outside base_path are passed through anyway`},
		"named matcher":    {"dagfence @execution {\n}", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so requests could bypass the fence with @execution: remove it, requests outside base_path are passed through anyway`},
		"catch-all":        {"dagfence *", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so requests could bypass the fence with *: remove it, requests outside base_path are passed through anyway`},
		"argument":         {"dagfence enforce", `dagfence takes no arguments: write its options in a block`},
		"empty argument":   {`dagfence ""`, `dagfence takes no arguments: write its options in a block`},
		"twice":            {"dagfence {\nmode audit\nmode enforce\n}", `mode is set twice in dagfence: remove one of them`},
		"block twice":      {"dagfence {\nrules {\ndags off\n}\nrules {\ndags audit\n}\n}", `rules is set twice in dagfence: remove one of them`},
		"twice in a block": {in("token", "leeway 1s\nleeway 2s"), `leeway is set twice in token: remove one of them`},
		"no value":         {"dagfence {\nmode\n}", `mode takes 1 value, and has 0: write them on its line, and one with whitespace in quotes`},
		"empty value":      {"dagfence {\nredis \"\"\n}", `redis has an empty value: write a value, or remove it`},
		"block on a word":  {"dagfence {\nmode audit {\nx\n}\n}", `mode takes no block`},
		"word on a block":  {"dagfence {\ntoken password {\n}\n}", `token takes no value: write its options in a block`},
		"no block":         {"dagfence {\nrules\n}", `rules is empty: write its options in a block, or remove it`},
		"empty block":      {in("cache", ""), `cache is empty: write its options in a block, or remove it`},
		"whitespace":       {in("token", "secret pass my password"), `secret takes 1 value, and has 3: write them on its line, and one with whitespace in quotes`},
		"no names":         {in("token", "algorithms"), `algorithms takes one or more values, and has 0: write them on its line, and one with whitespace in quotes`},
		"empty name":       {in("token", `issuer a ""`), `issuer has an empty value: write a value, or remove it`},
		"leeway":           {in("token", "leeway ten"), `leeway: invalid value "ten": must be a duration, such as 10s, or 0 for none`},
		"negative leeway":  {in("token", "leeway -1s"), `leeway: invalid value "-1s": must be a duration, such as 10s, or 0 for none`},
		"lookup alone":     {"dagfence {\nlookup {\ntoken x\n}\n}", `lookup takes 1 value, and has 0: write them on its line, and one with whitespace in quotes`},
		"half a key pair":  {in("lookup http://x", "tls_client cert.pem"), `tls_client takes 2 values, and has 1: write them on its line, and one with whitespace in quotes`},
		"timeout":          {in("lookup http://x", "timeout 0s"), `timeout: invalid value "0s": must be a positive duration, such as 5s`},
		"size":             {in("cache", "size many"), `size: invalid value "many": must be a positive number`},
		"size 0":           {in("cache", "size 0"), `size: invalid value "0": must be a positive number`},
		"ttl":              {in("cache", "ttl 5"), `ttl: invalid value "5": must be a positive duration, such as 5s`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := unmarshal(tc.written)
			if err == nil {
				t.Fatal("it is taken")
			}
			if got, _, _ := strings.Cut(err.Error(), ", at Testfile:"); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(err.Error(), "password") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}
