package identity_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// world is a verifier whose clock and keys a test turns.
type world struct {
	*identity.Verifier
	clock atomic.Int64 // seconds since now
	keys  atomic.Pointer[identity.Keys]
}

func newWorld(tb testing.TB, cacheSize int) *world {
	tb.Helper()
	w := &world{}
	w.keys.Store(secretKeys(tb))
	w.Verifier = identity.New(identity.Config{Audience: []string{audience}, Leeway: 10 * time.Second}, w.keys.Load,
		func() time.Time { return now.Add(time.Duration(w.clock.Load()) * time.Second) }, cacheSize)
	return w
}

func TestRememberedToken_StillExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	header := "Bearer " + token(t, claims())
	for _, step := range []struct {
		at   int64
		want judgement
	}{
		{0, execution},
		{609, execution},
		{610, deny(identity.ErrExpired)},
		{611, deny(identity.ErrExpired)},
	} {
		w.clock.Store(step.at)
		task, err := w.Verify(header)
		step.want(t, task, err)
	}
}

func TestRememberedToken_IsRefusedWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	header := "Bearer " + token(t, claims("iat", seconds(-100)))
	early := "Bearer " + token(t, claims("-nbf"))
	for _, h := range []string{header, early} {
		if _, err := w.Verify(h); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Store(-11)
	task, err := w.Verify(header)
	deny(identity.ErrNotYetValid)(t, task, err)
	task, err = w.Verify(early)
	deny(identity.ErrIssuedInFuture)(t, task, err)
}

func TestNewKeys_ForgetEveryToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	first := w.keys.Load()
	header := "Bearer " + token(t, claims())
	if _, err := w.Verify(header); err != nil {
		t.Fatal(err)
	}
	other, err := identity.NewSecret([]byte("rotated"))
	if err != nil {
		t.Fatal(err)
	}
	w.keys.Store(other)
	task, err := w.Verify(header)
	deny(identity.ErrSignature)(t, task, err)
	w.keys.Store(nil)
	task, err = w.Verify(header)
	deny(identity.ErrNoKeys)(t, task, err)
	w.keys.Store(first)
	task, err = w.Verify(header)
	execution(t, task, err)
}

func TestRefusal_IsNotRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 100)
	w.clock.Store(-60)
	header := "Bearer " + token(t, claims())
	task, err := w.Verify(header)
	deny(identity.ErrIssuedInFuture)(t, task, err)
	w.clock.Store(0)
	task, err = w.Verify(header)
	execution(t, task, err)
}

func TestTokens_OfTwoTasksAreNotConfused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 8) // fewer than tokens: entries come and go
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := range 200 {
				id := fmt.Sprintf("00000000-0000-4000-8000-%012x", (i*7+worker)%32)
				task, err := w.Verify("Bearer " + token(t, claims("sub", `"`+id+`"`)))
				if err != nil || task.ID != id {
					t.Errorf("got %v, %v for %s", task, err, id)
				}
			}
		})
	}
	group.Wait()
}
