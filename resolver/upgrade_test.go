package resolver_test

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
)

// What fences with version 1 of the seal wrote under the tests' secret, at
// sealedAt: their keys in Redis, and the message that a_variable is to be
// invalidations.
var (
	sealedAt = time.Unix(1_700_000_000, 0)
	sealed1  = map[string]string{
		"dagfence:1:variable:a_variable":                       "0117979cfe362a00000300067465616d5f62000000000000000000000000000088a2739375bb6219799264f60074b4dcaedddcb2d206337fe6b1fbd336a01afe",
		"dagfence:1:variable:nobody":                           "0117979cfe362a00000300000000000000000000000000000000727e0fd853fc4b125f27ace6102335dd38376b95e1db03b2ddf349b2edfbe171",
		"dagfence:1:variable:missing":                          "0117979cfe362a00000200000000000000000000000000000000fcdc1bfaf7f9de934b33eb9b3c88fbcaf743745696ffaae4290c3a6e8cb78ea7",
		"dagfence:1:task:01980000-0000-7000-8000-000000000001": "0117979cfe362a00000300067465616d5f6100056461675f61000572756e5f31000174ffffffffffffffff3f43001b7b68c27189d14e839b0d36324a5db8c38130b3bf2eb378d95ba2cac6",
		"dagfence:1:asset:asset_b":                             "0117979cfe362a00000300067465616d5f620000000000000000000000000000bd592942868b12977ac2500df209a5e1b54af436786a0f96c718dea54c3eb2fc",
	}
	message1 = "0117979cfe362a0000000000000000000703000a615f7661726961626c65385b72aee61397e1171319857f5c068b6cdfbd7fee60635fb43b4566f2602e73"
)

func unhex(tb testing.TB, text string) []byte {
	tb.Helper()
	value, err := hex.DecodeString(text)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// opens1 reports whether a fence with version 1 of the seal opens the value.
func opens1(tb testing.TB, name string, value []byte) bool {
	tb.Helper()
	key, err := hkdf.Key(sha256.New, secret, nil, "dagfence sealed cache entry, version 1", sha256.Size)
	if err != nil {
		tb.Fatal(err)
	}
	if len(value) < 1+8+sha256.Size || value[0] != 1 {
		return false
	}
	body, sum := value[:len(value)-sha256.Size], value[len(value)-sha256.Size:]
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name))))
	mac.Write([]byte(name))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), sum)
}

func TestSeal_OfAnotherVersionDoesNotOpen(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t, secret)
	for key, value := range sealed1 {
		name := strings.TrimPrefix(key, "dagfence:1:")
		if !opens1(t, name, unhex(t, value)) {
			t.Fatalf("%s: the golden value is not as it was sealed", key)
		}
		if body, _, ok := sealer.Open(name, sealedAt, unhex(t, value)); ok {
			t.Errorf("%s opens as %x", key, body)
		}
	}
	if !opens1(t, "dagfence:invalidate", unhex(t, message1)) {
		t.Fatal("the golden message is not as it was sealed")
	}
	if opens1(t, sealedName, sealer.Seal(sealedName, sealedAt, []byte("new"))) {
		t.Error("a new value opens for an old fence")
	}
}

// TestOldAndNewFences_ShareARedis has what an old fence wrote where a new one
// looks, and where it does not: neither takes the other's for its own.
func TestOldAndNewFences_ShareARedis(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client := server.Client(t)
	for key, value := range sealed1 {
		for _, at := range []string{key, strings.Replace(key, "dagfence:1:", "dagfence:2:", 1)} {
			if err := client.Set(t.Context(), at, unhex(t, value), time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	world := owned()
	world.Own(resolver.KindVariable, variableKey, "team_c")
	chain := newChain(t, resolver.Options{Source: world, Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}}.Patient())
	question := ask(resolver.KindVariable, variableKey)
	expect(t, resolve(t, chain, question), resolver.Found, "team_c")
	// What stood there is put right, and what the old fence reads is left alone.
	old := unhex(t, sealed1["dagfence:1:variable:"+variableKey])
	var value []byte
	eventually(t, "for a new entry", func() bool {
		value, _ = client.Get(t.Context(), resolver.RedisKey(question)).Bytes()
		return len(value) > 0 && !bytes.Equal(value, old)
	})
	if opens1(t, "variable:"+variableKey, value) {
		t.Error("an old fence would take the new entry")
	}
	if value, err := client.Get(t.Context(), "dagfence:1:variable:"+variableKey).Bytes(); err != nil || !opens1(t, "variable:"+variableKey, value) {
		t.Errorf("the old fence's entry is %x, %v", value, err)
	}
	// An old fence's message is dropped: the owner is believed for its time to live.
	if err := client.Publish(t.Context(), "dagfence:invalidate", unhex(t, message1)).Err(); err != nil {
		t.Fatal(err)
	}
	world.Forget()
	expect(t, resolve(t, chain, question), resolver.Found, "team_c")
	expectCalls(t, world, 0)
}

// TestDeployments_ShareARedis has two Airflows with one secret, which have things
// of the same names.
func TestDeployments_ShareARedis(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client := server.Client(t)
	start := func(deployment, team string) (*resolver.Chain, *resolvertest.World) {
		world := new(resolvertest.World)
		world.Own(resolver.KindVariable, variableKey, team)
		return newChain(t, resolver.Options{Source: world, Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret, Deployment: deployment}}.Patient()), world
	}
	question := ask(resolver.KindVariable, variableKey)
	for deployment, team := range map[string]string{"one": "", "two": "team_b", "": "team_c"} {
		chain, _ := start(deployment, team)
		expect(t, resolve(t, chain, question), resolver.Found, team)
		prefix := map[string]string{"one": "dagfence:2@one:", "two": "dagfence:2@two:", "": "dagfence:2:"}[deployment]
		key := prefix + "variable:" + variableKey
		eventually(t, "for "+key, func() bool { return client.Exists(t.Context(), key).Val() == 1 })
	}
	// Each finds its own in Redis, and none another's.
	for deployment, team := range map[string]string{"one": "", "two": "team_b", "": "team_c"} {
		chain, world := start(deployment, "changed meanwhile")
		expect(t, resolve(t, chain, question), resolver.Found, team)
		expectCalls(t, world, 0)
	}
	// Who copies an entry from one to the other grants nothing.
	value, err := client.Get(t.Context(), "dagfence:2@one:variable:"+variableKey).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Set(t.Context(), "dagfence:2@two:variable:"+variableKey, value, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	two, world := start("two", "team_b")
	expect(t, resolve(t, two, question), resolver.Found, "team_b")
	expectCalls(t, world, 1)
}

func TestInvalidation_StaysWithinItsDeployment(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	key := resolver.Key{Kind: resolver.KindVariable, Name: variableKey}
	worlds, chains := map[string]*resolvertest.World{}, map[string]*resolver.Chain{}
	for _, name := range []string{"here", "same", "other"} {
		worlds[name] = owned()
		deployment := map[string]string{"other": "two"}[name]
		chains[name] = newChain(t, resolver.Options{Source: worlds[name], Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret, Deployment: deployment}}.Patient())
	}
	// Until the fence of the same deployment has heard of it, and so subscribed.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		for _, name := range []string{"same", "other"} {
			resolve(t, chains[name], ask(key.Kind, key.Name))
			worlds[name].Forget()
		}
		if err := chains["here"].Invalidate(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
		for _, name := range []string{"same", "other"} {
			resolve(t, chains[name], ask(key.Kind, key.Name))
		}
		if calls := worlds["other"].Calls(); calls != 0 {
			t.Fatalf("another deployment has invalidations it, and asked %d times", calls)
		}
		if worlds["same"].Calls() > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the same deployment does not hear of it")
		}
	}
}

// service1 is a lookup service of version 1 of the wire: it refuses a request of
// which it does not understand all, and knows neither attempts nor several owners.
func service1(tb testing.TB, answers map[string]string) string {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Questions []struct {
				Kind string `json:"kind"`
				Name string `json:"name"`
			} `json:"questions"`
		}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&request); err != nil {
			http.Error(w, `{"error":"reading the body"}`, http.StatusBadRequest)
			return
		}
		var given []string
		for _, question := range request.Questions {
			switch question.Kind {
			case "task", "dag", "variable", "connection", "asset":
			default:
				http.Error(w, `{"error":"question 0: kind is none of task, dag, variable, connection, asset"}`, http.StatusBadRequest)
				return
			}
			answer := answers[question.Kind+" "+question.Name]
			if answer == "" {
				answer = `{"outcome":"not_found","age_ms":2}`
			}
			given = append(given, answer)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"answers":[`+strings.Join(given, ",")+`]}`)
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

// TestNewFence_AsksAnOldLookupService finds what it needs for variables, and opens
// nothing that the service knows too little of.
func TestNewFence_AsksAnOldLookupService(t *testing.T) {
	t.Parallel()
	client, err := resolver.NewLookup(resolver.LookupOptions{Timeout: resolver.Timeout, URL: service1(t, map[string]string{
		"task " + task1: `{"outcome":"found","team":"team_a","task":{"dag_id":"dag_a","run_id":"run_1","task_id":"t","map_index":-1},"age_ms":2}`,
		"variable v":    `{"outcome":"found","team":"team_b","age_ms":2}`,
	})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	answers := client.Resolve(t.Context(), []resolver.Question{as(resolver.Fresh, ask(resolver.KindTask, task1)), ask(resolver.KindVariable, "v")})
	expect(t, answers[0], resolver.Found, "team_a")
	expect(t, answers[1], resolver.Found, "team_b")
	if answers[0].Current || answers[0].StoredTeam != "" {
		t.Errorf("a missing field is taken for %v, %q", answers[0].Current, answers[0].StoredTeam)
	}
	for _, kind := range []resolver.Kind{resolver.KindAssetName, resolver.KindAssetURI, resolver.KindAssetAlias} {
		answer := resolve(t, client, ask(kind, "x"))
		if answer.Outcome != resolver.Unavailable || !strings.Contains(answer.Err.Error(), "returned 400") {
			t.Errorf("%v is %v (%v)", kind, answer.Outcome, answer.Err)
		}
	}
}

// TestAnswerOfALaterLookupService_IsRead takes what it knows of an answer.
func TestAnswerOfALaterLookupService_IsRead(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]resolver.Answer{
		`{"outcome":"found","team":"team_a","age_ms":0,"grants":[{"team":"*","may":["read"]}],"later":{"x":1}}`: {Outcome: resolver.Found, Team: "team_a"},
		`{"outcome":"found","teams":["team_a","team_b"],"age_ms":0}`:                                            {Outcome: resolver.Found, Team: "team_a", Others: []string{"team_b"}},
		`{"outcome":"found","teams":["team_a"],"age_ms":0}`:                                                     {},
		`{"outcome":"found","teams":["team_a",""],"age_ms":0}`:                                                  {},
		`{"outcome":"found","team":"team_a","teams":["team_a","team_b"],"age_ms":0}`:                            {},
		`{"outcome":"found","age_ms":0}`:                                                                        {},
		`{"outcome":"granted","team":"team_a","age_ms":0}`:                                                      {},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"answers":[`+answer+`],"later":true}`)
		}))
		client, err := resolver.NewLookup(resolver.LookupOptions{Timeout: resolver.Timeout, URL: server.URL})
		if err != nil {
			t.Fatal(err)
		}
		got := resolve(t, client, ask(resolver.KindAssetName, "x"))
		if got.Outcome != want.Outcome || got.Team != want.Team || strings.Join(got.Others, ",") != strings.Join(want.Others, ",") {
			t.Errorf("%s is %+v, want %+v", answer, got, want)
		}
		client.Close()
		server.Close()
	}
}

// TestSeveralOwners_AreNotKept asks for an asset that gets a second owner, and for
// an alias, which is asked for each time.
func TestSeveralOwners_AreNotKept(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	others := []string(nil)
	calls := 0
	source := resolver.Func(func(_ context.Context, questions []resolver.Question) []resolver.Answer {
		calls += len(questions)
		answers := make([]resolver.Answer, len(questions))
		for i := range answers {
			answers[i] = resolver.Answer{Outcome: resolver.Found, Team: "team_a", Others: others, AsOf: time.Now()}
		}
		return answers
	})
	chain := newChain(t, resolver.Options{Source: source, Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}}.Patient())
	name, alias := ask(resolver.KindAssetName, "x"), ask(resolver.KindAssetAlias, "x")
	want := func(question resolver.Question, asked, owners int) {
		t.Helper()
		before := calls
		answer := resolve(t, chain, question)
		if got := 1 + len(answer.Others); calls-before != asked || got != owners || answer.Outcome != resolver.Found {
			t.Errorf("%v: asked %d times, %d owners (%v): want %d, %d", question.Key, calls-before, got, answer.Outcome, asked, owners)
		}
	}
	want(name, 1, 1)
	want(name, 0, 1)
	want(alias, 1, 1)
	want(alias, 1, 1)
	others = []string{"team_b"}
	want(name, 0, 1) // within its time to live
	want(as(resolver.Fresh, name), 1, 2)
	want(name, 1, 2) // the older answer stands no more
	want(name, 1, 2)
	want(alias, 1, 2)
	waitKeyGone(t, server.Client(t), alias)
}

func waitKeyGone(tb testing.TB, client redis.UniversalClient, question resolver.Question) {
	tb.Helper()
	time.Sleep(50 * time.Millisecond) // fills are written in the background
	if n, err := client.Exists(tb.Context(), resolver.RedisKey(question)).Result(); err != nil || n != 0 {
		tb.Errorf("%v is in Redis (%v)", question.Key, err)
	}
}
