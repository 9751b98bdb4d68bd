package resolver_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/resolver"
	"github.com/dagfence/dagfence/resolver/resolvertest"
	"github.com/dagfence/dagfence/tests/services"
)

// waitKey waits until the fill of a question's answer has reached Redis.
func waitKey(tb testing.TB, client redis.UniversalClient, question resolver.Question) {
	tb.Helper()
	key := resolver.RedisKey(question)
	eventually(tb, "for "+key, func() bool { return client.Exists(tb.Context(), key).Val() == 1 })
}

func TestRedis_SharesWhatOneProcessFetched(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client := server.Client(t)
	first, second := owned(), new(resolvertest.World)
	questions := []resolver.Question{
		ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey), ask(resolver.KindVariable, "missing"),
		ask(resolver.KindVariable, "global"), ask(resolver.KindVariable, strings.Repeat("long ", 200)),
	}
	before := newRedis(t, server.URL(), first, resolver.Options{}.Patient()).Resolve(t.Context(), questions)
	for _, question := range questions {
		waitKey(t, client, question)
	}
	waitKey(t, client, identityOf(task1))
	observer := new(counts)
	other := newRedis(t, server.URL(), second, resolver.Options{Observer: observer}.Patient())
	after := other.Resolve(t.Context(), questions)
	for i := range questions {
		expect(t, after[i], before[i].Outcome, before[i].Team)
		if after[i].Tier != resolver.TierRedis {
			t.Errorf("%v is from %v", questions[i], after[i].Tier)
		}
		if after[i].Task != before[i].Task || after[i].AsOf.After(before[i].AsOf) {
			t.Errorf("%v is %+v: want %+v, no younger", questions[i], after[i], before[i])
		}
	}
	identity := resolve(t, other, identityOf(task1))
	expect(t, identity, resolver.Found, "")
	if identity.Task != ran {
		t.Errorf("the identity is %+v: want %+v", identity.Task, ran)
	}
	expectCalls(t, second, 0)
	if hits := observer.result("redis", "hit"); hits != len(questions)+1 {
		t.Errorf("%d hits are reported: want %d", hits, len(questions)+1)
	}
	for _, question := range questions {
		ttl := client.PTTL(t.Context(), resolver.RedisKey(question)).Val()
		if ttl <= 0 || ttl > resolver.OwnerLifetime {
			t.Errorf("%v lapses after %v", question, ttl)
		}
	}
	if ttl := client.PTTL(t.Context(), resolver.RedisKey(identityOf(task1))).Val(); ttl < 4*time.Minute || ttl > resolver.TaskLifetime {
		t.Errorf("the identity lapses after %v", ttl)
	}
}

// The pipeline's replies hold no error then, which looks like a key that is not
// there.
func TestRedis_RefusedPasswordIsNoMiss(t *testing.T) {
	t.Parallel()
	server := services.Redis(t, "--requirepass", "right")
	observer := new(counts)
	tier := newRedis(t, "redis://:wrong@"+server.Addr, owned(), resolver.Options{Observer: observer}.Patient())
	expect(t, resolve(t, tier, ask(resolver.KindVariable, variableKey)), resolver.Found, "team_b")
	if misses, errs := observer.result("redis", "miss"), observer.result("redis", "error"); misses != 0 || errs != 1 {
		t.Errorf("%d misses and %d errors are reported, want an error", misses, errs)
	}
}

func TestRedis_AnswersNoWrite(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	world, observer := owned(), new(counts)
	tier := newRedis(t, server.URL(), world, resolver.Options{Observer: observer}.Patient())
	question := ask(resolver.KindVariable, variableKey)
	resolve(t, tier, question)
	waitKey(t, server.Client(t), question)
	world.Forget()
	resolve(t, tier, as(resolver.Recent, question))
	resolve(t, tier, as(resolver.Confirm, question))
	resolve(t, tier, as(resolver.Fresh, question))
	expectCalls(t, world, 3)
	if got := observer.result("redis", "bypass"); got != 3 {
		t.Errorf("%d questions are reported as bypassing: want 3", got)
	}
	// What it does answer is no younger than such a question takes.
	answer := resolve(t, tier, question)
	expectCalls(t, world, 0)
	if age := time.Since(answer.AsOf); age <= resolver.RecentAge {
		t.Errorf("an answer from redis is %v old: want more than %v", age, resolver.RecentAge)
	}
}

func TestRedis_KeepsAnAnswerForItsTTL(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client, sealer := server.Client(t), newSealer(t, secret)
	found := func(age time.Duration) resolver.Answer {
		return resolver.Answer{Outcome: resolver.Found, Team: "team_b", Task: ran, AsOf: time.Now().Add(-age)}
	}
	variable, task := ask(resolver.KindVariable, variableKey), ask(resolver.KindTask, task1)
	for name, test := range map[string]struct {
		question resolver.Question
		answer   resolver.Answer
		calls    int
	}{
		"owner":                       {variable, found(3 * time.Second), 0},
		"owner past ttl":              {variable, found(5100 * ms), 1},
		"owner a second ahead":        {variable, found(-time.Second), 0},
		"owner from the future":       {variable, found(-10 * time.Second), 1},
		"not found past ttl":          {variable, resolver.Answer{Outcome: resolver.NotFound, AsOf: time.Now().Add(-6 * time.Second)}, 1},
		"denied was never kept":       {variable, resolver.Answer{Outcome: resolver.Denied, AsOf: time.Now()}, 1},
		"unavailable was never kept":  {variable, resolver.Answer{AsOf: time.Now()}, 1},
		"task":                        {task, found(3 * time.Second), 0},
		"task past ttl":               {task, found(5100 * ms), 1},
		"identity":                    {identityOf(task1), found(4 * time.Minute), 0},
		"identity past task_ttl":      {identityOf(task1), found(5*time.Minute + time.Second), 1},
		"identity not found past ttl": {identityOf(task1), resolver.Answer{Outcome: resolver.NotFound, AsOf: time.Now().Add(-6 * time.Second)}, 1},
		"a task of no dag":            {task, resolver.Answer{Outcome: resolver.Found, Team: "team_b", AsOf: time.Now()}, 1},
	} {
		world := owned()
		tier := newRedis(t, server.URL(), world, resolver.Options{}.Patient())
		key, value := sealer.SealAnswer(test.question, test.answer)
		client.Set(t.Context(), key, value, 0)
		answer := resolve(t, tier, test.question)
		if got := world.Calls(); got != test.calls || answer.Outcome != resolver.Found {
			t.Errorf("%s: the source was asked %d times, the answer is %v: want %d", name, got, answer.Outcome, test.calls)
		}
		tier.Close() // and its fills with it
	}
}

func TestRedis_UnsealedEntryIsAMiss(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client, sealer := server.Client(t), newSealer(t, secret)
	question := ask(resolver.KindVariable, variableKey)
	grant := resolver.Answer{Outcome: resolver.Found, Team: "team_x", AsOf: time.Now()}
	key, sealed := sealer.SealAnswer(question, grant)
	_, forged := newSealer(t, []byte("another secret")).SealAnswer(question, grant)
	_, replayed := sealer.SealAnswer(ask(resolver.KindConnection, variableKey), grant)
	for name, poison := range map[string]func(ctx context.Context){
		"garbage":             func(ctx context.Context) { client.Set(ctx, key, "garbage", 0) },
		"another's secret":    func(ctx context.Context) { client.Set(ctx, key, forged, 0) },
		"another key's entry": func(ctx context.Context) { client.Set(ctx, key, replayed, 0) },
		"truncated":           func(ctx context.Context) { client.Set(ctx, key, sealed[:len(sealed)-1], 0) },
		"changed": func(ctx context.Context) {
			client.Set(ctx, key, bytes.Replace(sealed, []byte("_x"), []byte("_y"), 1), 0)
		},
		"too long": func(ctx context.Context) { client.Set(ctx, key, strings.Repeat("x", 10<<20), 0) },
		"a list":   func(ctx context.Context) { client.LPush(ctx, key, sealed) },
		"a hash":   func(ctx context.Context) { client.HSet(ctx, key, "k", sealed) },
		"sealed, but no answer": func(ctx context.Context) {
			client.Set(ctx, key, sealer.Seal("variable:"+variableKey, time.Now(), []byte("x")), 0)
		},
		"sealed, behind garbage": func(ctx context.Context) { client.Set(ctx, key, "x"+string(sealed), 0) },
	} {
		client.Del(t.Context(), key)
		poison(t.Context())
		world, observer := owned(), new(counts)
		tier := newRedis(t, server.URL(), world, resolver.Options{Observer: observer}.Patient())
		expect(t, resolve(t, tier, question), resolver.Found, "team_b")
		if got := observer.result("redis", "error"); got != 1 {
			t.Errorf("%s: %d errors are reported: want 1", name, got)
		}
		// What stood there is overwritten, and then serves.
		eventually(t, name+" is overwritten", func() bool {
			resolve(t, tier, question)
			return observer.result("redis", "hit") > 0
		})
		if tier.BreakerOpen() {
			t.Errorf("%s: the breaker is open", name)
		}
		tier.Close() // and its fills with it
	}
}

func TestRedis_InvalidationReachesEveryProcess(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	spreadInvalidations(t, server.URL(), server.Client(t))
}

// spreadInvalidations has two chains on one Redis forget together.
func spreadInvalidations(t *testing.T, url string, client redis.UniversalClient) {
	t.Helper()
	world, observer := owned(), new(counts)
	here := newChain(t, resolver.Options{Source: world, Redis: resolver.RedisOptions{URL: url, Secret: secret}, Lifetimes: resolver.Lifetimes{Owner: time.Minute}}.Patient())
	there := newChain(t, resolver.Options{Source: world, Redis: resolver.RedisOptions{URL: url, Secret: secret}, Lifetimes: resolver.Lifetimes{Owner: time.Minute}, Observer: observer}.Patient())
	key := resolver.Key{Kind: resolver.KindVariable, Name: variableKey}
	dag := resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}
	// Messages are lost on who has not subscribed yet.
	eventually(t, "the other process listens", func() bool {
		if err := here.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindAsset, Name: "probe"}); err != nil {
			t.Error(err)
		}
		return observer.told() > 0
	})
	question, task := ask(key.Kind, key.Name), ask(resolver.KindTask, task1)
	for _, chain := range []*resolver.Chain{here, there} {
		expect(t, resolve(t, chain, question), resolver.Found, "team_b")
		expect(t, resolve(t, chain, task), resolver.Found, "team_a")
	}
	waitKey(t, client, question)
	waitKey(t, client, task)
	world.Own(key.Kind, key.Name, "team_new")
	world.Own(dag.Kind, dag.Name, "team_new")
	told := observer.told()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a client that goes away does not stop it
	if err := here.Invalidate(ctx, key, dag); err != nil {
		t.Fatal(err)
	}
	expect(t, resolve(t, here, question), resolver.Found, "team_new")
	expect(t, resolve(t, here, task), resolver.Found, "team_new")
	published := time.Now()
	eventually(t, "the other process is told", func() bool {
		// A subscription that was just renewed has missed the message.
		if time.Since(published) > 2*time.Second {
			published = time.Now()
			_ = here.Invalidate(t.Context(), key, dag)
		}
		return observer.told() >= told+2
	})
	expect(t, resolve(t, there, question), resolver.Found, "team_new")
	expect(t, resolve(t, there, task), resolver.Found, "team_new")
}

func TestRedis_TombstoneRefusesAnOlderFill(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client := server.Client(t)
	question := ask(resolver.KindVariable, variableKey)
	// Two processes: one reads the old owner while the other invalidates, and
	// is not told, as it learns of it by Redis alone.
	world := owned()
	invalidator := newChain(t, resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}}.Patient())
	world.Before = func(ctx context.Context, _ []resolver.Question) error {
		return invalidator.Invalidate(ctx, question.Key)
	}
	tier := newRedis(t, server.URL(), world, resolver.Options{}.Patient())
	expect(t, resolve(t, tier, question), resolver.Found, "team_b")
	tier.Close() // what waits is written
	key := resolver.RedisKey(question)
	value, err := client.Get(t.Context(), key).Bytes()
	if err != nil || bytes.Contains(value, []byte("team_b")) {
		t.Errorf("the key holds %q, %v: want a tombstone", value, err)
	}
	if ttl := client.PTTL(t.Context(), key).Val(); ttl <= resolver.OwnerLifetime {
		t.Errorf("the tombstone lapses after %v: want longer than any fill from before it lives", ttl)
	}
	// It is a miss, and no error.
	observer := new(counts)
	fresh := newRedis(t, server.URL(), owned(), resolver.Options{Observer: observer}.Patient())
	expect(t, resolve(t, fresh, question), resolver.Found, "team_b")
	if observer.result("redis", "miss") != 1 {
		t.Errorf("a tombstone is reported as %v: want a miss", observer.results)
	}
}

func TestRedis_EntryPutBackAfterAnInvalidationIsAMiss(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client, sealer := server.Client(t), newSealer(t, secret)
	variable, task := ask(resolver.KindVariable, variableKey), ask(resolver.KindTask, task1)
	for name, test := range map[string]struct {
		question    resolver.Question
		invalidated resolver.Key
		calls       int
	}{
		"its key":                {variable, variable.Key, 1},
		"its task":               {task, task.Key, 1},
		"its task's dag":         {task, resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}, 1},
		"an identity has no dag": {identityOf(task1), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}, 0},
	} {
		world := owned()
		tier := newRedis(t, server.URL(), world, resolver.Options{}.Patient())
		key, value := sealer.SealAnswer(test.question, resolver.Answer{Outcome: resolver.Found, Team: "team_x", Task: ran, AsOf: time.Now()})
		if err := tier.Invalidate(t.Context(), test.invalidated); err != nil {
			t.Fatal(err)
		}
		client.Set(t.Context(), key, value, 0)
		resolve(t, tier, test.question)
		if got := world.Calls(); got != test.calls {
			t.Errorf("%s: the source was asked %d times: want %d", name, got, test.calls)
		}
		tier.Close()
	}
}

func TestBus_AcceptsOnlySealedMessages(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client, sealer := server.Client(t), newSealer(t, secret)
	bus, err := resolver.NewBus(client, resolver.RedisOptions{Secret: secret}.Patient())
	if err != nil {
		t.Fatal(err)
	}
	var got atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bus.Listen(ctx, func(keys []resolver.Key) { got.Add(int64(len(keys))) })
	}()
	key := resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}
	publish := func(message []byte) { client.Publish(t.Context(), resolver.Channel, message) }
	good := func() { publish(sealer.SealMessage(time.Now(), key)) }
	eventually(t, "it listens", func() bool { good(); return got.Load() > 0 })
	before := got.Load()
	for _, message := range [][]byte{
		nil, []byte("garbage"), newSealer(t, []byte("another")).SealMessage(time.Now(), key),
		sealer.SealMessage(time.Now().Add(-time.Minute), key), sealer.SealMessage(time.Now().Add(time.Minute), key),
		sealer.SealMessage(time.Now(), resolver.Key{Kind: 99, Name: "x"}), bytes.Repeat([]byte{1}, 1<<17),
		sealer.Seal("variable:"+variableKey, time.Now(), nil), sealer.Seal(resolver.Channel, time.Now(), []byte("short")),
	} {
		publish(message)
	}
	if err := bus.Invalidate(t.Context(), key); err != nil { // its own
		t.Fatal(err)
	}
	publish(sealer.SealMessage(time.Now(), make([]resolver.Key, 0)...))
	many := make([]resolver.Key, 100)
	for i := range many {
		many[i] = resolver.Key{Kind: resolver.KindAsset, Name: strings.Repeat("x", 1500)}
	}
	other, err := resolver.NewBus(client, resolver.RedisOptions{Secret: secret}.Patient())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Invalidate(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another's long list arrives", func() bool { return got.Load() >= before+100 })
	if extra := got.Load() - before - 100; extra > 5 { // messages of the wait for it to listen may be late
		t.Errorf("%d keys too many were invalidations", extra)
	}
	stop()
	<-ended
}

func TestRedis_FaultsAreMisses(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(t *testing.T) (url string){
		"nobody listens": func(*testing.T) string { return "redis://127.0.0.1:1" },
		"no such socket": func(*testing.T) string { return "unix:///nowhere/at/all" },
		"wrong password": func(t *testing.T) string {
			t.Helper()
			return strings.Replace(services.Redis(t, "--requirepass", "right").URL(), "//", "//:wrong@", 1)
		},
		"no password": func(t *testing.T) string {
			t.Helper()
			return services.Redis(t, "--requirepass", "right").URL()
		},
		"LOADING": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "-LOADING Redis is loading the dataset in memory\r\n")
		},
		"READONLY": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "-READONLY You can't write against a read only replica.\r\n")
		},
		"MOVED": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "-MOVED 3999 127.0.0.1:1\r\n")
		},
		"OOM": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "-OOM command not allowed when used memory > 'maxmemory'.\r\n")
		},
		"not redis": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "HTTP/1.1 400 Bad Request\r\n\r\n")
		},
		"another type": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, ":42\r\n")
		},
		"an endless line": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, strings.Repeat("x", 1<<16))
		},
		"a huge length": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "$9223372036854775807\r\nx\r\n")
		},
		"a length of gigabytes": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "$16000000000\r\nx\r\n")
		},
		"an array of gigabytes": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "*2000000000\r\n")
		},
		"an array in an array, and so on": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, strings.Repeat("*1\r\n", 1<<16))
		},
		"silence": func(t *testing.T) string {
			t.Helper()
			return services.RedisStub(t, "")
		},
		"a sentinel that is none": func(*testing.T) string {
			return "redis-sentinel://127.0.0.1:1/main"
		},
		"a cluster that is none": func(*testing.T) string { return "redis-cluster://127.0.0.1:1" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain := newChain(t, resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: fault(t), Secret: secret}})
			for i := range 20 {
				started := time.Now()
				expect(t, resolve(t, chain, ask(resolver.KindVariable, variableKey)), resolver.Found, "team_b")
				expect(t, resolve(t, chain, ask(resolver.KindDag, strconv.Itoa(i))), resolver.NotFound, "")
				if took := time.Since(started); took > time.Second {
					t.Errorf("two questions took %v", took)
				}
			}
			key := resolver.Key{Kind: resolver.KindVariable, Name: variableKey}
			if err := chain.Invalidate(t.Context(), key); err == nil && name != "READONLY" {
				t.Error("an invalidation that reached nobody is no error")
			}
			if err := chain.Ready(t.Context()); err != nil {
				t.Errorf("a fault of redis makes the chain not ready: %v", err)
			}
		})
	}
}

func TestRedis_BreakerOpensAndRecovers(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	world, observer := owned(), new(counts)
	tier := newRedis(t, server.URL(), world, resolver.Options{Observer: observer})
	resolve(t, tier, ask(resolver.KindVariable, variableKey))
	pause(t, server.Process)
	for i := range 6 { // frozen, each costs its deadline and no more
		started := time.Now()
		expect(t, resolve(t, tier, ask(resolver.KindDag, strconv.Itoa(i))), resolver.NotFound, "")
		if took := time.Since(started); took > 300*ms {
			t.Errorf("a frozen redis costs %v: want about 50 ms", took)
		}
	}
	eventually(t, "the breaker opens", func() bool {
		resolve(t, tier, ask(resolver.KindDag, "once more"))
		return tier.BreakerOpen()
	})
	started := time.Now()
	bypassed := observer.result("redis", "bypass")
	for i := range 100 {
		resolve(t, tier, ask(resolver.KindDag, strconv.Itoa(i)))
	}
	if took := time.Since(started); took > 300*ms || observer.result("redis", "bypass") == bypassed {
		t.Errorf("100 questions behind an open breaker took %v", took)
	}
	if err := tier.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"}); err == nil {
		t.Error("an invalidation that reached nobody is no error")
	}
	unpause(t, server.Process)
	resumed := time.Now()
	eventually(t, "redis answers again", func() bool {
		resolve(t, tier, ask(resolver.KindVariable, "global"))
		return observer.result("redis", "hit") > 0
	})
	if took := time.Since(resumed); took > 3*time.Second {
		t.Errorf("it recovered after %v", took)
	}
}

func pause(t *testing.T, process *services.Process) {
	t.Helper()
	if err := syscall.Kill(process.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(process.Pid(), syscall.SIGCONT) })
}

func unpause(t *testing.T, process *services.Process) {
	t.Helper()
	if err := syscall.Kill(process.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

func TestRedis_RecoversAfterARestart(t *testing.T) {
	t.Parallel()
	address := services.Address(t)
	server := services.RedisAt(t, address)
	observer := new(counts)
	chain := newChain(t, resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}, Observer: observer})
	other := newChain(t, resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: server.URL(), Secret: secret}})
	server.Stop()
	for range 10 {
		expect(t, resolve(t, chain, as(resolver.Recent, ask(resolver.KindVariable, variableKey))), resolver.Found, "team_b")
	}
	services.RedisAt(t, address)
	eventually(t, "invalidations arrive again", func() bool {
		_ = other.Invalidate(t.Context(), resolver.Key{Kind: resolver.KindDag, Name: "dag_a"})
		return observer.told() > 0
	})
}

func TestRedis_ReadOnlyIsStillRead(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	client := server.Client(t)
	question := ask(resolver.KindVariable, variableKey)
	key, value := newSealer(t, secret).SealAnswer(question, resolver.Answer{Outcome: resolver.Found, Team: "team_b", AsOf: time.Now()})
	client.Set(t.Context(), key, value, 0)
	client.ConfigSet(t.Context(), "maxmemory", "1")
	world, observer := owned(), new(counts)
	tier := newRedis(t, server.URL(), world, resolver.Options{Observer: observer, Lifetimes: resolver.Lifetimes{Owner: time.Hour}}.Patient())
	for i := range 50 {
		resolve(t, tier, ask(resolver.KindDag, strconv.Itoa(i)))
	}
	world.Forget()
	expect(t, resolve(t, tier, question), resolver.Found, "team_b")
	expectCalls(t, world, 0)
	if tier.BreakerOpen() {
		t.Error("refused writes open the breaker")
	}
}

func TestRedis_WorksOverEveryTransport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openTo(t, dir)
	openTo(t, filepath.Dir(dir))
	overTLS := services.Address(t)
	host, _, _ := strings.Cut(overTLS, ":")
	resolvertest.Certificates(t, dir, host)
	for name, start := range map[string]func(t *testing.T) (url string, client redis.UniversalClient){
		"unix socket": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			server := services.Redis(t)
			return "unix://" + server.Socket, server.Client(t)
		},
		"ACL user with few rights": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			server := services.Redis(t)
			client := server.Client(t)
			rules := "on >p@ss/w:rd ~dagfence:* &dagfence:* -@all +getrange +set +publish +subscribe +ping"
			args := []any{"ACL", "SETUSER", "fence"}
			for rule := range strings.FieldsSeq(rules) {
				args = append(args, rule)
			}
			if err := client.Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			return "redis://fence:p%40ss%2Fw%3Ard@" + server.Addr, client
		},
		"another database": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			server := services.Redis(t)
			client := redis.NewClient(&redis.Options{Addr: server.Socket, DB: 3})
			t.Cleanup(func() { _ = client.Close() })
			return server.URL() + "/3", client
		},
		"TLS": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			server := services.RedisAt(t, overTLS, "--tls-port", "20443", "--tls-auth-clients", "no", "--tls-ca-cert-file", filepath.Join(dir, "ca.pem"),
				"--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"))
			return "rediss://" + host + ":20443?ca=" + filepath.Join(dir, "ca.pem"), server.Client(t)
		},
		"cluster": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			url, client := services.RedisCluster(t)
			return url, client
		},
		"sentinel": func(t *testing.T) (string, redis.UniversalClient) {
			t.Helper()
			sentinels := services.RedisSentinel(t)
			return sentinels.URL(), sentinels.Master.Client(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, client := start(t)
			spreadInvalidations(t, url, client)
		})
	}
}

func TestRedis_FollowsAFailover(t *testing.T) {
	t.Parallel()
	sentinels := services.RedisSentinel(t)
	chain := newChain(t, resolver.Options{Source: owned(), Redis: resolver.RedisOptions{URL: sentinels.URL(), Secret: secret}})
	client := sentinels.Replica.Client(t)
	resolve(t, chain, ask(resolver.KindVariable, variableKey))
	sentinels.Master.Stop()
	i := 0
	eventually(t, "the promoted replica is used", func() bool {
		question := ask(resolver.KindDag, fmt.Sprintf("after %d", i))
		i++
		expect(t, resolve(t, chain, question), resolver.NotFound, "")
		time.Sleep(20 * ms)
		return client.Exists(t.Context(), resolver.RedisKey(question)).Val() == 1
	})
}

func TestRedis_DropsFillsThatItCannotQueue(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	tier := newRedis(t, server.URL(), owned(), resolver.Options{})
	resolve(t, tier, ask(resolver.KindVariable, variableKey))
	pause(t, server.Process)
	started := time.Now()
	for i := range 3 * resolver.MaxQueue {
		resolve(t, tier, as(resolver.Recent, ask(resolver.KindDag, strconv.Itoa(i))))
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("with a full queue, answers waited: %v", took)
	}
	unpause(t, server.Process)
}

func BenchmarkRedis(b *testing.B) {
	server := services.Redis(b)
	for _, transport := range []struct{ name, url string }{{"tcp", server.URL()}, {"unix", "unix://" + server.Socket}} {
		tier := newRedis(b, transport.url, owned(), resolver.Options{Lifetimes: resolver.Lifetimes{Owner: time.Hour}}.Patient())
		questions := []resolver.Question{ask(resolver.KindTask, task1), ask(resolver.KindVariable, variableKey)}
		tier.Resolve(b.Context(), questions)
		for _, question := range questions {
			waitKey(b, server.Client(b), question)
		}
		b.Run("hit of two over "+transport.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tier.Resolve(b.Context(), questions)
			}
		})
	}
}
