// Package sidecar is what tests of a running fence share: the dagfence binary of
// this tree, an upstream that records what arrives, and tokens as Airflow signs
// them.
package sidecar

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Build returns the dagfence binary of this tree: the one that
// DAGFENCE_TEST_BINARY names, or else one that is made once for all tests of a
// package, beside the binary of the tests, whose folder go test removes.
func Build(tb testing.TB) string {
	tb.Helper()
	program, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

var build = sync.OnceValues(func() (string, error) {
	if named := os.Getenv("DAGFENCE_TEST_BINARY"); named != "" {
		return named, nil
	}
	return compile("dagfence")
})

// BuildRace returns a dagfence binary with the race detector in it, which says
// DATA RACE on standard error where it finds one.
func BuildRace(tb testing.TB) string {
	tb.Helper()
	program, err := buildRace()
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

var buildRace = sync.OnceValues(func() (string, error) { return compile("dagfence-race", "-race") })

// compile makes a binary of that name beside that of the tests.
func compile(name string, flags ...string) (string, error) {
	tests, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("building dagfence: %w", err)
	}
	_, file, _, _ := runtime.Caller(0)
	program := filepath.Join(filepath.Dir(tests), name)
	cmd := exec.CommandContext(context.Background(), "go", slices.Concat([]string{"build"}, flags, []string{"-o", program, "./cmd/dagfence"})...)
	cmd.Dir = filepath.Join(filepath.Dir(file), "..", "..")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building dagfence: %w\n%s", err, output)
	}
	return program, nil
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
