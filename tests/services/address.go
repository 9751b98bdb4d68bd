package services

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
)

const (
	// addressPort is below the ports that Linux gives to outgoing connections
	// (net.ipv4.ip_local_port_range), so that none of them takes it.
	addressPort = 20000
	// guardPort is held while an address is in use, so that no other test takes it.
	guardPort = 19999
)

// Address returns a loopback address, host:port, that nobody else takes until
// the test ends, also while the server that is started there comes and goes: of
// the many that 127.0.0.0/8 has on Linux (RFC 1122, section 3.2.1.3), one for each
// call. Its other ports are the test's own too.
//
// A system that has 127.0.0.1 alone gets a port of that which was free just now.
func Address(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		host := fmt.Sprintf("127.%d.%d.%d", 16+rand.N(224), rand.N(256), 1+rand.N(254)) //nolint:gosec // no secret
		guard, err := listen(tb, fmt.Sprintf("%s:%d", host, guardPort))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			continue
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return freePort(tb)
		case err != nil:
			tb.Fatalf("taking an address: %v", err)
		}
		tb.Cleanup(func() { _ = guard.Close() })
		return fmt.Sprintf("%s:%d", host, addressPort)
	}
	tb.Fatal("taking an address: all that were tried are in use")
	return ""
}

// Port returns a TCP port that no other test takes on any address, for a server
// that listens on all of them. Like that of [Address], no outgoing connection gets
// it.
func Port(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := 21000 + rand.N(9000) //nolint:gosec // no secret
		guard, err := listen(tb, fmt.Sprintf("127.1.%d.%d:%d", port>>8, port&0xff, guardPort))
		if err != nil {
			continue
		}
		tb.Cleanup(func() { _ = guard.Close() })
		if tried, err := listen(tb, fmt.Sprintf(":%d", port)); err == nil { // nor any server of this machine's
			_ = tried.Close()
			return fmt.Sprint(port)
		}
	}
	tb.Fatal("taking a port: all that were tried are in use")
	return ""
}

func freePort(tb testing.TB) string {
	tb.Helper()
	listener, err := listen(tb, "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("finding a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func listen(tb testing.TB, address string) (net.Listener, error) {
	tb.Helper()
	return new(net.ListenConfig).Listen(tb.Context(), "tcp", address)
}

// portOf returns the port of an address.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// hostOf returns the host of an address.
func hostOf(address string) string {
	host, _, _ := net.SplitHostPort(address)
	return host
}
