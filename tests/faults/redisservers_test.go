package faults_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

func TestRedisFailover_ChangesNoAnswer(t *testing.T) {
	t.Parallel()
	db, servers := newDatabase(t), services.RedisSentinel(t)
	f := start(t, "--database", db.url, "--redis", servers.URL())
	f.rounds(t, 1, unharmed)
	sidecar.Within(t, deadline, "redis is in use", f.asksRedis(t))
	servers.Master.Stop()
	stopped := time.Now()
	f.rounds(t, 20, unharmed)
	replica := servers.Replica.Client(t)
	sidecar.Within(t, 10*time.Second, "the replica is promoted", func() bool {
		f.rounds(t, 1, unharmed)
		info, _ := replica.Info(t.Context(), "replication").Result()
		return strings.Contains(info, "role:master")
	})
	sidecar.Within(t, deadline, "the promoted replica is in use", f.asksRedis(t))
	t.Logf("the promoted replica is in use %v after the master's end", time.Since(stopped).Round(ms))
}

func TestRedisCluster_NodeLossChangesNoAnswer(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	url, client := services.RedisCluster(t)
	f := start(t, "--database", db.url, "--redis", url)
	f.rounds(t, 1, unharmed)
	sidecar.Within(t, deadline, "redis is in use", f.asksRedis(t))
	pid := oneNode(t, client)
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	f.rounds(t, 40, unharmed) // after two seconds the others give the node up
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	sidecar.Within(t, 10*time.Second, "the cluster is whole", func() bool {
		return client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
			info, err := node.ClusterInfo(ctx).Result()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				err = errors.New("a node misses others")
			}
			return err
		}) == nil
	})
	took := sidecar.Within(t, deadline, "redis is in use again", f.asksRedis(t))
	t.Logf("in use again %v after the cluster was whole", took)
}

// oneNode returns the process id of one node.
func oneNode(t *testing.T, client *redis.ClusterClient) int {
	t.Helper()
	var found atomic.Int64
	err := client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		info, err := node.Info(ctx, "server").Result()
		_, id, _ := strings.Cut(info, "process_id:")
		id, _, _ = strings.Cut(id, "\r")
		pid, _ := strconv.Atoi(id)
		found.Store(int64(pid))
		return err
	})
	if err != nil || found.Load() == 0 {
		t.Fatal(errors.Join(errors.New("the cluster's nodes tell no process id"), err))
	}
	return int(found.Load())
}
