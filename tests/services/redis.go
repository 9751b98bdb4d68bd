package services

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// RedisServer is a running redis-server, without persistence.
type RedisServer struct {
	*Process
	// Addr is its TCP address on loopback, Socket its unix socket's path.
	Addr, Socket string
}

// URL names the server as dagfence's redis option does.
func (r *RedisServer) URL() string { return "redis://" + r.Addr }

// Redis starts a redis-server; args are appended to its command line.
func Redis(tb testing.TB, args ...string) *RedisServer {
	tb.Helper()
	return RedisAt(tb, FreePort(tb), args...)
}

// RedisAt starts a redis-server on the given port: a server that comes back
// after a fault comes back where it was.
func RedisAt(tb testing.TB, port int, args ...string) *RedisServer {
	tb.Helper()
	program := Program(tb, "redis-server")
	home, attr := dir(tb, "nobody")
	socket := filepath.Join(home, "s")
	cmd := exec.CommandContext(tb.Context(), program, append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--unixsocket", socket, "--unixsocketperm", "777",
		"--dir", home, "--save", "", "--appendonly", "no",
	}, args...)...)
	cmd.SysProcAttr = attr
	server := &RedisServer{Process: Start(tb, cmd), Addr: hostPort(port), Socket: socket}
	server.WaitReady(tb, Dial("unix", socket))
	return server
}
