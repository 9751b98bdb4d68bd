package caddymodule_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/dagfence/dagfence/caddymodule"
)

// Nothing that a handler opened outlives it.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if count := caddymodule.Settle(); count != 0 {
			fmt.Fprintf(os.Stderr, "%d things are shared by nobody and still open\n", count)
			code = 1
		}
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
