// Package sidecar is what tests of a running fence share: the dagfence binary of
// this tree, an upstream that records what arrives, and tokens as Airflow signs
// them.
package sidecar

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Build makes the dagfence binary of this tree, which is gone when the test
// ends.
func Build(tb testing.TB) string {
	tb.Helper()
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(tb.TempDir(), "dagfence")
	cmd := exec.CommandContext(tb.Context(), "go", "build", "-o", program, "./cmd/dagfence")
	cmd.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	if output, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("building dagfence: %v\n%s", err, output)
	}
	return program
}

// Token signs a token as Airflow's JWTGenerator does
// (airflow/api_fastapi/auth/tokens.py), for the task instance, with changed
// claims if change is not nil.
func Token(tb testing.TB, secret, taskInstance string, change func(jwt.MapClaims)) string {
	tb.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"sub": taskInstance, "scope": "execution", "aud": "urn:airflow.apache.org:task", "jti": "x",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS512, claims).SignedString([]byte(secret))
	if err != nil {
		tb.Fatal(err)
	}
	return signed
}
