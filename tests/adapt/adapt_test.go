// Package adapt_test adapts Caddyfiles: what the directive becomes in JSON,
// where it stands among Caddy's own, and which errors its user reads.
package adapt_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	// Caddy's own directives that the files use. caddytest would bring all of
	// Caddy's modules along.
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/caddyauth"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/encode/gzip"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/requestbody"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"

	_ "github.com/dagfence/dagfence/caddymodule"
)

// Each file holds a Caddyfile, a line of dashes, and the JSON or the beginning
// of the error that it becomes.
func TestAdapt_MatchesTheGoldenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			t.Parallel()
			written, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			caddyfile, want, _ := strings.Cut(string(written), "----------\n")
			want = strings.TrimSpace(want)
			if want == "" {
				t.Fatal("it has no line of dashes with an expectation behind it")
			}
			result, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
			if !strings.HasPrefix(want, "{") {
				if err == nil || !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got  %v\nwant %s", err, want)
				}
				return
			}
			if err != nil || len(warnings) != 0 {
				t.Fatalf("%v, warnings %v", err, warnings)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, result, "", "\t"); err != nil {
				t.Fatal(err)
			}
			if got.String() != want {
				t.Errorf("got %s", got.String())
			}
		})
	}
}
