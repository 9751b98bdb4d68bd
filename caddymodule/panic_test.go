package caddymodule_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/dagfence/dagfence/config"
	"github.com/dagfence/dagfence/tests/sidecar"
)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func ownership(t *testing.T, content string) string {
	t.Helper()
	return write(t, filepath.Join(t.TempDir(), "owners.yaml"), content)
}

func TestPanic_IsA500AndForwardsNothing(t *testing.T) {
	for _, mode := range []string{config.Enforce, config.Audit} {
		for name, verifying := range map[string]bool{"verifying": true, "resolving": false} {
			handler, _, err := provisionIn(t, config.Config{
				Mode: mode, Token: config.Token{Secret: "the secret of a panic"}, OwnershipFile: ownership(t, "variables: {a: team_b}\n"),
			})
			if err != nil {
				t.Fatal(err)
			}
			whole := *handler
			handler.Break(verifying)
			r, w := httptest.NewRequest(http.MethodGet, "/execution/variables/a", nil), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, "the secret of a panic", benchTask, nil))
			err = handler.ServeHTTP(w, withReplacer(r, caddy.NewReplacer()), caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
				t.Errorf("%s, mode %s: forwarded", name, mode)
				return nil
			}))
			if err != nil || w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"reason":"internal_error"`) {
				t.Errorf("%s, mode %s: %d %s %v, want 500", name, mode, w.Code, w.Body, err)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if err := whole.Cleanup(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Upstream's transport reads the body in a goroutine of its own, where a panic
// that nobody recovers from ends the process.
func TestPanic_AtTheEndOfABodyHoldsItBack(t *testing.T) {
	owners := ownership(t, "dags: {dag_b: team_b}\nvariables: {b: team_b}\n")
	synctest.Test(t, func(t *testing.T) {
		secret := "the secret of a panic in a body"
		handler, _, err := provisionIn(t, config.Config{
			Token: config.Token{Secret: secret}, OwnershipFile: owners,
		})
		if err != nil {
			t.Fatal(err)
		}
		whole := *handler
		r := httptest.NewRequest(http.MethodPost, "/execution/dag-runs/dag_b/r", strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+sidecar.Token(t, secret, benchTask, func(claims jwt.MapClaims) { claims["dag_id"] = "dag_b" }))
		w := httptest.NewRecorder()
		err = handler.ServeHTTP(w, withReplacer(r, caddy.NewReplacer()), caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			handler.Break(false)
			time.Sleep(2 * time.Second)
			body, err := io.ReadAll(r.Body)
			if err == nil {
				t.Errorf("upstream gets the end of the body: %q", body)
			}
			return err
		}))
		if err != nil || w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d %s %v, want 503", w.Code, w.Body, err)
		}
		if err := whole.Cleanup(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second)
	})
}
