package faults_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/tests/services"
)

// TestRedis_FencesThatShareItAgree runs fences and lookup services as processes, on
// one Redis and one database of Airflow's.
func TestRedis_FencesThatShareItAgree(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T, *coherence){
		"a reassignment is seen within its bound":                 testReassignment,
		"a write through one is seen by the others":               testWriteThrough,
		"a write is judged by the owner of the moment":            testWriteIsRecent,
		"what is created is usable in time":                       testCreated,
		"no value in Redis changes a decision":                    testPoison,
		"a stale replica is believed for no longer than its time": testStaleReplica,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newCoherence(t))
		})
	}
}

// A reassignment takes a team's access away, so a cached answer would give too
// much for as long as it is kept.
func testReassignment(t *testing.T, c *coherence) {
	t.Helper()
	wire := newLink(t, c.redis.Addr)
	near, far := c.fence(t, c.redis.Addr), c.fence(t, wire.addr)
	steps := []struct{ give, take, path string }{
		{"UPDATE dag_bundle_team SET team_name = 'team_a' WHERE dag_bundle_name = 'bundle_a'", "UPDATE dag_bundle_team SET team_name = 'team_b' WHERE dag_bundle_name = 'bundle_a'", "/variables/var_a"},
		{"UPDATE variable SET team_name = 'team_a' WHERE key = 'var_a'", "UPDATE variable SET team_name = 'team_b' WHERE key = 'var_a'", "/variables/var_a"},
		{"UPDATE dag SET bundle_name = 'bundle_a' WHERE dag_id = 'dag_a'", "UPDATE dag SET bundle_name = 'bundle_b' WHERE dag_id = 'dag_a'", "/variables/var_a"},
	}
	// revoke takes access away that both fences just gave, and gives it back.
	revoke := func(t *testing.T, times int) (nearest, farthest durations) {
		t.Helper()
		for i := range times {
			step := steps[i%len(steps)]
			seenBy(t, http.StatusOK, taskA, step.path, near, far)
			c.execute(t, step.take)
			took := seenBy(t, http.StatusForbidden, taskA, step.path, near, far)
			nearest, farthest = append(nearest, took[0]), append(farthest, took[1])
			c.execute(t, step.give)
		}
		slices.Sort(nearest)
		slices.Sort(farthest)
		t.Logf("at most %v, and %v behind the relay", nearest.longest(), farthest.longest())
		return nearest, farthest
	}
	t.Run("by the time to live", func(t *testing.T) {
		if nearest, farthest := revoke(t, 2); max(nearest.longest(), farthest.longest()) > ttlBound+busy {
			t.Errorf("it took %v, and %v", nearest, farthest)
		}
	})
	for range 2 { // two that tell the same do no harm
		c.directory(t, "--redis", c.redis.URL())
	}
	seenBy(t, http.StatusOK, taskA, "/variables/var_a", near, far)
	revoke(t, 1) // by then they watch
	t.Run("where the lookup service watches", func(t *testing.T) {
		nearest, farthest := revoke(t, 9)
		// The watch rests for longer where the database takes long to answer, as on a
		// machine with much else to do.
		if max(nearest.median(), farthest.median()) > watchBound+busy || max(nearest.longest(), farthest.longest()) > ttlBound+busy {
			t.Errorf("it took %v, and %v", nearest, farthest)
		}
	})
	t.Run("by the time to live where messages are lost", func(t *testing.T) {
		wire.cut.Store(true)
		nearest, farthest := revoke(t, 3)
		if nearest.median() > watchBound+busy || farthest.longest() > ttlBound+busy {
			t.Errorf("it took %v, and %v where they are lost", nearest, farthest)
		}
		wire.cut.Store(false)
		for started := time.Now(); ; {
			if _, farthest := revoke(t, 3); farthest.longest() <= watchBound+busy {
				break
			}
			if time.Since(started) > time.Minute {
				t.Fatal("messages never arrive again")
			}
		}
	})
}

// durations are sorted.
type durations []time.Duration

func (d durations) median() time.Duration  { return d[len(d)/2] }
func (d durations) longest() time.Duration { return d[len(d)-1] }

func testWriteThrough(t *testing.T, c *coherence) {
	t.Helper()
	c.upstream.Answer(func(w http.ResponseWriter, r *http.Request) {
		if key, written := strings.CutPrefix(r.URL.Path, "/execution/variables/"); written && r.Method == http.MethodPut {
			c.execute(t, "UPDATE variable SET team_name = 'team_a' WHERE key = '"+key+"'") //nolint:contextcheck // as Airflow 3.2.2 does, whatever becomes of the request
		}
	})
	here, there := c.fence(t, c.redis.Addr), c.fence(t, c.redis.Addr)
	var longest time.Duration
	for i := range 20 {
		key := fmt.Sprintf("global_%d", i)
		c.execute(t, "INSERT INTO variable (key, val) VALUES ('"+key+"', 'v')")
		path := "/variables/" + key
		for range 2 {
			seenBy(t, http.StatusOK, taskOfB, path, here, there)
		}
		if got := here.ask(t, taskA, http.MethodPut, path); got != http.StatusOK {
			t.Fatalf("the write is answered %d", got)
		}
		if got := here.ask(t, taskOfB, http.MethodGet, path); got != http.StatusForbidden {
			t.Errorf("right after the write the other team reads with %d", got)
		}
		if i > 0 { // the first message may come before who is to hear it
			longest = max(longest, there.until(t, http.StatusForbidden, taskOfB, path))
		}
	}
	t.Logf("the other fence knows after %v at most", longest)
	if longest > busy {
		t.Errorf("the other fence knows after %v", longest)
	}
}

func testWriteIsRecent(t *testing.T, c *coherence) {
	t.Helper()
	fences := []*sharer{c.fence(t, c.redis.Addr), c.fence(t, c.redis.Addr)}
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		key := "written_" + strings.ToLower(method)
		c.execute(t, "INSERT INTO variable (key, val, team_name) VALUES ('"+key+"', 'v', 'team_a')")
		var (
			group sync.WaitGroup
			taken time.Time
			known = make(chan struct{})
		)
		for _, fence := range fences {
			group.Go(func() {
				for writes := 0; ; writes++ {
					asked, status := time.Now(), fence.ask(t, taskA, method, "/variables/"+key)
					if writes == 20 && fence == fences[0] {
						c.execute(t, "UPDATE variable SET team_name = 'team_b' WHERE key = '"+key+"'")
						taken = time.Now()
						close(known)
					}
					if writes < 20 {
						continue
					}
					<-known
					switch late := asked.Sub(taken); {
					case status == http.StatusOK && late > 0:
						t.Errorf("%s passes %v after the owner has changed", method, late)
						return
					case late > 2*time.Second:
						return
					}
				}
			})
		}
		group.Wait()
	}
}

func testCreated(t *testing.T, c *coherence) {
	t.Helper()
	fence := c.fence(t, c.redis.Addr)
	for _, test := range []struct {
		task, path, create string
		before, after      int
	}{
		{taskA, "/dag-runs/dag_new/r1/state", "INSERT INTO dag (dag_id, is_paused, bundle_name) VALUES ('dag_new', false, 'bundle_a')", http.StatusNotFound, http.StatusOK},
		{taskOfC, "/variables/var_a", "INSERT INTO task_instance (id, task_id, dag_id, run_id) VALUES ('" + taskOfC + "', 't2', 'dag_a', 'r1')", http.StatusForbidden, http.StatusOK},
		{taskA, "/variables/of_b", "INSERT INTO variable (key, val, team_name) VALUES ('of_b', 'v', 'team_b')", http.StatusOK, http.StatusForbidden},
	} {
		for range 3 { // cached
			if got := fence.ask(t, test.task, http.MethodGet, test.path); got != test.before {
				t.Errorf("%s is answered %d before it exists, want %d", test.path, got, test.before)
			}
		}
		c.execute(t, test.create)
		if took := fence.until(t, test.after, test.task, test.path); took > ttlBound+busy {
			t.Errorf("%s is answered %d after %v", test.path, test.after, took)
		} else {
			t.Logf("%s is answered %d after %v", test.path, test.after, took)
		}
	}
}

// Whoever can write to Redis has every sealed value that ever stood there, and
// knows how they are made. All that is written here would give team_b's variables
// to team_a.
func testPoison(t *testing.T, c *coherence) {
	t.Helper()
	const values, chunk = 10_000, 500
	c.execute(t, fmt.Sprintf("INSERT INTO variable (key, val, team_name) SELECT 'v_' || i, 'v', 'team_a' FROM generate_series(0, %d) i", values-1))
	first, client := c.fence(t, c.redis.Addr), c.redis.Client(t)
	own := make([][]byte, chunk)
	for i := range own {
		own[i] = first.sealed(t, client, fmt.Sprintf("v_%d", i))
	}
	asOf := time.Now()
	c.execute(t, "UPDATE variable SET team_name = 'team_b' WHERE key LIKE 'v!_%' ESCAPE '!'")
	for time.Since(asOf) < ttlBound {
		time.Sleep(100 * time.Millisecond) // the clock of the fence is the machine's
	}
	second, random := c.fence(t, c.redis.Addr), rand.New(rand.NewPCG(1, 2))
	for from := 0; from < values; from += chunk {
		witness := fmt.Sprintf("w_%d", from)
		c.execute(t, "INSERT INTO variable (key, val, team_name) VALUES ('"+witness+"', 'v', 'team_a')")
		fresh := first.sealed(t, client, witness)
		pipe := client.Pipeline()
		for i := from; i < from+chunk; i++ {
			pipe.Set(t.Context(), entryOf(fmt.Sprintf("v_%d", i)), forge(random, i%8, own[i%chunk], fresh), 0)
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for worker := range 4 {
			group.Go(func() {
				for i := from + worker; i < from+chunk; i += 4 {
					path := fmt.Sprintf("/variables/v_%d", i)
					got := second.ask(t, taskA, http.MethodGet, path)
					for tries := 0; got == http.StatusServiceUnavailable && tries < 3; tries++ { // not in time on a busy machine
						got = second.ask(t, taskA, http.MethodGet, path)
					}
					if got != http.StatusForbidden {
						t.Errorf("with a value of kind %d in redis, team_b's variable is answered %d", i%8, got)
					}
				}
			})
		}
		group.Wait()
	}
	if read := second.Metric(t, `dagfence_cache_requests_total{result="error",tier="redis"}`); read < values/2 {
		t.Errorf("%v values were read and refused: too few to say anything", read)
	}
}

// forge makes a value of what once stood at the key, and of what stands at
// another's since a moment ago. Its layout is that of the fence's own: a byte of
// version, eight of time, the answer, and 32 that seal them.
func forge(random *rand.Rand, kind int, own, fresh []byte) []byte {
	const head, seal = 9, 32
	old, value := slices.Clone(own), slices.Clone(fresh)
	switch kind {
	case 0:
		value = make([]byte, random.IntN(200))
		for i := range value {
			value[i] = byte(random.Uint32())
		}
	case 1:
		value[random.IntN(len(value))] ^= byte(1 + random.IntN(255))
	case 2:
		value = value[:random.IntN(len(value))]
	case 3:
		value = append(value, make([]byte, 1+random.IntN(100))...)
	case 4: // another's
	case 5:
		value = old // its own, or another's, past its time
	case 6:
		value = append(append(value[:head], old[head:len(old)-seal]...), old[len(old)-seal:]...) // its own, with the time of now
	case 7:
		mac := hmac.New(sha256.New, []byte("a secret of their own"))
		mac.Write(value[:len(value)-seal])
		value = mac.Sum(value[:len(value)-seal])
	}
	return value
}

func entryOf(variable string) string { return "dagfence:2:variable:" + variable }

// sealed has the fence read a variable of team_a's, and returns what it then keeps
// in Redis.
func (s *sharer) sealed(t *testing.T, client *redis.Client, variable string) []byte {
	t.Helper()
	s.until(t, http.StatusOK, taskA, "/variables/"+variable)
	for started := time.Now(); time.Since(started) < ttlBound; time.Sleep(time.Millisecond) {
		if value, err := client.Get(t.Context(), entryOf(variable)).Bytes(); err == nil {
			return value
		}
	}
	t.Fatalf("the answer about %s is not kept in redis", variable)
	return nil
}

// A replica that fell behind has owners from before they changed, and neither
// their tombstones nor the messages.
func testStaleReplica(t *testing.T, c *coherence) {
	t.Helper()
	wire := newLink(t, c.redis.Addr)
	first := c.fence(t, c.redis.Addr)
	host, port, _ := strings.Cut(c.redis.Addr, ":")
	replica := services.Redis(t, "--replicaof", host+" "+port)
	client := replica.Client(t)
	for round := range 3 {
		key := fmt.Sprintf("moved_%d", round)
		c.execute(t, "INSERT INTO variable (key, val, team_name) VALUES ('"+key+"', 'v', 'team_a')")
		if err := client.ReplicaOf(t.Context(), host, port).Err(); err != nil {
			t.Fatal(err)
		}
		for started := time.Now(); client.Exists(t.Context(), entryOf(key)).Val() == 0; {
			first.until(t, http.StatusOK, taskA, "/variables/"+key)
			if time.Since(started) > 30*time.Second {
				t.Fatal("the replica never gets the entry")
			}
		}
		if err := client.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
			t.Fatal(err)
		}
		// It lapses where it stands, but for a server whose clock is behind.
		if err := client.Persist(t.Context(), entryOf(key)).Err(); err != nil {
			t.Fatal(err)
		}
		c.execute(t, "UPDATE variable SET team_name = 'team_b' WHERE key = '"+key+"'")
		wire.lead(replica.Addr)
		second := c.fence(t, wire.addr) // it has heard of nothing
		took := second.until(t, http.StatusForbidden, taskA, "/variables/"+key)
		t.Logf("behind a stale replica it is seen after %v", took)
		if took > ttlBound+busy {
			t.Errorf("an entry of a stale replica is believed for %v", took)
		}
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		wire.lead(c.redis.Addr)
	}
}
