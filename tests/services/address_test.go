package services_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
)

func TestAddresses_CanAllBeListenedOn(t *testing.T) {
	t.Parallel()
	for range 100 {
		listen(t, services.Address(t))
		listen(t, ":"+services.Port(t))
	}
}

func TestPortThatAServerHasOnAllAddresses_IsNotTaken(t *testing.T) {
	t.Parallel()
	port, err := strconv.Atoi(services.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	const host = "127.11.0.1"
	if !services.Reserve(t, "free", host, port) {
		t.Error("a free port is not taken")
	}
	listen(t, ":"+strconv.Itoa(port))
	if services.Reserve(t, "in use", host, port) {
		t.Error("a port is taken that another server has")
	}
}

func TestAddressOfAnotherTest_IsNotTaken(t *testing.T) {
	t.Parallel()
	t.Run("while it runs", func(t *testing.T) {
		if !services.Reserve(t, "a name", "127.11.0.2") || services.Reserve(t, "a name", "127.11.0.2") {
			t.Error("want it to be taken once")
		}
	})
	if !services.Reserve(t, "a name", "127.11.0.2") {
		t.Error("want it to be free once the test has ended")
	}
}

// listen listens until the test ends.
func listen(t *testing.T, address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _ = listener.Close() })
}
