package services

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"
)

// Ports are below those that Linux assigns to outgoing connections (32768 and above,
// net.ipv4.ip_local_port_range), so that none of them takes one. Those of an
// [Address] are in the first range, its Redis cluster bus in the second, and those
// of [Port] in the third.
const (
	addressPorts = 10000
	busPorts     = 20000
	allPorts     = 30000
	portsEnd     = 32768
)

// Address returns a loopback address, host:port, that nobody else takes until
// the test ends, also while the server that is started there comes and goes: of
// the many that 127.0.0.0/8 has on Linux (RFC 1122, section 3.2.1.3), one for each
// call. A Redis there may have its cluster bus where it is by default, 10000 above
// its port.
//
// Other systems have 127.0.0.1 alone: there it is a port of that which was free just now.
func Address(tb testing.TB) string {
	tb.Helper()
	if runtime.GOOS != "linux" {
		listener, err := listen(tb, "tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatalf("finding a free port: %v", err)
		}
		defer func() { _ = listener.Close() }()
		return listener.Addr().String()
	}
	for range 100 {
		host := fmt.Sprintf("127.%d.%d.%d", 16+rand.N(224), rand.N(256), 1+rand.N(254))
		port := addressPorts + rand.N(busPorts-addressPorts)
		if reserve(tb, host, host, port, port+busPorts-addressPorts) {
			return net.JoinHostPort(host, strconv.Itoa(port))
		}
	}
	tb.Fatal("taking an address: all that were tried are in use")
	return ""
}

// Port returns a TCP port that no other test takes on any address, for a server
// that listens on all of them.
func Port(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		port := allPorts + rand.N(portsEnd-allPorts)
		if reserve(tb, strconv.Itoa(port), "", port) {
			return strconv.Itoa(port)
		}
	}
	tb.Fatal("taking a port: all that were tried are in use")
	return ""
}

// reserve reports whether no other test has the name, and nobody listens on the
// ports of the host, "" for all of its addresses. If so, no other test gets the
// name until this one ends.
func reserve(tb testing.TB, name, host string, ports ...int) bool {
	tb.Helper()
	// In Linux's abstract namespace, where no other program has such names, and
	// none outlives its process.
	guard, err := listen(tb, "unix", "@dagfence-test-"+name)
	if err != nil {
		return false
	}
	tb.Cleanup(func() { _ = guard.Close() })
	// A process that is started just now would hold what is tried until it runs its
	// own program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for _, port := range ports { // a server of this machine's may have one on all addresses
		tried, err := listen(tb, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = tried.Close()
	}
	return true
}

func listen(tb testing.TB, network, address string) (net.Listener, error) {
	tb.Helper()
	return new(net.ListenConfig).Listen(tb.Context(), network, address)
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
