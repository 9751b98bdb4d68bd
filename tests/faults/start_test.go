package faults_test

import (
	"net/http"
	"testing"

	"github.com/dagfence/dagfence/tests/services"
	"github.com/dagfence/dagfence/tests/sidecar"
)

func TestStart_BeforeDependencies(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	for name, source := range map[string]struct {
		server string
		flag   func(w wire) []string
	}{
		"the database": {
			db.Addr,
			func(w wire) []string { return []string{"--database", db.through(w)} },
		},
		"the lookup service": {
			newService(t).Listener.Addr().String(),
			func(w wire) []string { return []string{"--lookup", "http://" + w.Listen} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, redis := newWire(t, source.server), services.Address(t)
			w.cut()
			f := start(t, append(source.flag(w), "--redis", "redis://"+redis)...)
			if status := f.probe(t.Context(), "/ready"); status != http.StatusServiceUnavailable {
				t.Errorf("ready: %d", status)
			}
			f.volley(t, 4, wants{allowed: {503}, denied: {503, 403}, self: {200}})
			w.repair(t)
			ready := sidecar.Within(t, deadline, "ready", func() bool { return f.probe(t.Context(), "/ready") == http.StatusOK })
			f.volley(t, 4, unharmed)
			services.RedisAt(t, redis)
			used := sidecar.Within(t, deadline, "redis is in use", f.asksRedis(t))
			f.volley(t, 4, unharmed)
			t.Logf("ready %v after the source came, redis in use %v after it did", ready, used)
		})
	}
}
