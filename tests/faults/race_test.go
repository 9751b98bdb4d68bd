package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

// The binary itself has no data race while it serves, is reloaded with the same
// settings and with others, follows its secret, answers probes and ends.
func TestBinary_HasNoDataRace(t *testing.T) {
	t.Parallel()
	server := services.Redis(t)
	lookup, _ := processOwners(t)
	upstream := sidecar.NewRecorder(t)
	p := newProcess(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	configure := func(size int) []byte {
		return []byte(p.caddyfile(upstream.Addr, lookup, server.URL(), fmt.Sprintf("size %d", size)))
	}
	put(t, file, configure(1000))
	cmd := sidecar.Command(t, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Path = sidecar.BuildRace(t)
	p.Dagfence = sidecar.Start(t, cmd, p.Addr, p.Status)
	p.WaitReady(t)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	var tr traffic
	clients := tr.drive(ctx, t, p, 8, 2*ms)
	for i := range 6 {
		if status, body := p.load(t, string(configure(1000+i/2))); status != http.StatusOK {
			t.Errorf("load %d: %d %s", i, status, body)
		}
		for _, path := range []string{"/ready", "/metrics"} {
			if status, body := p.Probe(t.Context(), path); status != http.StatusOK {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		time.Sleep(100 * ms)
	}
	stop()
	clients.Wait()
	tr.check(t, upstream.Take())
	p.Signal(t, syscall.SIGTERM)
	if code := p.Wait(t, waitLong); code != 0 { // 66 where a race was found
		t.Errorf("it ended with code %d", code)
	}
	if strings.Contains(p.Output(), "DATA RACE") {
		t.Error("there is a data race")
	}
}
