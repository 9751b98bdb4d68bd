package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// RedisServer is a running redis-server, without persistence.
type RedisServer struct {
	*Process
	// Addr is its TCP address on loopback, Socket its unix socket's path.
	Addr, Socket string
}

// URL names the server as dagfence's redis option does.
func (r *RedisServer) URL() string { return "redis://" + r.Addr }

// Client is a client of the server, closed when the test ends.
func (r *RedisServer) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: r.Socket})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// Redis starts a redis-server; args are appended to its command line.
func Redis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	return RedisAt(tb, Address(tb), args...)
}

// RedisAt starts a redis-server on an [Address]: a server that comes back after
// a fault comes back where it was.
func RedisAt(tb testing.TB, address string, args ...string) *RedisServer {
	tb.Helper()
	program := Program(tb, "redis-server")
	home, attr := dir(tb, "nobody")
	socket := filepath.Join(home, "s")
	cmd := exec.CommandContext(tb.Context(), program, append([]string{
		"--port", portOf(address), "--bind", hostOf(address), "--replica-announce-ip", hostOf(address), "--unixsocket", socket, "--unixsocketperm", "777",
		"--dir", home, "--save", "", "--appendonly", "no",
	}, args...)...)
	cmd.SysProcAttr = attr
	server := &RedisServer{Process: Start(tb, cmd), Addr: address, Socket: socket}
	server.WaitReady(tb, Dial("unix", socket))
	return server
}

// RedisSentinels is a master with one replica, watched by one Sentinel that
// promotes the replica when the master is gone for a second.
type RedisSentinels struct {
	Master, Replica *RedisServer
	addr            string
}

// URL names the servers as dagfence's redis option does.
func (s *RedisSentinels) URL() string { return "redis-sentinel://" + s.addr + "/main" }

// RedisSentinel starts a master, its replica and their Sentinel.
func RedisSentinel(tb testing.TB) *RedisSentinels {
	tb.Helper()
	master := Redis(tb, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := Redis(tb, "--replicaof", host+" "+port)
	client := replica.Client(tb)
	replica.WaitReady(tb, func(ctx context.Context) error {
		info, err := client.Info(ctx, "replication").Result()
		if err == nil && !strings.Contains(info, "master_link_status:up") {
			err = errors.New("the replica is not linked to its master")
		}
		return err
	})

	home, attr := dir(tb, "nobody")
	own, config := Address(tb), filepath.Join(home, "sentinel.conf")
	content := fmt.Sprintf("port %s\nbind %s\ndir %s\nsentinel monitor main %s %s 1\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", portOf(own), hostOf(own), home, host, port)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	if attr != nil {
		if err := os.Chown(config, int(attr.Credential.Uid), int(attr.Credential.Gid)); err != nil {
			tb.Fatal(err)
		}
	}
	cmd := exec.CommandContext(tb.Context(), Program(tb, "redis-server"), config, "--sentinel")
	cmd.SysProcAttr = attr
	sentinel := Start(tb, cmd)
	sentinels := &RedisSentinels{Master: master, Replica: replica, addr: own}
	watch := redis.NewSentinelClient(&redis.Options{Addr: sentinels.addr})
	defer func() { _ = watch.Close() }()
	sentinel.WaitReady(tb, func(ctx context.Context) error {
		replicas, err := watch.Replicas(ctx, "main").Result()
		if err == nil && len(replicas) != 1 {
			err = errors.New("the sentinel knows no replica")
		}
		return err
	})
	return sentinels
}

// RedisCluster starts a cluster of three masters and returns the URL that names
// it as dagfence's redis option does, and a client that is closed when the test
// ends.
func RedisCluster(tb testing.TB) (string, *redis.ClusterClient) {
	tb.Helper()
	const nodes, slots = 3, 16384
	addrs, servers, clients := make([]string, nodes), make([]*RedisServer, nodes), make([]*redis.Client, nodes)
	for i := range nodes {
		address := Address(tb)
		server := RedisAt(tb, address, "--cluster-enabled", "yes", "--cluster-announce-ip", hostOf(address), "--cluster-node-timeout", "60000")
		client := server.Client(tb)
		addrs[i], servers[i], clients[i] = server.Addr, server, client
		from, to := i*slots/nodes, (i+1)*slots/nodes-1
		if err := client.ClusterAddSlotsRange(tb.Context(), from, to).Err(); err != nil {
			tb.Fatalf("giving slots to a node: %v", err)
		}
		if i == 0 {
			continue
		}
		if err := client.ClusterMeet(tb.Context(), hostOf(addrs[0]), portOf(addrs[0])).Err(); err != nil {
			tb.Fatalf("introducing a node: %v", err)
		}
	}
	for i, server := range servers { // each has a view of its own
		server.WaitReady(tb, func(ctx context.Context) error { return wholeCluster(ctx, clients[i], nodes) })
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	tb.Cleanup(func() { _ = client.Close() })
	return "redis-cluster://" + strings.Join(addrs, ","), client
}

// wholeCluster reports whether a node sees all nodes and all slots served.
func wholeCluster(ctx context.Context, client *redis.Client, nodes int) error {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", nodes)) {
		return errors.New("the cluster is not whole")
	}
	return nil
}
