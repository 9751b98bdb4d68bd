package faults_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is a TCP connection's way to a server, which can be cut and poisoned.
type wire struct {
	*toxiproxy.Proxy
}

// newWire listens on an address of its own, and leads to the server.
func newWire(t *testing.T, server string) wire {
	t.Helper()
	api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	w := wire{toxiproxy.NewProxy(api, t.Name(), "127.0.0.1:0", server)}
	w.repair(t)
	t.Cleanup(w.Stop)
	return w
}

// cut closes all connections, and refuses new ones.
func (w wire) cut() { w.Stop() }

// repair takes connections again, where it did before.
func (w wire) repair(t *testing.T) {
	t.Helper()
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
}

// poison adds a toxic of toxiproxy to what the server sends.
func (w wire) poison(t *testing.T, toxic string, attributes map[string]int) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": toxic, "name": toxic, "attributes": attributes})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Toxics.AddToxicJson(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// cure removes all toxics.
func (w wire) cure(t *testing.T) {
	t.Helper()
	w.Toxics.ResetToxics(t.Context())
}
