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
}`

func unmarshal(written string) (config.Config, error) {
	var h caddymodule.Handler
	err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(written))
	return h.Config, err
}

func TestEveryOption(t *testing.T) {
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
		OnUnavailable: "deny",
	}
	got, err := unmarshal(everyOption)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestTheHandlersJSONIsTheConfigs(t *testing.T) {
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

// TestDocumentedExample reads the Caddyfile and the JSON that
// docs/configuration.md shows for one another.
func TestDocumentedExample(t *testing.T) {
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

// TestOptionsAreTheStructsKeys asks each block for an option that it does not
// have; the answer lists those that it has.
func TestOptionsAreTheStructsKeys(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		written string
		keys    any
		but     string // stands outside the block
	}{
		"dagfence": {"dagfence {\n?\n}", config.Config{}, ""},
		"token":    {"dagfence {\ntoken {\n?\n}\n}", config.Token{}, ""},
		"lookup":   {"dagfence {\nlookup http://x {\n?\n}\n}", config.Lookup{}, "url"},
		"cache":    {"dagfence {\ncache {\n?\n}\n}", config.Cache{}, ""},
		"rules":    {"dagfence {\nrules {\n?\n}\n}", config.Rules{}, ""},
	}
	listed := regexp.MustCompile(`^(\w+) has no option "\?": it takes ([a-z_, ]+), at `)
	for name, tc := range cases {
		keys := make(map[string]bool)
		for field := range reflect.TypeOf(tc.keys).Fields() {
			key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			keys[key] = key != tc.but && key != "-"
		}
		maps.DeleteFunc(keys, func(_ string, inBlock bool) bool { return !inBlock })
		_, err := unmarshal(tc.written)
		if err == nil {
			t.Fatalf("%s takes an option that is none", name)
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

func TestWrongForm(t *testing.T) {
	t.Parallel()
	in := func(block, line string) string { return "dagfence {\n" + block + " {\n" + line + "\n}\n}" }
	cases := map[string]struct{ written, want string }{
		"path matcher":     {"dagfence /execution/*", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so /execution/* would let requests around the fence; leave it out, what is not below base_path is let through anyway`},
		"named matcher":    {"dagfence @execution {\n}", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so @execution would let requests around the fence; leave it out, what is not below base_path is let through anyway`},
		"catch-all":        {"dagfence *", `dagfence takes no matcher: a matcher sees the cleaned path while reverse_proxy sends the raw one, so * would let requests around the fence; leave it out, what is not below base_path is let through anyway`},
		"argument":         {"dagfence enforce", `dagfence takes no arguments: write its options in a block`},
		"empty argument":   {`dagfence ""`, `dagfence takes no arguments: write its options in a block`},
		"twice":            {"dagfence {\nmode audit\nmode enforce\n}", `mode is set twice in dagfence: leave one of them out`},
		"block twice":      {"dagfence {\nrules {\ndags off\n}\nrules {\ndags audit\n}\n}", `rules is set twice in dagfence: leave one of them out`},
		"twice in a block": {in("token", "leeway 1s\nleeway 2s"), `leeway is set twice in token: leave one of them out`},
		"no value":         {"dagfence {\nmode\n}", `mode takes 1, and has 0: values go on its line, blanks within one in quotes`},
		"empty value":      {"dagfence {\nredis \"\"\n}", `redis is set to nothing: write a value, or leave it out`},
		"block on a word":  {"dagfence {\nmode audit {\nx\n}\n}", `mode takes no block`},
		"word on a block":  {"dagfence {\ntoken password {\n}\n}", `token takes no value: write its options in a block`},
		"no block":         {"dagfence {\nrules\n}", `rules sets nothing: write its options in a block, or leave it out`},
		"empty block":      {in("cache", ""), `cache sets nothing: write its options in a block, or leave it out`},
		"blanks":           {in("token", "secret pass my password"), `secret takes 1, and has 3: values go on its line, blanks within one in quotes`},
		"no names":         {in("token", "algorithms"), `algorithms takes one or more, and has 0: values go on its line, blanks within one in quotes`},
		"empty name":       {in("token", `issuer a ""`), `issuer is set to nothing: write a value, or leave it out`},
		"leeway":           {in("token", "leeway ten"), `leeway: "ten" is no time, such as 10s, or 0 for none`},
		"negative leeway":  {in("token", "leeway -1s"), `leeway: "-1s" is no time, such as 10s, or 0 for none`},
		"lookup alone":     {"dagfence {\nlookup {\ntoken x\n}\n}", `lookup takes 1, and has 0: values go on its line, blanks within one in quotes`},
		"half a key pair":  {in("lookup http://x", "tls_client cert.pem"), `tls_client takes 2, and has 1: values go on its line, blanks within one in quotes`},
		"timeout":          {in("lookup http://x", "timeout 0s"), `timeout: "0s" is no time above 0, such as 5s`},
		"size":             {in("cache", "size many"), `size: "many" is no number above 0`},
		"size 0":           {in("cache", "size 0"), `size: "0" is no number above 0`},
		"ttl":              {in("cache", "ttl 5"), `ttl: "5" is no time above 0, such as 5s`},
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
				t.Errorf("a password is told: %v", err)
			}
		})
	}
}
