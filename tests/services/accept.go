package services

import (
	"net"
	"strings"
	"testing"
)

// Accept accepts connections until the test ends, and serves each in a goroutine.
func Accept(tb testing.TB, serve func(net.Conn)) (addr string) {
	tb.Helper()
	listener, err := listen(tb, "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// RedisStub is a server that answers everything with the same words, but for a
// greeting that it does not know, as before Redis 6: what the client makes of
// the words is not seen otherwise.
func RedisStub(tb testing.TB, words string) (url string) {
	tb.Helper()
	return "redis://" + Accept(tb, func(conn net.Conn) {
		buffer := make([]byte, 1<<12)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			answer := words
			if strings.Contains(string(buffer[:n]), "hello") {
				answer = "-ERR unknown command 'hello'\r\n"
			}
			_, _ = conn.Write([]byte(answer))
		}
	})
}
