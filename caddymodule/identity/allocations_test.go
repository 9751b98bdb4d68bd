//go:build !race

package identity_test

import (
	"errors"
	"testing"

	"github.com/dagfence/dagfence/caddymodule/identity"
)

// The race detector allocates too, so this is not built with it.

func TestVerify_Allocations(t *testing.T) {
	w := newWorld(t, 100)
	header := "Bearer " + token(t, claims())
	if _, err := w.Verify(header); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		header string
		want   error
		most   float64
	}{
		"a remembered token": {header, nil, 0},
		"no token":           {"", identity.ErrNoToken, 0},
		"not a token":        {"Bearer open-sesame", identity.ErrMalformed, 0},
	} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := w.Verify(tc.header); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", name, err, tc.want)
			}
		})
		if got > tc.most {
			t.Errorf("%s: %v allocations, want at most %v", name, got, tc.most)
		}
	}
}
