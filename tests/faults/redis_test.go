package faults_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// sick is a Redis with something wrong, which can be repaired.
type sick struct {
	url          string
	hurt, repair func(t *testing.T)
}

// redisFaults are all things that may be wrong with a Redis that is not there to
// be believed anyway. None changes an answer.
var redisFaults = map[string]struct {
	start func(t *testing.T) sick
	// leftAlone: after a few failures it is not asked, but once a second.
	leftAlone bool
}{
	"it is down":                     {down, true},
	"it is frozen":                   {frozen, true},
	"it takes a second":              {poisoned("latency", map[string]int{"latency": 1000}), true},
	"it takes 30 ms":                 {poisoned("latency", map[string]int{"latency": 30}), false},
	"it swallows what it is sent":    {poisoned("timeout", map[string]int{"timeout": 0}), true},
	"it resets connections":          {poisoned("reset_peer", map[string]int{"timeout": 0}), true},
	"it closes in mid-answer":        {poisoned("limit_data", map[string]int{"bytes": 4}), true},
	"it dribbles":                    {poisoned("slicer", map[string]int{"average_size": 1, "delay": 30_000}), true},
	"it wants a password (NOAUTH)":   {configured("requirepass", "right"), true},
	"it is full (OOM)":               {configured("maxmemory", "1mb"), false},
	"it evicts what it is given":     {evicting, false},
	"it became a replica (READONLY)": {readonly, false},
	"the keys are lists (WRONGTYPE)": {lists, false},
	"it is loading (LOADING)":        {talking("-LOADING Redis is loading the dataset in memory\r\n"), true},
	"the keys are elsewhere (MOVED)": {talking("-MOVED 3999 127.0.0.1:1\r\n"), true},
	"it speaks another protocol":     {talking("HTTP/1.1 400 Bad Request\r\n\r\n"), true},
	"it announces a string of 16 GB": {talking("$16000000000\r\nx"), true},
	"it announces more than can be":  {talking("$9223372036854775807\r\nx"), true},
	"it announces a huge array":      {talking("*2000000000\r\n"), true},
	"it nests arrays without an end": {talking(strings.Repeat("*1\r\n", 1<<20)), true},
	"it ends no line":                {talking(strings.Repeat("+x", 1<<20)), true},
	"it flaps, five times in 2 s":    {flapping, false},
}

func TestRedisFaults_ChangeNoAnswer(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for name, fault := range redisFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := fault.start(t)
			f := start(t, "--database", db.url, "--redis", server.url)
			f.rounds(t, 1, unharmed)
			sidecar.Within(t, deadline, "redis is in use", f.asksRedis(t))
			asked := f.Metric(t, `tier="redis"`, `result="error"`)
			server.hurt(t)
			f.rounds(t, 20, unharmed)
			asked = f.Metric(t, `tier="redis"`, `result="error"`) - asked
			if status := f.probe(t.Context(), "/ready"); status != 200 {
				t.Errorf("ready: %d", status)
			}
			if fault.leftAlone && asked > 30 {
				t.Errorf("a redis that answers nothing was asked %v times", asked)
			}
			server.repair(t)
			took := sidecar.Within(t, deadline, "redis is in use again", f.asksRedis(t))
			t.Logf("asked %v times in vain, in use again after %v", asked, took)
			f.rounds(t, 1, unharmed)
			if memory := f.Metric(t, "go_memstats_sys_bytes "); memory > 256<<20 {
				t.Errorf("the fence took %.0f MiB", memory/(1<<20))
			}
		})
	}
}

// asksRedis reports whether Redis has answered a question since the last call.
func (f *fence) asksRedis(t *testing.T) func() bool {
	t.Helper()
	answered := func() float64 {
		return f.Metric(t, `tier="redis"`, `result="hit"`) + f.Metric(t, `tier="redis"`, `result="miss"`)
	}
	before := answered()
	return func() bool {
		f.get(t, "a_"+strconv.FormatInt(f.round.Add(1)%names, 10))
		return answered() > before
	}
}

func down(t *testing.T) sick {
	t.Helper()
	server := services.Redis(t)
	return sick{
		server.URL(),
		func(*testing.T) { server.Stop() },
		func(t *testing.T) { t.Helper(); services.RedisAt(t, server.Addr) },
	}
}

func frozen(t *testing.T) sick {
	t.Helper()
	server := services.Redis(t)
	return sick{server.URL(), signal(server.Process, syscall.SIGSTOP), signal(server.Process, syscall.SIGCONT)}
}

// signal sends one, and makes sure that nothing is left stopped.
func signal(p *services.Process, sent syscall.Signal) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		t.Cleanup(func() { _ = syscall.Kill(p.Pid(), syscall.SIGCONT) })
		if err := syscall.Kill(p.Pid(), sent); err != nil {
			t.Fatal(err)
		}
	}
}

func poisoned(toxic string, attributes map[string]int) func(t *testing.T) sick {
	return func(t *testing.T) sick {
		t.Helper()
		w := newWire(t, services.Redis(t).Addr)
		return sick{
			"redis://" + w.Listen,
			func(t *testing.T) { t.Helper(); w.poison(t, toxic, attributes) },
			w.cure,
		}
	}
}

// configured is a Redis that is set otherwise while it runs; its clients have
// to connect anew.
func configured(name, value string) func(t *testing.T) sick {
	return func(t *testing.T) sick {
		t.Helper()
		server := services.Redis(t)
		client := server.Client(t)
		set := func(value string) func(t *testing.T) {
			return func(t *testing.T) {
				t.Helper()
				do(t, client, "CONFIG", "SET", name, value)
				do(t, client, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			}
		}
		before := do(t, client, "CONFIG", "GET", name).(map[any]any)[name]
		return sick{server.URL(), set(value), set(before.(string))}
	}
}

func do(t *testing.T, client *redis.Client, command ...any) any {
	t.Helper()
	answer, err := client.Do(t.Context(), command...).Result()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	return answer
}

// evicting has room for a few entries beside what the server itself takes.
func evicting(t *testing.T) sick {
	t.Helper()
	server := services.Redis(t, "--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "1")
	client := server.Client(t)
	t.Cleanup(func() {
		stats, _ := client.Info(context.Background(), "stats").Result() // t.Context has ended
		if strings.Contains(stats, "evicted_keys:0\r\n") {
			t.Error("nothing was evicted")
		}
	})
	return sick{
		server.URL(),
		func(t *testing.T) {
			t.Helper()
			used, _ := client.Info(t.Context(), "memory").Result()
			_, used, _ = strings.Cut(used, "used_memory:")
			used, _, _ = strings.Cut(used, "\r")
			n, _ := strconv.Atoi(used)
			do(t, client, "CONFIG", "SET", "maxmemory", n+16<<10)
		},
		func(t *testing.T) { t.Helper(); do(t, client, "CONFIG", "SET", "maxmemory", 0) },
	}
}

func readonly(t *testing.T) sick {
	t.Helper()
	server := services.Redis(t)
	client := server.Client(t)
	return sick{
		server.URL(),
		func(t *testing.T) { t.Helper(); do(t, client, "REPLICAOF", "127.0.0.1", "1") },
		func(t *testing.T) { t.Helper(); do(t, client, "REPLICAOF", "NO", "ONE") },
	}
}

// lists are where the fence's entries should be.
func lists(t *testing.T) sick {
	t.Helper()
	server := services.Redis(t)
	client := server.Client(t)
	keys := []string{"task:" + taskA, "identity:" + taskA, "connection:conn_a"}
	for n := range 200 {
		keys = append(keys, "variable:a_"+strconv.Itoa(n), "variable:b_"+strconv.Itoa(n))
	}
	return sick{
		server.URL(),
		func(t *testing.T) {
			t.Helper()
			for _, key := range keys {
				do(t, client, "DEL", "dagfence:2:"+key)
				do(t, client, "LPUSH", "dagfence:2:"+key, "x")
			}
		},
		func(t *testing.T) { t.Helper(); do(t, client, "FLUSHALL") },
	}
}

// talking is no Redis, but something that begins to answer in these words.
func talking(words string) func(t *testing.T) sick {
	return func(t *testing.T) sick {
		t.Helper()
		s := newStub(t)
		return sick{s.url, func(*testing.T) { s.words.Store(&words) }, func(*testing.T) { s.words.Store(nil) }}
	}
}

// flapping is up and down by turns, for 200 ms each.
func flapping(t *testing.T) sick {
	t.Helper()
	w := newWire(t, services.Redis(t).Addr)
	door := newDoor(t, w.Listen)
	var flaps sync.WaitGroup
	return sick{"redis://" + door.addr, func(t *testing.T) {
		t.Helper()
		started, before := time.Now(), door.opened.Load()
		flaps.Go(func() {
			for range 5 {
				w.cut()
				time.Sleep(200 * ms)
				w.repair(t)
				time.Sleep(200 * ms)
			}
			dials, took := door.opened.Load()-before, time.Since(started)
			t.Logf("%d dials in %v", dials, took.Round(ms))
			if float64(dials) > 20*took.Seconds() { // a reader, the writer and the subscription each dial anew
				t.Errorf("redis was dialed %d times in %v", dials, took)
			}
		})
	}, func(*testing.T) { flaps.Wait() }}
}
