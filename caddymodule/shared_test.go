package caddymodule_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/caddymodule"
	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// provisionIn makes a fence of the settings, as Caddy does when it loads a
// configuration: with a registry of its own.
func provisionIn(t *testing.T, settings config.Config) (*caddymodule.Handler, caddy.Context, error) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	handler := &caddymodule.Handler{Config: settings}
	err := handler.Provision(ctx)
	return handler, ctx, err
}

// A secret for each test: what one of them shares, no other gets.
const (
	sharedSecret   = "the secret of what is shared"
	failingSecret  = "the secret beside one that fails"
	replacedSecret = "the secret of what is replaced"
)

// answerOf is what a task of team_b gets from the fence: 200 where the request
// passes, as soon as upstream returns.
func answerOf(t *testing.T, handler *caddymodule.Handler, secret, request string, upstream func()) int {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, secret, benchTask, func(claims jwt.MapClaims) {
		claims["dag_id"] = "dag_b"
	}))
	w := httptest.NewRecorder()
	err := handler.ServeHTTP(w, withReplacer(r, caddy.NewReplacer()), caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		if upstream != nil {
			upstream()
		}
		return nil
	}))
	if err != nil {
		t.Error(err)
	}
	return w.Code
}

func TestReload_KeepsStateOfUnchangedSettings(t *testing.T) {
	dir := t.TempDir()
	secretFile := write(t, filepath.Join(dir, "secret"), sharedSecret)
	ownership := write(t, filepath.Join(dir, "owners.yaml"), "variables: {a: team_a}\n")
	another := write(t, filepath.Join(dir, "others.yaml"), "variables: {a: team_a}\n")
	base := func() config.Config {
		return config.Config{Token: config.Token{SecretFile: secretFile}, OwnershipFile: ownership, Redis: "redis://127.0.0.1:1"}
	}
	leeway := caddy.Duration(0)
	for name, kept := range map[string]struct {
		change               func(*config.Config)
		keys, tokens, owners bool
	}{
		"nothing":               {func(*config.Config) {}, true, true, true},
		"mode":                  {func(c *config.Config) { c.Mode = config.Audit }, true, true, true},
		"base_path":             {func(c *config.Config) { c.BasePath = "/x/execution" }, true, true, true},
		"a rule":                {func(c *config.Config) { c.Rules.GlobalWrites = config.Deny }, true, true, true},
		"on_unavailable":        {func(c *config.Config) { c.OnUnavailable = config.Deny }, true, true, true},
		"log_allowed":           {func(c *config.Config) { c.LogAllowed = 0.5 }, true, true, true},
		"a default, written":    {func(c *config.Config) { c.Cache.TTL = caddy.Duration(5 * time.Second) }, true, true, true},
		"token leeway":          {func(c *config.Config) { c.Token.Leeway = &leeway }, true, false, true},
		"token audience":        {func(c *config.Config) { c.Token.Audience = []string{"task"} }, true, false, true},
		"token issuer":          {func(c *config.Config) { c.Token.Issuer = []string{"i"} }, true, false, true},
		"token algorithms":      {func(c *config.Config) { c.Token.Algorithms = []string{"HS256"} }, true, false, true},
		"where the secret is":   {func(c *config.Config) { c.Token = config.Token{Secret: sharedSecret} }, false, false, true},
		"the secret":            {func(c *config.Config) { c.Token = config.Token{Secret: "\xff, another secret"} }, false, false, false},
		"the secret, one byte":  {func(c *config.Config) { c.Token = config.Token{Secret: "\xfe, another secret"} }, false, false, false},
		"multi_team":            {func(c *config.Config) { c.MultiTeam = config.Off }, true, true, true},
		"cache ttl":             {func(c *config.Config) { c.Cache.TTL = caddy.Duration(time.Second) }, true, true, false},
		"cache task_ttl":        {func(c *config.Config) { c.Cache.TaskTTL = caddy.Duration(time.Second) }, true, true, false},
		"cache size":            {func(c *config.Config) { c.Cache.Size = 5 }, true, true, false},
		"cache key":             {func(c *config.Config) { c.Cache.Key = "sixteen-characters" }, true, true, false},
		"redis":                 {func(c *config.Config) { c.Redis = "redis://127.0.0.1:2" }, true, true, false},
		"database_schema":       {func(c *config.Config) { c.DatabaseSchema = "s" }, true, true, false},
		"database":              {func(c *config.Config) { c.Database = "postgresql://u:p@127.0.0.1:1/airflow" }, true, true, false},
		"the database password": {func(c *config.Config) { c.Database = "postgresql://u:q@127.0.0.1:1/airflow" }, true, true, false},
		"ownership_file":        {func(c *config.Config) { c.OwnershipFile = another }, true, true, false},
		"lookup instead": {func(c *config.Config) {
			c.OwnershipFile, c.Lookup = "", config.Lookup{URL: "http://127.0.0.1:1"}
		}, true, true, false},
	} {
		old, _, err := provisionIn(t, base())
		if err != nil {
			t.Fatal(err)
		}
		settings := base()
		kept.change(&settings)
		reloaded, _, err := provisionIn(t, settings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		keys, tokens, owners := old.Shared()
		newKeys, newTokens, newOwners := reloaded.Shared()
		for what, same := range map[string][2]bool{
			"keys": {keys == newKeys, kept.keys}, "verified tokens": {tokens == newTokens, kept.tokens}, "owners": {owners == newOwners, kept.owners},
		} {
			if same[0] != same[1] {
				t.Errorf("a change of %s: %s kept is %v, want %v", name, what, same[0], same[1])
			}
		}
		for _, handler := range []*caddymodule.Handler{old, reloaded} {
			if err := handler.Cleanup(); err != nil {
				t.Error(err)
			}
		}
		if count := caddymodule.InUse(old, reloaded); count != 0 {
			t.Fatalf("after a change of %s, %d things are still in use", name, count)
		}
	}
}

func TestReload_ThatFailsLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	ownership := write(t, filepath.Join(dir, "owners.yaml"), "dags: {dag_b: team_b}\nvariables: {a: team_a}\n")
	good := config.Config{Token: config.Token{Secret: failingSecret}, OwnershipFile: ownership}
	serving, ctx, err := provisionIn(t, good)
	if err != nil {
		t.Fatal(err)
	}
	defer serving.Cleanup()
	before := caddymodule.InUse(serving)
	keys, _, owners := serving.Shared()
	for name, change := range map[string]func(*config.Config){
		"settings": func(c *config.Config) { c.Mode = "loose" },
		"keys":     func(c *config.Config) { c.Token = config.Token{SecretFile: filepath.Join(dir, "absent")} },
		"owners":   func(c *config.Config) { c.OwnershipFile = filepath.Join(dir, "absent") },
		"redis":    func(c *config.Config) { c.Redis = "memcached://x" },
		"seal": func(c *config.Config) {
			c.Token, c.Redis = config.Token{JWKS: "http://127.0.0.1:1/"}, "redis://127.0.0.1:1"
		},
	} {
		settings := good
		change(&settings)
		failed, _, err := provisionIn(t, settings)
		if err == nil {
			t.Errorf("%s: it loads", name)
		}
		if err := failed.Cleanup(); err != nil { // as Caddy does
			t.Error(err)
		}
		if count := caddymodule.InUse(serving, failed); count != before {
			t.Errorf("%s: %d things are in use, %d before", name, count, before)
		}
	}
	if sameKeys, _, sameOwners := serving.Shared(); sameKeys != keys || sameOwners != owners {
		t.Error("the configuration that serves lost something")
	}
	// What is shared counts with the configuration that serves, not with one that failed.
	if status := answerOf(t, serving, failingSecret, "GET /execution/variables/a", nil); status != http.StatusForbidden {
		t.Errorf("answered %d", status)
	}
	families, err := ctx.GetMetricsRegistry().Gather()
	counted := false
	for _, family := range families {
		counted = counted || family.GetName() == "dagfence_lookup_duration_seconds"
	}
	if err != nil || !counted {
		t.Errorf("the lookup is not counted: %v", err)
	}
}

// Two sites, or a configuration and the one that replaces it.
func TestWrite_InvalidatesEveryChainOfTheProcess(t *testing.T) {
	world := new(resolvertest.World)
	world.Own(resolver.KindDag, "dag_b", "team_b")
	service := httptest.NewServer(resolvertest.Service(world))
	defer service.Close()
	settings := config.Config{Token: config.Token{Secret: sharedSecret}, Lookup: config.Lookup{URL: service.URL}}
	writer, _, err := provisionIn(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Cleanup()
	settings.Cache.Size = 10
	reader, _, err := provisionIn(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Cleanup()
	if status := answerOf(t, reader, sharedSecret, "GET /execution/variables/new", nil); status != http.StatusOK {
		t.Fatalf("what nobody owns is answered %d", status)
	}
	answerOf(t, writer, sharedSecret, "PUT /execution/variables/new", func() {
		world.Own(resolver.KindVariable, "new", "team_a")
	})
	if status := answerOf(t, reader, sharedSecret, "GET /execution/variables/new", nil); status != http.StatusForbidden {
		t.Errorf("after the write it is answered %d, want what it is now", status)
	}
}

// Caddy cleans up a handler that was replaced while it may still get requests.
func TestReload_ReplacedHandlerAnswersUntilItsRequestsEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ownership := write(t, filepath.Join(dir, "owners.yaml"), "dags: {dag_b: team_b}\nvariables: {var_a: team_a}\n")
		handler, _, err := provisionIn(t, config.Config{Token: config.Token{Secret: replacedSecret}, OwnershipFile: ownership})
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			answerOf(t, handler, replacedSecret, "PUT /execution/task-instances/"+benchTask+"/heartbeat", func() { <-release })
		}()
		synctest.Wait()
		if err := handler.Cleanup(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if status := answerOf(t, handler, replacedSecret, "GET /execution/variables/var_a", nil); status != http.StatusForbidden {
			t.Errorf("a late request is answered %d, want what it would have been", status)
		}
		if caddymodule.InUse(handler) == 0 {
			t.Error("what a request under way needs is closed")
		}
		close(release)
		<-finished
		time.Sleep(10 * time.Second)
		if count := caddymodule.InUse(handler); count != 0 {
			t.Errorf("with no request left, %d things are in use", count)
		}
	})
}

// A key set that is slow to come may be of a configuration that is being loaded.
func TestWrite_DoesNotWaitForChainsBeingOpened(t *testing.T) {
	world := new(resolvertest.World)
	world.Own(resolver.KindDag, "dag_b", "team_b")
	service := httptest.NewServer(resolvertest.Service(world))
	defer service.Close()
	asked, answer := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-answer
	}))
	defer slow.Close()
	settings := config.Config{Token: config.Token{Secret: sharedSecret}, Lookup: config.Lookup{URL: service.URL}}
	writer, _, err := provisionIn(t, settings)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Cleanup()
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		other := settings
		other.Token = config.Token{JWKS: slow.URL}
		if late, _, err := provisionIn(t, other); err == nil {
			_ = late.Cleanup()
		}
	}()
	<-asked
	written := make(chan int)
	go func() { written <- answerOf(t, writer, sharedSecret, "PUT /execution/variables/new", nil) }()
	select {
	case status := <-written:
		if status != http.StatusOK {
			t.Errorf("a write is answered %d", status)
		}
	case <-time.After(3 * time.Second): // before the key set is given up
		t.Error("a write waits for a key set of another configuration")
	}
	close(answer)
	<-opened
}
